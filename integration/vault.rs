//! Keys that are exchanged, and a vault that is locked, under a run.

use std::process::Stdio;

use crate::support::{KEY, Scene, eventually, text, write};

const PHRASE: &str = "correct horse battery";

#[test]
fn a_run_goes_on_while_keys_are_exchanged() {
    let scene = Scene::connected();
    let script =
        "curl -sS https://api.openai.com/one && read go && curl -sS https://api.openai.com/two";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    eventually("the first request", || !scene.upstream.seen().is_empty());
    scene.authsome(["vault", "rotate"]).success();
    drop(child.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, b"\n")));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = scene.upstream.seen();
    let last = seen.last().unwrap();
    assert!(last.uri.ends_with("/two"));
    assert_eq!(last.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn a_locked_vault_leaves_a_run_without_network_until_it_is_unlocked() {
    let scene = Scene::connected();
    let phrase = ["vault", "move-key", "passphrase", "--passphrase-stdin"];
    scene.authsome(phrase).stdin_text(PHRASE).success();
    let script = "curl -sS https://api.openai.com/one && read go && \
                  ! curl -sS -m 2 https://api.openai.com/locked && echo denied && read go && \
                  curl -sS -m 20 https://api.openai.com/two";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    eventually("the first request", || !scene.upstream.seen().is_empty());
    scene.authsome(["vault", "lock"]).success();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, b"\n").unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("denied\n") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut line).unwrap(), 0, "{line}");
    }
    // Another run is refused, with what would help.
    let refused = scene.run(["true"]).run();
    assert_eq!(refused.status.code(), Some(125));
    assert!(text(&refused.stderr).contains("hint: authsome vault unlock"));

    let unlock = ["vault", "unlock", "--passphrase-stdin"];
    scene.authsome(unlock).stdin_text(PHRASE).success();
    drop(std::io::Write::write_all(&mut stdin, b"\n"));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = scene.upstream.seen();
    assert!(seen.iter().all(|request| !request.uri.ends_with("/locked")));
    assert!(seen.last().unwrap().uri.ends_with("/two"));
}

#[test]
fn a_home_is_not_replaced_under_a_run() {
    let scene = Scene::connected();
    let backup = scene.user_home().join("backup");
    let path = backup.to_str().unwrap();
    scene.authsome(["vault", "backup", path, "--passphrase-stdin"]).stdin_text(PHRASE).success();
    let mut program = scene.run(["bash", "-c", "read go"]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = program.command.spawn().unwrap();
    eventually("the run", || {
        !scene.authsome(["daemon", "status", "--json"]).success().contains("\"runs\":[]")
    });
    let restore = ["vault", "restore", path, "--force", "--passphrase-stdin"];
    let refused = scene.authsome(restore).stdin_text(PHRASE).run();
    assert!(text(&refused.stderr).contains("1 run(s) are open"), "{}", text(&refused.stderr));
    drop(child.stdin.take());
    child.wait().unwrap();
    eventually("the run's end", || {
        scene.authsome(["daemon", "status", "--json"]).success().contains("\"runs\":[]")
    });
    scene.authsome(restore).stdin_text(PHRASE).success();
    scene.authsome(["vault", "verify"]).success();
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let scene = Scene::connected();
    let backup = scene.user_home().join("backup");
    let path = backup.to_str().unwrap();
    scene.authsome(["vault", "backup", path, "--passphrase-stdin"]).stdin_text(PHRASE).success();
    let mut bytes = std::fs::read(&backup).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    write(&backup, &bytes);
    let before = scene.daemon_pid();
    let restore = ["vault", "restore", path, "--force", "--passphrase-stdin"];
    let refused = scene.authsome(restore).stdin_text(PHRASE).run();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("the backup is damaged"), "{}", text(&refused.stderr));
    assert_eq!(scene.daemon_pid(), before);
    let names = std::fs::read_dir(scene.directory.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("restoring")), "{names:?}");
}
