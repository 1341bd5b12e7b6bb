//! `authsome doctor` beside a sidecar: one that is well, and each way to be broken, which is made.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    Sidecar,
    net::{Net, trust},
};
use crate::support::{KEY, Scene, eventually, text, write};

/// Looks like one of GitHub's.
const SECRET: &str = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

/// What it says, and whether all is well.
struct Report(Value);

impl Report {
    /// As root of the container, or as the sidecar's user.
    fn of(net: &Net, scene: &Scene, rights: bool) -> Self {
        let output = net.beside(scene, rights, &["doctor", "--json"]).output().unwrap();
        let said = text(&output.stdout);
        assert!(!said.contains(KEY) && !said.contains(SECRET));
        let json: Value = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)));
        let code = if json["ready"] == true { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{json:#}");
        Self(json)
    }

    /// Insists that a check came out so, naming the cause and the mend.
    #[track_caller]
    fn says(&self, name: &str, status: &str, cause: &str, mend: &str) {
        let of = |check: &Value, member: &str| check[member].as_str().unwrap_or("").to_owned();
        let found = self.0["checks"].as_array().unwrap().iter().any(|check| {
            check["name"] == name
                && check["status"] == status
                && of(check, "message").contains(cause)
                && of(check, "hint").contains(mend)
        });
        assert!(found, "{name}, {status}, {cause:?}, {mend:?} in {:#}", self.0);
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.0["ready"], true, "{:#}", self.0);
        for name in ["guard", "worker", "shared directory", "placeholders", "home", "policy"] {
            self.says(name, "ok", "", "");
        }
        self.says("redirection", "ok", "192.0.2.1:443, [2001:db8::1]:443 arrive", "");
        self.says("datagrams", "ok", "192.0.2.1:443, [2001:db8::1]:443 are refused", "");
        self.says("vault", "ok", "all readable", "");
    }
}

#[test]
fn one_that_is_well_is_said_to_be() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let secrets = scene.directory.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    write(&secrets.join("github"), SECRET.as_bytes());
    let flags = ["--credentials", secrets.to_str().unwrap(), "--egress", "providers"];
    let sidecar = Sidecar::start(&net, &scene, &flags);
    let report = Report::of(&net, &scene, true);
    report.is_well();
    report.says("rules", "ok", "every chain complete", "");
    report.says("credentials", "ok", "readable", "");
    // Nothing of its own is left, and nothing of the sidecar's is taken.
    sidecar.requests("203.0.113.5");

    let shown = net.beside(&scene, true, &["doctor"]).output().unwrap();
    assert!(text(&shown.stdout).ends_with("The sidecar serves its agents.\n"), "{shown:?}");
}

#[test]
fn without_a_right_connections_show_what_the_rules_do() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &["--dns", "capture"]);
    let report = Report::of(&net, &scene, false);
    report.is_well();
    report.says("rules", "ok", "without NET_ADMIN", "");
}

#[test]
fn rules_that_nobody_puts_back_are_missed() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    let guard = Pid::from_raw(sidecar.guard.id().cast_signed());
    kill(guard, Signal::SIGSTOP).unwrap();
    assert_eq!(net.attempts_of_root(&["rules"]), ["rules done"]);
    for rights in [true, false] {
        let report = Report::of(&net, &scene, rights);
        report.says("guard", "fail", "is stopped", &format!("kill -CONT {guard}"));
        report.says("redirection", "fail", "192.0.2.1:443 is not redirected", "docker restart");
        report.says("redirection", "fail", "[2001:db8::1]:443 is not redirected", "");
        report.says("datagrams", "fail", "is not refused", "docker restart");
    }
    Report::of(&net, &scene, true).says("rules", "fail", "port 443 is open", "stop the agent");
    kill(guard, Signal::SIGCONT).unwrap();
    eventually("the rules are back", || net.attempts(&["udp4"]) == ["udp4 EPERM"]);
    Report::of(&net, &scene, true).is_well();
}

#[test]
fn without_the_worker_it_is_closed_and_said_to_be() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let mut sidecar = Sidecar::start(&net, &scene, &[]);
    kill(Pid::from_raw(sidecar.worker()), Signal::SIGKILL).unwrap();
    sidecar.guard.wait().unwrap();
    for rights in [true, false] {
        let report = Report::of(&net, &scene, rights);
        report.says("guard", "fail", "there is none", "docker restart");
        report.says("worker", "fail", "nobody serves", "docker restart");
        report.says("redirection", "fail", "nothing leaves", "docker restart");
        report.says("datagrams", "ok", "are refused", "");
    }
    // It has started no daemon, which no guard would have.
    let status = net.beside(&scene, true, &["daemon", "status", "--json"]).output().unwrap();
    assert!(text(&status.stdout).contains("\"running\":false"), "{status:?}");
}

#[test]
fn a_worker_that_does_not_answer_is_named() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    let worker = Pid::from_raw(sidecar.worker());
    kill(worker, Signal::SIGSTOP).unwrap();
    let report = Report::of(&net, &scene, true);
    report.says("daemon", "fail", "is stopped", &format!("kill -CONT {worker}"));
    kill(worker, Signal::SIGCONT).unwrap();
}

#[test]
fn what_the_agent_cannot_read_is_named() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &[]);
    let directory = trust(&scene);
    let mend = format!("chmod -R a+rX {}", directory.display());
    let shown = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        Report::of(&net, &scene, false)
    };
    let name = "shared directory";
    shown(&directory, 0o700).says(name, "fail", "is not readable for others", &mend);
    shown(&directory, 0).says(name, "fail", "is not readable for others", &mend);
    std::fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let bundle = directory.join("ca-bundle.pem");
    shown(&bundle, 0o600).says(name, "fail", "ca-bundle.pem is not readable", &mend);
    write(&bundle, b"");
    shown(&bundle, 0o644).says(name, "fail", "without this sidecar's authority", "docker restart");
}

#[test]
fn variables_that_are_no_longer_right_are_named() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &[]);
    let file = trust(&scene).join("env");
    let env = std::fs::read_to_string(&file).unwrap();
    write(&file, env.replace("OPENAI_API_KEY=", "OPENAI_API_KEY=x").as_bytes());
    let report = Report::of(&net, &scene, true);
    report.says("placeholders", "warn", "OPENAI_API_KEY", "start the agent again");
}

#[test]
fn what_is_wrong_in_the_home_and_with_credentials_is_named() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let secrets = scene.directory.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    write(&secrets.join("github"), SECRET.as_bytes());
    let flags = ["--credentials", secrets.to_str().unwrap()];
    let _sidecar = Sidecar::start(&net, &scene, &flags);
    let vault = scene.directory.path().join("vault");
    std::fs::create_dir_all(vault.join("policy")).unwrap();
    write(&vault.join("policy/policy.toml"), b"[");
    std::fs::set_permissions(secrets.join("github"), Permissions::from_mode(0o0)).unwrap();
    let report = Report::of(&net, &scene, false);
    report.says("policy", "fail", "every request is denied", "");
    report.says("credentials", "fail", "secrets/github", "--user");
    std::fs::set_permissions(&vault, Permissions::from_mode(0o755)).unwrap();
    Report::of(&net, &scene, false).says("home", "fail", "", "chmod");
}
