//! Two accounts of one provider in one run, with the programs that people use for it.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{KEY, Scene, text};

const HOME: &str = "ghp_0123456789abcdefghijABCDEFGHIJ456789";
const WORK: &str = "ghp_9876543210jihgfedcbaJIHGFEDCBA987654";

/// With both accounts for the API and for git; `HOME` is the default.
fn scene() -> Scene {
    let scene = Scene::new();
    for provider in ["github", "github-git"] {
        for (connection, token) in [("default", HOME), ("work", WORK)] {
            let login = ["login", provider, "--connection", connection, "--secret-stdin"];
            scene.authsome(login).stdin_text(token).success();
        }
    }
    scene
}

/// The audit log's lines, one JSON object each.
fn log(scene: &Scene) -> Vec<serde_json::Value> {
    let log = std::fs::read_to_string(scene.home().join("audit.log")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_request_is_sent_with_the_account_that_it_names() {
    let bearer = |token: &str| format!("Bearer {token}");
    let basic = |token| format!("Basic {}", STANDARD.encode(format!("x-access-token:{token}")));
    let header = "git -c http.extraHeader";
    let encoded = "$(printf x:%s \"$GIT_WORK\" | base64 -w0)";
    let table = [
        // By the placeholder, in the variable of each account.
        ("gh api u/1".to_owned(), "u/1", bearer(HOME)),
        ("GH_TOKEN=$GH_TOKEN_WORK gh api u/2".to_owned(), "u/2", bearer(WORK)),
        (
            "curl -sS -u me:$GITHUB_TOKEN_WORK https://api.github.com/u/3".to_owned(),
            "u/3",
            bearer(WORK),
        ),
        ("git ls-remote https://github.com/u/4".to_owned(), "u/4/info", basic(HOME)),
        (
            "curl -sS https://x:$GIT_WORK@github.com/u/5/info/refs".to_owned(),
            "u/5/info",
            basic(WORK),
        ),
        (
            format!("{header}=\"Authorization: Basic {encoded}\" ls-remote https://github.com/u/6"),
            "u/6/info",
            basic(WORK),
        ),
        // The API's placeholder, as agents have it at hand, means the same account at git's host.
        (
            format!(
                "{header}=\"Authorization: Bearer $GH_TOKEN_WORK\" ls-remote https://github.com/u/7"
            ),
            "u/7/info",
            basic(WORK),
        ),
        // By the header, which a placeholder outweighs.
        (
            format!(
                "{header}=\"Authsome-Connection: github-git/work\" ls-remote https://github.com/u/8"
            ),
            "u/8/info",
            basic(WORK),
        ),
        (
            "curl -sS -H 'Authsome-Connection: work' https://api.github.com/u/9".to_owned(),
            "u/9",
            bearer(WORK),
        ),
        (
            "curl -sS -H 'Authsome-Connection: work' -H \"Authorization: token $GH_TOKEN\" \
             https://api.github.com/u/a"
                .to_owned(),
            "u/a",
            bearer(HOME),
        ),
    ];
    let scene = scene();
    let script: Vec<&str> = table.iter().map(|(command, ..)| command.as_str()).collect();
    let script = script.join(" || exit\n");
    scene.run_with(["--env", "GIT_WORK=github-git/work"], ["sh", "-c", &script]).success();

    let seen = scene.upstream.seen();
    for (command, path, expected) in &table {
        let request = seen.iter().find(|seen| seen.uri.contains(path));
        let sent = request.and_then(|seen| seen.header("authorization"));
        assert_eq!(sent, Some(expected.as_str()), "{command}");
    }
}

#[test]
fn the_runs_own_choice_counts_where_a_request_names_none() {
    let scene = scene();
    let script = "gh api u/1 && curl -sS https://api.github.com/u/2 && \
                  GH_TOKEN=$GH_TOKEN_DEFAULT gh api u/3";
    scene.run_with(["--connection", "github=work"], ["sh", "-c", script]).success();

    let sent: Vec<_> = scene
        .upstream
        .seen()
        .iter()
        .map(|s| s.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(sent, [WORK, WORK, HOME].map(|token| format!("Bearer {token}")));
}

#[test]
fn a_placeholder_at_another_providers_host_is_refused_and_on_record() {
    let scene = scene();
    scene.login("openai", KEY);
    let script =
        "curl -sS -H \"Authorization: Bearer $GH_TOKEN_WORK\" https://api.openai.com/v1/models";
    let answer = scene.run(["sh", "-c", script]).success();

    assert!(answer.contains("\"code\":\"placeholder-misplaced\""), "{answer}");
    assert!(scene.upstream.seen().is_empty());
    let event = log(&scene).into_iter().find(|event| event["error"] == "placeholder-misplaced");
    let event = event.expect("an event");
    assert_eq!((&event["decision"], &event["status"]), (&"deny".into(), &403.into()));
    assert_eq!(
        (&event["connection"], &event["host"]),
        (&"github/work".into(), &"api.openai.com".into())
    );
}

#[test]
fn a_placeholder_does_not_leave_in_the_clear() {
    let scene = scene();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let resolve = format!("plain.example:80:127.0.0.1:{}", server.local_addr().unwrap().port());
    let got = thread::spawn(move || {
        let mut got = Vec::new();
        // One connection with the placeholder, one without.
        for _ in 0..2 {
            let (mut stream, _) = server.accept().unwrap();
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap_or_default();
            got.extend_from_slice(&buffer[..read]);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        text(&got)
    });
    let script = "echo $GH_TOKEN; curl -sS -u x:$GH_TOKEN http://plain.example/1; \
                  curl -sS -w '%{http_code}' http://plain.example/2";
    let output = scene.run_with(["--resolve", &resolve], ["sh", "-c", script]).success();

    let placeholder = output.lines().next().unwrap();
    assert!(output.contains("placeholder-misplaced") && output.ends_with("204"), "{output}");
    let got = got.join().unwrap();
    assert!(got.contains("GET /2") && !got.contains(placeholder), "{got}");
    assert!(!got.contains("Authorization"), "{got}");
    let events = log(&scene);
    let event = events.iter().find(|event| event["error"] == "placeholder-misplaced").unwrap();
    assert_eq!(
        (&event["kind"], &event["connection"]),
        (&"splice".into(), &"github/default".into())
    );
}

#[test]
fn a_variable_from_a_connection_or_field_that_is_not_there_is_an_error() {
    let scene = scene();
    for (env, code) in [("A=github/none", 3), ("A=github/work:none", 3), ("A=github", 2)] {
        let output = scene.run_with(["--env", env], ["true"]).run();
        assert!(
            matches!(output.status.code(), Some(c) if c == code || c == 125),
            "{env}: {output:?}"
        );
        assert!(text(&output.stderr).contains("authsome: hint: "), "{env}: {output:?}");
    }
}
