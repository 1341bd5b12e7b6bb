//! Where all is well.

use super::{Report, doctor};
use crate::support::{As, KEY, Scene, is_root};

/// What is tried from inside a run.
const INSIDE: [&str; 18] = [
    "IPv4 to 443",
    "IPv6 to 443",
    "other TCP ports",
    "QUIC",
    "other UDP",
    "network interfaces",
    "host's addresses",
    "cloud metadata",
    "host's loopback",
    "DNS",
    "abstract sockets",
    "sockets in files",
    "vault directory",
    "processes outside",
    "tracing",
    "rights",
    "session keyring",
    "typing into the terminal",
];

#[test]
fn every_way_out_is_tried_from_inside_and_none_leads_out() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        let report = doctor(&scene);
        for name in INSIDE.into_iter().chain(["redirection", "environment", "direct egress"]) {
            report.says(name, "ok", "", "");
        }
        assert_eq!((report.json["v"].as_i64(), report.code), (Some(1), Some(0)));
    }
}

#[test]
fn a_variable_of_the_users_own_does_not_reach_the_agent() {
    let scene = Scene::connected();
    let program = scene.authsome(["doctor", "--json", "--quick"]).env("OPENAI_API_KEY", KEY);
    let report = Report::of(program.env("GROQ_API_KEY", "gsk_of_the_users_own"));
    report.says("environment", "ok", "placeholders", "");
}

#[test]
fn clients_of_this_machine_trust_the_run() {
    let scene = Scene::new();
    let report = Report::of(scene.authsome(["doctor", "--json"]));
    for name in ["curl", "wget", "git", "python urllib", "node https", "openssl"] {
        let client = report.clients().iter().find(|client| client["name"] == name).unwrap();
        assert_eq!(client["trust"], "trusts", "{client:#}");
    }
    assert_eq!(report.code, Some(0), "{:#}", report.json);
}

#[test]
fn the_run_is_on_record_and_leaves_nothing_open() {
    let scene = Scene::new();
    doctor(&scene);
    let log = scene.authsome(["log", "--json"]).success();
    assert!(log.contains("agent://local/doctor"), "{log}");
    let status = scene.authsome(["daemon", "status", "--json"]).success();
    assert!(status.contains("\"runs\":[]"), "{status}");
}

#[test]
fn people_get_lines_and_a_last_word() {
    let scene = Scene::new();
    let said = scene.authsome(["doctor", "--quick"]).success();
    assert!(said.contains("ok    direct egress: nothing arrived on the host\n"), "{said}");
    assert!(said.ends_with("\nAgents can run here.\n"), "{said}");
}

#[test]
fn the_probes_host_answers_for_itself_only_under_the_runs_certificate() {
    let scene = Scene::new();
    let url = "https://probe.authsome.invalid/any/path";
    let answer = scene.run(["sh", "-c", "echo $AUTHSOME_RUN; curl -sS \"$0\"", url]).success();
    let (run, answer) = answer.split_once('\n').unwrap();
    assert_eq!(answer, format!("{{\"authsome-probe\":\"{run}\"}}\n"));
    let other =
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", url];
    assert_eq!(scene.run(other).success(), "421");
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn a_doctor_of_roots_acts_for_the_user_behind_sudo() {
    if !is_root() {
        // Only root can say on whose behalf it acts.
        return;
    }
    let scene = Scene::new();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(scene.user_home()).unwrap());
    scene.authsome(["daemon", "start"]).success();
    let mut program =
        scene.authsome(["doctor", "--json", "--quick"]).env("SUDO_UID", uid.to_string());
    let mut command = std::process::Command::new(program.command.get_program());
    command.args(program.command.get_args()).env_clear();
    for (name, value) in program.command.get_envs() {
        command.env(name, value.unwrap());
    }
    program.command = command;
    let report = Report::of(program);
    report.says("namespaces", "ok", "network, mount, pid and ipc", "");
    report.says("direct egress", "ok", "", "");
    assert_eq!(report.code, Some(0), "{:#}", report.json);
}
