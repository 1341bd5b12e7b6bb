//! `authsome doctor`: on a machine where all is well, and where something is really broken. Each environment
//! is made, not pretended: limits and mounts in a user namespace of the test's own, filters, a real `chroot`.

mod clients;
mod healthy;
mod home;
mod machine;
mod trust;

use std::{ffi::OsStr, process::Command};

use serde_json::Value;

use crate::support::{Program, Scene, text};

/// What doctor says.
struct Report {
    json: Value,
    code: Option<i32>,
}

impl Report {
    fn of(program: Program) -> Self {
        let output = program.run();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("no JSON: {}{}", text(&output.stdout), text(&output.stderr))
        });
        Self { json, code: output.status.code() }
    }

    fn checks(&self) -> &[Value] {
        self.json["checks"].as_array().unwrap()
    }

    fn clients(&self) -> &[Value] {
        self.json["clients"].as_array().unwrap()
    }

    /// Insists that a check of this name came out so, naming the cause and the mend.
    #[track_caller]
    fn says(&self, name: &str, status: &str, cause: &str, mend: &str) {
        let of =
            |check: &Value, member: &str| check[member].as_str().unwrap_or_default().to_owned();
        let found = self.checks().iter().any(|check| {
            check["name"] == name
                && check["status"] == status
                && of(check, "message").contains(cause)
                && of(check, "hint").contains(mend)
        });
        assert!(found, "{name}, {status}, {cause:?}, {mend:?} in {:#}", self.json);
        let ready = self.checks().iter().all(|check| check["status"] != "fail");
        assert_eq!(self.json["ready"], ready);
        assert_eq!(self.code, Some(i32::from(!ready)), "{:#}", self.json);
    }
}

/// `authsome doctor --json` without the clients.
fn doctor(scene: &Scene) -> Report {
    Report::of(scene.authsome(["doctor", "--json", "--quick"]))
}

/// The same, started by another program, which gets it as its last arguments.
fn doctor_in<I: IntoIterator<Item: AsRef<OsStr>>>(scene: &Scene, launcher: I) -> Report {
    Report::of(launched(scene, scene.authsome(["doctor", "--json", "--quick"]), launcher))
}

fn launched<I: IntoIterator<Item: AsRef<OsStr>>>(
    scene: &Scene,
    mut program: Program,
    launcher: I,
) -> Program {
    let mut words = launcher.into_iter();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(program.command.get_program()).args(program.command.get_args());
    command.env_clear();
    for (name, value) in program.command.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir(scene.user_home());
    scene.as_user(&mut command);
    program.command = command;
    program
}

/// A shell as root of a user namespace and a mount namespace of its own, and then the program there. A
/// daemon that it starts is stopped there: from outside its socket may be out of sight.
fn unshared(script: &str) -> [String; 6] {
    let script = format!("{script}; s=0; \"$@\" || s=$?; \"$1\" daemon stop >&2; exit $s");
    ["unshare", "-Urm", "sh", "-ec", &script, "sh"].map(str::to_owned)
}
