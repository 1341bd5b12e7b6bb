//! Who logs in: a browser that is clicked through, or, where the pages do not matter, `curl` at a server
//! that asks nobody.

use std::process::{Command, Output};

use serde_json::Value;

use super::{server::script, stage::Stage};
use crate::support::{
    packages::{node, packages},
    text,
};

/// What a person ends up with.
pub(super) struct Arrived {
    /// Status of the last answer.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: String,
}

impl Stage {
    /// Opens an authorization URL at a server that consents by itself, up to what it leads back to.
    pub(super) fn consent(&self, url: &str) -> String {
        // Goes everywhere but to the plain HTTP of the way back.
        let output = self
            .curl()
            .args(["-L", "--proto-redir", "=https", "-o", "/dev/null", "-D", "-", url])
            .output()
            .unwrap();
        let heads = text(&output.stdout);
        let mut ways = heads.lines().filter(|line| line.to_lowercase().starts_with("location: "));
        let back = ways.next_back().unwrap_or_default().chars().skip(10).collect::<String>();
        assert!(back.starts_with("http://127.0.0.1:"), "led back to `{back}` from {url}");
        back
    }

    /// Opens the URL that a browser was led back to.
    pub(super) fn come_back(&self, url: &str) -> Arrived {
        let output = self.curl().args(["-w", "\n%{http_code}", url]).output().unwrap();
        let answer = text(&output.stdout);
        let (body, status) = answer.rsplit_once('\n').unwrap();
        self.saw(body);
        Arrived { status: status.parse().unwrap(), body: body.to_owned() }
    }

    /// Opens an authorization URL, consents, and comes back.
    pub(super) fn visit(&self, url: &str) -> Arrived {
        self.come_back(&self.consent(url))
    }

    /// Chromium opens a page, and somebody clicks through all that follows:
    /// `{finalUrl, title, text, pages}`.
    pub(super) fn browse(&self, url: &str, more: &[&str]) -> Value {
        let mut command = Command::new(node());
        command
            .arg(script("browser.mjs"))
            .arg("--clients")
            .arg(packages())
            .args(["--port", &self.server.port.to_string(), "--url", url])
            .arg("--shots")
            .arg(self.scene.user_home().join("pages"))
            .args(more)
            .env("HOME", self.scene.user_home())
            .env("TMPDIR", self.scene.user_home())
            .current_dir(self.scene.user_home());
        self.scene.as_user(&mut command);
        let Output { status, stdout, stderr } = command.output().unwrap();
        assert!(status.success(), "{}{}", text(&stdout), text(&stderr));
        let arrived: Value = serde_json::from_slice(&stdout).unwrap();
        self.saw(arrived["text"].as_str().unwrap());
        arrived
    }

    /// `curl` that finds the server by its names, with cookies.
    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        let jar = self.scene.directory.path().join("cookies");
        command.args(["-sS", "--max-time", "20", "--cacert"]).arg(self.scene.ca_file());
        command.arg("-c").arg(&jar).arg("-b").arg(&jar);
        for name in ["auth", "one", "two"] {
            let map = format!("{name}.example.test:443:127.0.0.1:{}", self.server.port);
            command.args(["--connect-to", &map]);
        }
        command
    }
}
