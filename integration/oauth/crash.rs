//! A daemon that is killed while it renews a token.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::stage::Stage;
use crate::support::eventually;

const ROUNDS: u64 = 200;

#[test]
fn a_daemon_that_is_killed_while_it_renews_leaves_a_token_or_the_wish_for_a_login() {
    let stage = Stage::connected();
    let script = "while read -r line; do curl -sS -m 15 -o answer -w '%{http_code}\\n' \
                  https://api.example.test/api/me 2>/dev/null || true; done";
    let mut program = stage.scene.authsome(["run", "--", "bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.command.spawn().unwrap();
    let mut ask = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut logins = 0;
    // The renewal takes this long, so that there is a middle to be killed in.
    let slow = json!({ "endpoint": "token", "grant": "refresh_token", "kind": "delay", "ms": 5, "times": -1 });
    stage.server.faults(&json!([slow]));
    for round in 0..ROUNDS {
        // A refresh token may be taken once only, or again: then no round needs a login.
        stage.server.config(&json!({ "rotate": round % 2 == 0 }));
        stage.server.revoke("AccessToken");
        let pid = stage.scene.daemon_pid().unwrap();
        let before = stage.server.grants("refresh_token");
        writeln!(ask).unwrap();
        eventually("a renewal", || stage.server.grants("refresh_token") > before);
        std::thread::sleep(Duration::from_micros(round * 7_919 % 20_000));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        answers.next().unwrap().unwrap();
        eventually("another daemon", || stage.scene.daemon_pid().is_some_and(|now| now != pid));
        // It renews anew when it is asked; whether it can, shows there.
        writeln!(ask).unwrap();
        let answer = answers.next().unwrap().unwrap();
        match stage.status("acme/default").as_str() {
            "needs_login" => {
                assert_eq!(answer, "401", "round {round}");
                logins += 1;
                stage.connect(&["acme", "--force"]);
            }
            status => assert_eq!((status, answer.as_str()), ("connected", "200"), "round {round}"),
        }
        // What it knows of a renewal lately must not hold back the next round's.
        let pid = stage.scene.daemon_pid().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        eventually("another daemon", || stage.scene.daemon_pid().is_some_and(|now| now != pid));
    }
    drop(ask);
    child.wait().unwrap();
    assert_eq!(stage.server.stats()["unknown_tokens"], 0);
    assert!(logins <= ROUNDS / 2, "{logins} logins");
    stage.no_secret_got_out();
}
