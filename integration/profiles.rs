//! Several profiles behind one daemon, and who acted in each.

use serde_json::Value;

use crate::support::{KEY, Scene, text};

const URL: &str = "https://api.openai.com/v1/models";

fn other_key() -> String {
    KEY.replace("Zk3v", "Wk3v")
}

/// With another key stored for OpenAI in the profile `work`.
fn scene() -> Scene {
    let scene = Scene::connected();
    scene.authsome(["profile", "create", "work"]).success();
    let login = scene.authsome(["login", "openai", "--secret-stdin", "--profile", "work"]);
    login.stdin_text(&other_key()).success();
    scene
}

/// The events of requests, oldest first.
fn requests(scene: &Scene) -> Vec<Value> {
    let log = scene.authsome(["log", "-n", "100", "--json"]).success();
    let log: Value = serde_json::from_str(&log).unwrap();
    let entries = log["entries"].as_array().unwrap().clone();
    entries.into_iter().filter(|entry| entry["kind"] == "request").collect()
}

#[test]
fn runs_of_two_profiles_get_each_its_own_credential() {
    let scene = scene();
    scene.run(["curl", "-sS", URL]).success();
    scene.run_with(["--profile", "work"], ["curl", "-sS", URL]).success();
    scene.run(["curl", "-sS", URL]).env("AUTHSOME_PROFILE", "work").success();
    let sent: Vec<_> = scene
        .upstream
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").unwrap().to_owned())
        .collect();
    let other = format!("Bearer {}", other_key());
    assert_eq!(sent, [format!("Bearer {KEY}"), other.clone(), other]);
}

#[test]
fn the_log_says_which_agent_acted_for_whom_in_which_profile() {
    let scene = scene();
    scene.authsome(["identity", "create", "builder", "--profile", "work"]).success();
    scene.run(["curl", "-sS", URL]).success();
    let flags = ["--profile", "work", "--identity", "builder"];
    scene.run_with(flags, ["curl", "-sS", URL]).success();
    let said: Vec<_> = requests(&scene)
        .iter()
        .map(|event| (event["profile"].clone(), event["agent"].clone(), event["user"].is_string()))
        .collect();
    assert_eq!(
        said,
        [
            ("default".into(), "agent://local/curl".into(), true),
            ("work".into(), "agent://local/builder".into(), true),
        ]
    );
}

#[test]
fn a_run_keeps_profile_and_identity_when_another_daemon_takes_over() {
    let scene = scene();
    scene.authsome(["identity", "create", "builder", "--profile", "work"]).success();
    // While it waits, the daemon is killed and others become the profile and the identity in use.
    let script = format!("touch here; until test -e go; do sleep 0.05; done; curl -sS {URL}");
    let flags = ["--profile", "work", "--identity", "builder"];
    let mut program = scene.run_with(flags, ["sh", "-c", &script]);
    let mut child = program.command.spawn().unwrap();
    crate::support::eventually("the agent", || scene.user_home().join("here").exists());
    let pid = nix::unistd::Pid::from_raw(scene.daemon_pid().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    crate::support::eventually("another daemon", || {
        scene.daemon_pid().is_some_and(|other| other != pid.as_raw())
    });
    crate::support::eventually("the run with it", || {
        let status = scene.authsome(["daemon", "status", "--json"]).success();
        status.contains("agent://local/builder")
    });
    crate::support::write(&scene.user_home().join("go"), b"");
    assert!(child.wait().unwrap().success());
    let last = requests(&scene).pop().unwrap();
    assert_eq!(
        (last["profile"].as_str(), last["agent"].as_str()),
        (Some("work"), Some("agent://local/builder"))
    );
}

#[test]
fn a_run_as_nobody_known_does_not_begin() {
    let scene = scene();
    let output = scene.run_with(["--identity", "builder"], ["true"]).run();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("authsome identity create builder"), "{said}");
}

#[test]
fn a_token_proves_the_agent_until_a_character_is_changed() {
    let scene = scene();
    scene.authsome(["identity", "create", "builder"]).success();
    let token = scene.authsome(["identity", "token", "builder"]).success();
    let verify = |token: &str| scene.authsome(["identity", "verify", "-"]).stdin_text(token).run();
    let verified = verify(&token);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
    assert!(text(&verified.stdout).contains("agent://local/builder acts for "));
    let other = verify(&token.replacen("eyJ", "eyK", 1));
    assert_eq!(other.status.code(), Some(1));
    // The other profile's builder has another key, and here there is none at all.
    let elsewhere = scene.authsome(["identity", "verify", "-", "--profile", "work"]);
    assert_eq!(elsewhere.stdin_text(&token).run().status.code(), Some(1));
}

#[test]
fn a_secret_that_is_shown_to_an_agent_is_on_record_with_its_name() {
    let scene = scene();
    scene.authsome(["identity", "create", "builder"]).success();
    let get = ["get", "openai", "--show-secret", "--identity", "builder"];
    scene.authsome(get).success();
    let log = scene.authsome(["log", "-n", "1", "--json"]).success();
    assert!(log.contains("\"agent\":\"agent://local/builder\""), "{log}");
    assert!(log.contains("\"operation\":\"reveal\""), "{log}");
}

#[test]
fn a_profile_with_an_open_run_is_not_deleted() {
    let scene = scene();
    let script = "touch here; until test -e go; do sleep 0.05; done";
    let mut program = scene.run_with(["--profile", "work"], ["sh", "-c", script]);
    let mut child = program.command.spawn().unwrap();
    crate::support::eventually("the agent", || scene.user_home().join("here").exists());
    let refused = scene.authsome(["profile", "delete", "work", "--yes"]).run();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    crate::support::write(&scene.user_home().join("go"), b"");
    assert!(child.wait().unwrap().success());
    crate::support::eventually("the end of the run", || {
        scene.authsome(["profile", "delete", "work", "--yes"]).run().status.success()
    });
    assert!(!scene.home().join("profiles/work").exists());
}
