//! Tokens that expire, that are refused, and that cannot be had any more.

use std::{
    fs::File,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::stage::{ACME, ASK, PUBLIC, Stage};
use crate::support::{eventually, text};

/// Waits until a token that lives this many seconds is dead.
fn outlive(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds) + Duration::from_millis(100));
}

fn short_lived(config: &Value) -> Stage {
    let stage = Stage::bare(config);
    stage.define("acme", &format!("{ACME}{PUBLIC}"));
    stage.connect(&["acme"]);
    stage
}

#[test]
fn an_expired_token_is_renewed_before_it_is_used() {
    let stage = short_lived(&json!({ "auto": true, "accessTokenLife": 2 }));
    outlive(2);
    stage.server.config(&json!({ "accessTokenLife": 3600 }));
    stage.ask();
    stage.ask();
    assert_eq!(stage.server.grants("refresh_token"), 1);
    assert_eq!(stage.server.answered("/api/me 401"), 0);
    stage.no_secret_got_out();
}

#[test]
fn fifty_runs_at_the_moment_of_expiry_renew_once() {
    const RUNS: usize = 50;
    const EACH: usize = 20;
    let stage = Stage::new();
    stage.server.config(&json!({ "accessTokenLife": 8 }));
    let begin = Instant::now();
    stage.connect(&["acme"]);
    stage.server.config(&json!({ "accessTokenLife": 3600 }));
    let go = stage.scene.user_home().join("go");
    // Each waits for the file, then sends everything at once.
    let script = format!(
        "while ! [ -e {} ]; do sleep 0.1; done; seq {EACH} | sed 's|.*|url=https://api.example.test/api/me\\noutput=/dev/null|' | \
         curl -sS -m 60 --parallel --parallel-max {EACH} -w '%{{http_code}}\\n' -K -",
        go.display()
    );
    let children: Vec<_> = (0..RUNS)
        .map(|_| {
            let mut program = stage.scene.authsome(["run", "--", "sh", "-c", &script]);
            let command = &mut program.command;
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    outlive(8_u64.saturating_sub(begin.elapsed().as_secs()));
    File::create(&go).unwrap();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let answers = text(&output.stdout);
        assert_eq!(
            answers.lines().filter(|line| *line == "200").count(),
            EACH,
            "{answers}{}",
            text(&output.stderr)
        );
    }
    assert_eq!(stage.server.grants("refresh_token"), 1);
    assert_eq!(stage.server.answered("/api/me 200"), (RUNS * EACH) as u64);
    stage.no_secret_got_out();
}

#[test]
fn a_token_that_is_refused_is_renewed_and_the_request_sent_again() {
    let stage = Stage::connected();
    stage.ask();
    stage.server.revoke("AccessToken");
    stage.ask();
    assert_eq!(stage.server.answered("/api/me 401"), 1);
    assert_eq!(stage.server.answered("/api/me 200"), 2);
    assert_eq!(stage.server.grants("refresh_token"), 1);
    stage.no_secret_got_out();
}

#[test]
fn many_requests_that_are_refused_at_once_renew_once() {
    let stage = Stage::connected();
    stage.server.revoke("AccessToken");
    let script = "seq 20 | sed 's|.*|url=https://api.example.test/api/me\\noutput=/dev/null|' | \
                  curl -sS -m 60 --parallel --parallel-immediate -w '%{http_code}\\n' -K -";
    let answers = stage.agent(script);
    assert_eq!(answers.lines().filter(|line| *line == "200").count(), 20, "{answers}");
    assert_eq!(stage.server.grants("refresh_token"), 1);
}

#[test]
fn an_api_that_always_refuses_is_not_asked_forever() {
    let stage = Stage::connected();
    let refusal = json!({ "endpoint": "api", "times": -1, "status": 401, "headers": {} });
    stage.server.faults(&json!([refusal]));
    for _ in 0..5 {
        assert!(stage.agent(ASK).ends_with("401"));
    }
    // Not every refusal is the token's fault.
    assert!(stage.server.grants("refresh_token") <= 5, "{}", stage.server.stats());
    assert!(stage.server.answered("/api/me 401") <= 10, "{}", stage.server.stats());
    stage.server.faults(&json!([]));
    stage.ask();
}

/// What the agent gets when there is no token to be had.
fn told_to_log_in(stage: &Stage) {
    let answer = stage.agent(ASK);
    assert!(answer.ends_with("401"), "{answer}");
    let problem: Value = serde_json::from_str(answer.trim_end_matches("401")).unwrap();
    assert!(problem.to_string().contains("authsome login acme"), "{problem}");
    assert_eq!(stage.status("acme/default"), "needs_login");
}

#[test]
fn where_the_grant_is_gone_agent_and_user_are_told_to_log_in() {
    let stage = Stage::connected();
    stage.server.revoke("RefreshToken");
    stage.server.revoke("AccessToken");
    told_to_log_in(&stage);
    // Nobody asks again for what was refused for good.
    told_to_log_in(&stage);
    assert_eq!(stage.server.grants("refresh_token"), 1);

    stage.connect(&["acme", "--force"]);

    stage.ask();
    assert_eq!(stage.status("acme/default"), "connected");
    stage.no_secret_got_out();
}

#[test]
fn a_new_login_reaches_the_runs_that_are_open() {
    let stage = Stage::connected();
    stage.server.revoke("RefreshToken");
    stage.server.revoke("AccessToken");
    let again = stage.scene.user_home().join("again");
    let script = format!("{ASK}; while ! [ -e {} ]; do sleep 0.05; done; {ASK}", again.display());
    let mut program = stage.scene.authsome(["run", "--", "sh", "-c", &script]);
    program.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.command.spawn().unwrap();
    eventually("the first answer", || stage.status("acme/default") == "needs_login");
    stage.connect(&["acme", "--force"]);
    File::create(&again).unwrap();
    let answers = text(&child.wait_with_output().unwrap().stdout);
    assert!(answers.contains("401") && answers.ends_with("200"), "{answers}");
}

#[test]
fn a_token_that_cannot_be_renewed_wants_a_login_when_it_expires() {
    let stage = short_lived(&json!({ "auto": true, "accessTokenLife": 2, "refreshTokens": false }));
    outlive(2);
    told_to_log_in(&stage);
    assert_eq!(stage.server.grants("refresh_token"), 0);
}

#[test]
fn a_server_that_keeps_the_refresh_token_need_not_say_it_again() {
    let stage = short_lived(&json!({ "auto": true, "rotate": false, "accessTokenLife": 1 }));
    let silent = json!({
        "endpoint": "token", "grant": "refresh_token", "kind": "patch", "times": -1,
        "members": { "refresh_token": null },
    });
    stage.server.faults(&json!([silent]));
    for _ in 0..3 {
        outlive(1);
        stage.ask();
    }
    assert!(stage.server.grants("refresh_token") >= 3);
    stage.no_secret_got_out();
}

#[test]
fn a_used_refresh_token_is_not_used_again() {
    let stage = short_lived(&json!({ "auto": true, "accessTokenLife": 1 }));
    for _ in 0..4 {
        outlive(1);
        stage.ask();
    }
    // The server ends the grant at the second use of one.
    assert!(stage.server.grants("refresh_token") >= 4);
    assert_eq!(stage.server.stats()["errors"], json!({}));
}

#[test]
fn a_server_that_is_ill_for_a_while_costs_no_login() {
    let html = json!({ "content-type": "text/html" });
    let elsewhere = json!({ "location": "https://evil.example.test/" });
    let ills = [
        json!({ "kind": "status", "status": 500, "body": "{}" }),
        json!({ "kind": "status", "status": 503, "headers": { "retry-after": "1" } }),
        json!({ "kind": "status", "status": 429, "headers": { "retry-after": "1" } }),
        json!({ "kind": "status", "status": 502, "body": "<html>", "headers": html }),
        json!({ "kind": "status", "status": 200, "body": "<html>", "headers": html }),
        json!({ "kind": "status", "status": 200, "body": "{\"access_token\":" }),
        json!({ "kind": "status", "status": 302, "headers": elsewhere }),
        json!({ "kind": "error", "error": "invalid_client", "status": 401 }),
        json!({ "kind": "error", "error": "temporarily_unavailable" }),
        json!({ "kind": "drop" }),
        json!({ "kind": "oversize", "bytes": 4_000_000 }),
    ];
    let stage = short_lived(&json!({ "auto": true, "accessTokenLife": 1 }));
    for ill in ills {
        let mut fault = json!({ "endpoint": "token", "times": -1 });
        fault.as_object_mut().unwrap().extend(ill.as_object().unwrap().clone());
        stage.server.faults(&json!([fault]));
        outlive(1);
        let answer = stage.agent(ASK);
        assert!(!answer.ends_with("200"), "{ill}: {answer}");
        assert_eq!(stage.status("acme/default"), "connected", "{ill}");
        stage.server.faults(&json!([]));
        // It may wait before it asks again, not for long.
        eventually(&format!("a recovery from {ill}"), || stage.agent(ASK).ends_with("200"));
    }
    stage.no_secret_got_out();
}

#[test]
fn an_answer_that_never_arrived_ends_in_a_token_or_in_a_login() {
    let stage = Stage::connected();
    stage.server.revoke("AccessToken");
    let lost = json!({ "endpoint": "token", "grant": "refresh_token", "kind": "drop_after" });
    stage.server.faults(&json!([lost]));
    stage.agent(ASK);
    eventually("an end", || {
        stage.agent(ASK).ends_with("200") || stage.status("acme/default") == "needs_login"
    });
    stage.no_secret_got_out();
}
