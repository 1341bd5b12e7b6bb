//! The end of a connection, here and at the provider.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use serde_json::{Value, json};

use super::stage::{ASK, Stage};
use crate::support::text;

#[test]
fn logging_out_revokes_at_the_provider() {
    let stage = Stage::connected();
    stage.ask();
    let output = stage.authsome(&["logout", "acme", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["removed"][0]["remote"], "revoked", "{said}");
    for kind in ["access_token", "refresh_token"] {
        for token in stage.server.secrets_of(kind) {
            assert!(!stage.server.active(&token), "an {kind} outlived the logout");
        }
    }
    assert_eq!(stage.status("acme/default"), "nothing");
    stage.no_secret_got_out();
}

#[test]
fn a_provider_that_does_not_revoke_does_not_keep_one_logged_in() {
    let stage = Stage::connected();
    let broken = json!({ "endpoint": "revocation", "kind": "status", "status": 500, "times": -1 });
    stage.server.faults(&json!([broken]));
    let output = stage.authsome(&["logout", "acme"]);
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(stage.status("acme/default"), "nothing");
    assert!(all.contains("revoke"), "{all}");
    stage.no_secret_got_out();
}

#[test]
fn logging_out_acts_in_a_run_that_is_open() {
    let stage = Stage::connected();
    // Nobody claims the host any more: it is reached as it is.
    let script = format!("while read -r line; do {ASK} -k -o answer; echo; done");
    let mut program = stage.scene.authsome(["run", "--", "bash", "-c", &script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.command.spawn().unwrap();
    let mut ask = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answer = || {
        writeln!(ask).unwrap();
        answers.next().unwrap().unwrap()
    };
    assert_eq!(answer(), "200");
    let before = stage.server.answered("/api/me 200");

    assert!(stage.authsome(&["logout", "acme"]).status.success());

    let after = answer();
    assert!(["401", "403"].contains(&after.as_str()), "{after}");
    assert_eq!(stage.server.answered("/api/me 200"), before);
    assert_eq!(stage.server.stats()["unknown_tokens"], 0, "a placeholder went out");
    drop(ask);
    child.wait().unwrap();
}

#[test]
fn what_is_removed_is_revoked_too() {
    let stage = Stage::connected();
    stage.connect(&["acme", "--connection", "second"]);
    let output = stage.authsome(&["remove", "acme"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for token in stage.server.secrets_of("refresh_token") {
        assert!(!stage.server.active(&token));
    }
    stage.no_secret_got_out();
}
