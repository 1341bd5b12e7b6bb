//! A daemon that is killed while it renews a token.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::stage::Stage;

const ROUNDS: u64 = 200;

#[test]
fn a_daemon_that_is_killed_while_it_renews_leaves_a_token_or_the_wish_for_a_login() {
    let stage = Stage::connected();
    // A server that takes a refresh token twice, so that most rounds need no login, and one that does
    // not: half of the rounds each.
    let script = "while read -r line; do curl -sS -m 15 -o answer -w '%{http_code}\\n' \
                  https://api.example.test/api/me 2>/dev/null || true; done";
    let mut program = stage.scene.authsome(["run", "--", "bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.command.spawn().unwrap();
    let mut ask = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut logins = 0;
    let mut pid = stage.scene.daemon_pid().unwrap();
    for round in 0..ROUNDS {
        stage.server.config(&json!({ "rotate": round % 2 == 0 }));
        stage.server.revoke("AccessToken");
        writeln!(ask).unwrap();
        // A renewal takes some milliseconds; this is before, within and after.
        std::thread::sleep(Duration::from_micros(round * 7_919 % 25_000));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        answers.next().unwrap().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            writeln!(ask).unwrap();
            let answer = answers.next().unwrap().unwrap();
            if answer == "200" {
                break;
            }
            if answer == "401" && stage.status("acme/default") == "needs_login" {
                logins += 1;
                stage.connect(&["acme", "--force"]);
                continue;
            }
            assert!(Instant::now() < deadline, "round {round}: still {answer}");
        }
        pid = stage.scene.daemon_pid().unwrap();
    }
    drop(ask);
    child.wait().unwrap();
    assert_eq!(stage.server.stats()["unknown_tokens"], 0);
    assert!(logins <= ROUNDS / 2, "{logins} logins");
    stage.no_secret_got_out();
}
