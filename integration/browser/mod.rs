//! Headless Chromium, clicked through page by page. Each page it comes to is judged by axe-core.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{
    Scene,
    packages::{node, packages},
};

/// A browser with one page; it ends with this.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a browser shows.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// What can be read on it.
    pub(crate) text: String,
    /// All of it, as the browser has it.
    pub(crate) html: String,
    /// Addresses of what is shown inside it.
    pub(crate) frames: Vec<String>,
}

impl Browser {
    /// As the scene's user.
    pub(crate) fn start(scene: &Scene) -> Self {
        let mut command = script(scene, "drive.mjs");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a browser");
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, commands, answers }
    }

    pub(crate) fn open(&mut self, url: &str) -> Page {
        self.told(&json!({ "do": "open", "url": url }))
    }

    /// Clicks a link.
    pub(crate) fn follow(&mut self, name: &str) -> Page {
        self.told(&json!({ "do": "follow", "name": name }))
    }

    /// Clicks a button.
    pub(crate) fn press(&mut self, name: &str) -> Page {
        self.told(&json!({ "do": "press", "name": name }))
    }

    /// Types into an input.
    pub(crate) fn fill(&mut self, label: &str, text: &str) -> Page {
        self.told(&json!({ "do": "fill", "label": label, "text": text }))
    }

    /// Opens what is folded away.
    pub(crate) fn unfold(&mut self, text: &str) -> Page {
        self.told(&json!({ "do": "unfold", "text": text }))
    }

    /// Waits until a text can be seen.
    pub(crate) fn wait_for(&mut self, text: &str) -> Page {
        self.told(&json!({ "do": "wait", "text": text }))
    }

    fn told(&mut self, command: &Value) -> Page {
        writeln!(self.commands, "{command}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("an answer of drive.mjs");
        assert!(answer.get("failed").is_none(), "{}", answer["failed"].as_str().unwrap());
        let bad: Vec<_> = answer["violations"].as_array().unwrap().iter().collect();
        let bad: Vec<_> = bad.iter().filter(|found| is_serious(found)).collect();
        assert!(bad.is_empty(), "{}: {bad:?}", answer["url"]);
        assert_eq!(answer["overflow"], false, "{} scrolls sideways", answer["url"]);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let frames = serde_json::from_value(answer["frames"].clone()).unwrap();
        Page { title: text("title"), text: text("text"), html: text("html"), frames }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_serious(violation: &Value) -> bool {
    matches!(violation["impact"].as_str(), Some("serious" | "critical"))
}

/// Looks at pages in each scheme and width, and insists that nothing is wrong with any.
pub(crate) fn look(scene: &Scene, link: &str, pages: &[String]) {
    let shots = scene.user_home().join("pages");
    let output = script(scene, "look.mjs")
        .args(["--open", link, "--schemes", "light,dark", "--widths", "1280,390", "--shots"])
        .arg(&shots)
        .args(pages)
        .output()
        .unwrap();
    let looks: Value = serde_json::from_slice(&output.stdout).expect("an answer of look.mjs");
    let looks = looks.as_array().unwrap();
    assert_eq!(looks.len(), pages.len() * 4);
    for look in looks {
        let found = look["violations"].as_array().unwrap();
        let bad: Vec<_> = found.iter().filter(|found| is_serious(found)).collect();
        assert!(bad.is_empty(), "{} {} {}: {bad:?}", look["url"], look["scheme"], look["width"]);
        assert_eq!(look["status"], 200, "{look}");
        assert_eq!(look["errors"], json!([]), "{}", look["url"]);
        assert_eq!(look["overflow"], false, "{} at {}", look["url"], look["width"]);
    }
    assert!(output.status.success(), "{output:?}");
}

/// A script beside this file, by a Node.js that is new enough.
fn script(scene: &Scene, name: &str) -> Command {
    let mut command = Command::new(node());
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/browser").join(name))
        .arg("--modules")
        .arg(packages())
        .env("HOME", scene.user_home())
        .env("TMPDIR", scene.user_home())
        .current_dir(scene.user_home());
    if let Some(chromium) = std::env::var_os("AUTHSOME_TEST_CHROMIUM") {
        command.arg("--chromium").arg(chromium);
    }
    scene.as_user(&mut command);
    command
}
