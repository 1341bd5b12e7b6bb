//! `sudo authsome …` through sudo(8) itself: every command acts for the user who called it.

use std::{
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::support::{KEY, Program, Scene, find, is_root, text};

/// A definition of the user's own.
const ACME: &str = r#"
name = "acme"
display_name = "Acme"
auth_type = "api_key"
hosts = ["api.acme.example"]

[[fields]]
name = "api_key"
label = "API key"
env = ["ACME_API_KEY"]
placeholder = "acme_{random}"

[[inject]]
kind = "bearer"
"#;

/// A line for sudo that lets one user start one program, for as long as it lives.
struct Rule(PathBuf);

impl Rule {
    fn new(uid: u32, program: &Path) -> Self {
        let path = format!("/etc/sudoers.d/authsome-test-{}", std::process::id());
        let line = format!("#{uid} ALL=(root) NOPASSWD:SETENV: {}\n", program.display());
        crate::support::write(Path::new(&path), line.as_bytes());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        Self(path.into())
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// `sudo authsome ARGS…`, called by the scene's user.
fn sudo(scene: &Scene, args: &[&str]) -> Program {
    let mut program = scene.authsome(args);
    let mut command = std::process::Command::new("sudo");
    command
        .arg("-n")
        .arg(format!("AUTHSOME_HOME={}", scene.home().display()))
        .arg(program.command.get_program())
        .args(args)
        .current_dir(scene.user_home());
    scene.as_user(&mut command);
    program.command = command;
    program
}

fn everything(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(everything(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_command_acts_for_the_user_who_called_sudo() {
    if !is_root() {
        // Only root can let somebody use sudo; the gate runs this as root.
        return;
    }
    let scene = Scene::new();
    let program = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
    let uid = std::fs::metadata(scene.user_home()).unwrap().uid();
    let _rule = Rule::new(uid, Path::new(&program));

    // The first to need the home and a daemon.
    let login = ["login", "openai", "--secret-stdin"];
    let output = sudo(&scene, &login).stdin_text(KEY).run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let daemon = scene.daemon_pid().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n")), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");

    assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
    assert!(sudo(&scene, &["get", "openai", "--show-secret"]).success().contains(KEY));
    let same: serde_json::Value =
        serde_json::from_str(&sudo(&scene, &["daemon", "status", "--json"]).success()).unwrap();
    assert_eq!(find(&same, "pid").and_then(serde_json::Value::as_i64), Some(daemon.into()));
    let definition = scene.directory.path().join("acme.toml");
    crate::support::write(&definition, ACME.as_bytes());
    sudo(&scene, &["register", definition.to_str().unwrap(), "--yes"]).success();
    assert!(scene.home().join("providers/acme.toml").exists());
    sudo(&scene, &["whoami"]).success();
    let id = sudo(&scene, &["run", "--", "id", "-u"]).success();
    assert_eq!(id, format!("{uid}\n"));
    let stopped = sudo(&scene, &["daemon", "stop"]).success();
    assert!(stopped.contains("has stopped"), "{stopped}");
    assert_eq!(scene.daemon_pid(), None);

    let roots: Vec<_> = everything(scene.directory.path())
        .into_iter()
        .filter(|path| ![&scene.ca_file(), &definition].contains(&path))
        .filter(|path| path.symlink_metadata().unwrap().uid() != uid)
        .collect();
    assert!(roots.is_empty(), "{roots:?}");
}
