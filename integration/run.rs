//! `authsome run` as its user sees it: exit codes, streams, environment, flags.

use std::os::unix::process::{CommandExt, ExitStatusExt};

use crate::support::{As, KEY, Scene, find, text};

#[test]
fn an_agent_that_ignores_every_proxy_variable_gets_its_credential_in() {
    let scene = Scene::connected();
    scene.run(["curl", "-sS", "https://api.openai.com/v1/models"]).success();
    let seen = scene.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn it_works_for_root_too() {
    let scene = Scene::acting(As::Own);
    scene.login("openai", KEY);
    scene.run(["curl", "-sS", "https://api.openai.com/v1/models"]).success();
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}

#[test]
fn the_agents_own_value_is_replaced() {
    let scene = Scene::connected();
    scene
        .run(["curl", "-sS", "-H", "Authorization: Bearer of-the-agent", "https://api.openai.com/"])
        .success();
    let seen = scene.upstream.seen();
    let values: Vec<_> = seen[0].headers.get_all("authorization").iter().collect();
    assert_eq!(values, [&format!("Bearer {KEY}")]);
}

#[test]
fn exit_codes_are_the_agents_own() {
    let scene = Scene::new();
    for code in [0, 1, 3, 42, 125, 255] {
        let status = scene.run(["sh", "-c", &format!("exit {code}")]).run().status;
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn an_agent_that_dies_of_a_signal_is_reported_as_a_shell_would() {
    let scene = Scene::new();
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139)] {
        let status = scene.run(["sh", "-c", &format!("kill -{signal} $$")]).run().status;
        assert_eq!(status.code(), Some(code), "{signal}");
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let scene = Scene::new();
    let output = scene.run(["no-such-command"]).run();
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("no-such-command"));
    assert_eq!(scene.run(["/etc/passwd"]).run().status.code(), Some(126));
}

#[test]
fn what_fails_before_the_agent_is_125() {
    let scene = Scene::new();
    let output = scene.run_with(["--connection", "openai=nope"], ["true"]).run();
    assert_eq!(output.status.code(), Some(125));
    let message = text(&output.stderr);
    assert!(message.contains("openai/nope is not connected"), "{message}");
    assert!(message.contains("authsome: hint: authsome login openai"), "{message}");
}

#[test]
fn standard_streams_pass_through_as_they_are() {
    let scene = Scene::new();
    let text = "line\n\0binary\u{1F600}\n";
    let output = scene.run(["cat"]).stdin_text(text).success();
    assert_eq!(output, text);
}

#[test]
fn the_agent_sees_placeholders_and_no_proxy() {
    let scene = Scene::connected();
    let env = scene
        .run(["env"])
        .env("OPENAI_API_KEY", KEY)
        .env("GROQ_API_KEY", "gsk-not-for-agents")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("EDITOR", "vi")
        .success();
    let value = |name: &str| {
        env.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).map(str::to_owned)
    };
    let placeholder = value("OPENAI_API_KEY").unwrap();
    assert!(placeholder.starts_with("sk-"), "{placeholder}");
    assert_eq!(placeholder.len(), KEY.len());
    assert!(!env.contains(KEY));
    assert_eq!(value("GROQ_API_KEY"), None);
    assert_eq!(value("HTTPS_PROXY"), None);
    assert_eq!(value("EDITOR").as_deref(), Some("vi"));
    assert!(value("SSL_CERT_FILE").is_some());
}

#[test]
fn files_identity_and_directory_look_as_before() {
    let scene = Scene::new();
    let script = "echo hi > here; id -u; pwd";
    let output = scene.run(["sh", "-c", script]).success();
    let file = scene.user_home().join("here");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&file).unwrap());
    assert_eq!(output, format!("{owner}\n{}\n", scene.user_home().display()));
}

#[test]
fn a_host_port_is_reached_at_the_agents_own_loopback() {
    let scene = Scene::new();
    let port = scene.upstream.address.port().to_string();
    let probe = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let refused = scene.run(["bash", "-c", &probe]).run();
    assert!(!refused.status.success());
    scene.run_with(["--host-port", &port], ["bash", "-c", &probe]).success();
}

#[test]
fn providers_only_refuses_everything_else() {
    let scene = Scene::connected();
    let flags = ["--egress", "providers"];
    scene.run_with(flags, ["curl", "-sS", "https://api.openai.com/"]).success();
    let refused = scene.run_with(flags, ["curl", "-sS", "https://example.com/"]).run();
    assert!(!refused.status.success());
    let allowed = ["--egress", "providers", "--allow", "example.com"];
    scene.run_with(allowed, ["curl", "-sSk", "https://example.com/"]).success();
}

#[test]
fn a_chosen_connection_is_the_one_that_is_used() {
    let scene = Scene::connected();
    let other = KEY.replace("Zk3v", "0the");
    let login = ["login", "openai", "--connection", "work", "--secret-stdin"];
    assert!(scene.authsome(login).stdin_text(&other).run().status.success());
    let flags = ["--connection", "openai=work"];
    scene.run_with(flags, ["curl", "-sS", "https://api.openai.com/"]).success();
    // The header chooses for one request, and is not sent on.
    let header = "Authsome-Connection: openai/default";
    scene.run_with(flags, ["curl", "-sS", "-H", header, "https://api.openai.com/"]).success();
    let seen = scene.upstream.seen();
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {other}").as_str()));
    assert_eq!(seen[1].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(seen[1].header("authsome-connection"), None);
}

#[test]
fn the_placeholder_that_was_sent_chooses_the_connection() {
    let scene = Scene::connected();
    let other = KEY.replace("Zk3v", "0the");
    let login = ["login", "openai", "--connection", "work", "--secret-stdin"];
    assert!(scene.authsome(login).stdin_text(&other).run().status.success());
    let script = "curl -sS -H \"Authorization: Bearer $OPENAI_API_KEY\" https://api.openai.com/";
    scene.run_with(["--connection", "openai=work"], ["sh", "-c", script]).success();
    scene.run(["sh", "-c", script]).success();
    let seen = scene.upstream.seen();
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {other}").as_str()));
    assert_eq!(seen[1].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn logout_takes_effect_in_a_run_that_is_under_way() {
    let scene = Scene::connected();
    let script = "curl -s -o /dev/null https://api.openai.com/; read go; \
                  curl -s https://api.openai.com/ -H 'Authorization: Bearer none'";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    crate::support::eventually("the first request", || !scene.upstream.seen().is_empty());
    scene.authsome(["logout", "openai"]).success();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.signal().is_none());
    // Neither the credential nor what the agent has in its place is sent: it is told to log in.
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("login-needed"), "{answer}");
    assert!(answer.contains("authsome login openai"), "{answer}");
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[test]
fn every_request_is_one_line_of_an_unbroken_log() {
    let scene = Scene::connected();
    scene.run(["curl", "-sS", "https://api.openai.com/v1/models?page=2"]).success();
    crate::support::eventually("the record", || {
        scene.authsome(["log", "--json"]).success().contains("/v1/models")
    });
    let log: serde_json::Value =
        serde_json::from_str(&scene.authsome(["log", "--json"]).success()).unwrap();
    let entries = find(&log, "entries").and_then(|entries| entries.as_array()).unwrap();
    let requests: Vec<_> = entries
        .iter()
        .filter(|entry| find(entry, "kind").and_then(|kind| kind.as_str()) == Some("request"))
        .collect();
    assert_eq!(requests.len(), 1, "{log:#}");
    let entry = serde_json::to_string(requests[0]).unwrap();
    for part in ["api.openai.com", "\"/v1/models\"", "openai/default", "inject", "200", "curl"] {
        assert!(entry.contains(part), "{part} in {entry}");
    }
    assert!(!entry.contains("page=2") && !entry.contains(KEY));
    let verified = scene.authsome(["log", "verify"]).success();
    assert!(verified.contains("with the key in the daemon's vault"), "{verified}");
}

#[test]
fn through_sudo_the_agent_is_the_user_who_called_it() {
    if !crate::support::is_root() {
        // Somebody who is not root has no sudo here; the gate runs this as root.
        return;
    }
    let scene = Scene::connected();
    let owner = std::fs::metadata(scene.home()).unwrap();
    let (uid, gid) =
        (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
    let script = "id -u; ls -A \"$AUTHSOME_HOME\"; grep CapEff /proc/self/status; \
                  unshare -Urm umount \"$AUTHSOME_HOME\" 2>&1 | head -1; \
                  curl -sS https://api.openai.com/sudo";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.uid(0).gid(0);
    let output =
        program.env("SUDO_UID", uid.to_string()).env("SUDO_GID", gid.to_string()).success();
    assert!(output.starts_with(&format!("{uid}\n")), "{output}");
    assert!(output.contains("CapEff:\t0000000000000000"), "{output}");
    assert!(!output.contains("master.key"), "{output}");
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    // Nothing of the home became root's.
    for entry in std::fs::read_dir(scene.home()).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), uid);
    }
}
