//! `authsome log` as a person and a program use it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use authsome::{
    audit::{AuditLog, Event, Kind},
    paths,
};
use serde_json::Value;

use super::support::{event, in_files, lines, log_with, rewrite, signed};

/// A home with a log of a few different things.
fn home() -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = log_with(0, signed());
    let log = AuditLog::open(&path, signed()).unwrap();
    let with = |n: usize, change: &dyn Fn(&mut Event)| {
        let mut event = event(n);
        event.agent = Some("agent://local/builder".into());
        event.connection = Some("github/work".into());
        event.decision = Some("inject".into());
        change(&mut event);
        log.append(event).unwrap();
    };
    with(0, &|_| {});
    with(1, &|event| {
        event.decision = Some("deny".into());
        event.policy = Some("no-writes".into());
        event.status = Some(403);
    });
    with(2, &|event| {
        event.agent = Some("agent://local/other".into());
        event.process = Some(4711);
        event.executable = Some("/usr/bin/curl".into());
    });
    with(3, &|event| event.run = Some("ffff000011112222".into()));
    with(4, &|event| event.connection = Some("openai/default".into()));
    with(5, &|event| event.time = std::time::SystemTime::UNIX_EPOCH);
    with(6, &|event| event.host = Some("git.example.net".into()));
    log.append(Event { operation: Some("get".into()), ..Event::new(Kind::Vault) }).unwrap();
    drop(log);
    (dir, path)
}

fn authsome(log: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authsome"))
        .args(arguments)
        .env_clear()
        .env("AUTHSOME_HOME", log.parent().unwrap())
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn json(log: &Path, arguments: &[&str]) -> Value {
    let output = authsome(log, arguments);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The numbers of the entries that come with these flags.
fn numbers(log: &Path, flags: &[&str]) -> Vec<u64> {
    let arguments = [&["log", "--json"], flags].concat();
    let entries = json(log, &arguments)["entries"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

#[test]
fn each_filter_lets_through_what_it_names() {
    let (_dir, path) = home();
    let cases: [(&[&str], &[u64]); 15] = [
        (&["--agent", "other"], &[3]),
        (&["--run", "ffff"], &[4]),
        (&["--connection", "openai/default"], &[5]),
        (&["--provider", "github"], &[1, 2, 3, 4, 6, 7]),
        (&["--host", "*.example.net"], &[7]),
        (&["--decision", "deny"], &[2]),
        (&["--decision", "allow"], &[1, 3, 4, 5, 6, 7]),
        (&["--kind", "vault"], &[8]),
        (&["--until", "1971-01-01"], &[6]),
        (&["--since", "1h", "--kind", "request"], &[1, 2, 3, 4, 5, 7]),
        (&["--process", "4711"], &[3]),
        (&["--process", "curl"], &[3]),
        (&["--status", "4xx"], &[2]),
        (&["--agent", "builder", "-n", "2"], &[6, 7]),
        (&["--agent", "nobody"], &[]),
    ];
    for (flags, expected) in cases {
        assert_eq!(numbers(&path, flags), expected, "{flags:?}");
    }
}

#[test]
fn following_shows_what_fits_as_it_comes() {
    let (_dir, path) = home();
    let mut child = Command::new(env!("CARGO_BIN_EXE_authsome"))
        .args(["log", "--json", "--follow", "--decision", "deny", "-n", "1"])
        .env_clear()
        .env("AUTHSOME_HOME", path.parent().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let shown: Value = serde_json::from_str(&line).unwrap();
        shown["entry"]["path"].as_str().unwrap().to_owned()
    };
    assert_eq!(next(), "/items/1");

    let log = AuditLog::open(&path, signed()).unwrap();
    for n in 10..13 {
        let decision = if n == 11 { "inject" } else { "deny" };
        log.append(Event { decision: Some(decision.into()), ..event(n) }).unwrap();
    }
    drop(log);

    assert_eq!([next(), next()], ["/items/10", "/items/12"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn who_and_why_are_shown_to_people() {
    let (_dir, path) = home();
    let shown = |flags: &[&str]| {
        let arguments = [&["log"], flags].concat();
        String::from_utf8(authsome(&path, &arguments).stdout).unwrap()
    };
    let denied = shown(&["--decision", "deny"]);
    assert!(denied.contains("deny") && denied.contains("policy no-writes"), "{denied}");
    let by = shown(&["--agent", "other"]);
    assert!(by.contains("agent other") && by.contains("by curl[4711]"), "{by}");
    assert_eq!(shown(&["--agent", "nobody"]), "No entry fits.\n");
}

#[test]
fn a_log_that_holds_is_said_to_and_with_which_key() {
    let (_dir, path) = home();
    let report = json(&path, &["log", "verify", "--json"]);
    assert_eq!((&report["verified"], &report["records"]), (&true.into(), &8.into()));
    assert_eq!(
        (&report["signed"]["seq"], &report["signed"]["key_from"]),
        (&8.into(), &"file".into())
    );
    assert_eq!(report["problem"], Value::Null);
    let text = String::from_utf8(authsome(&path, &["log", "verify"]).stdout).unwrap();
    assert!(text.contains("Signed up to 8, with the key kept beside the log"), "{text}");
}

#[test]
fn a_log_that_does_not_hold_fails_and_says_where() {
    let (_dir, path) = home();
    rewrite(&path, &lines(&path)[..6]);

    let output = authsome(&path, &["log", "verify"]);

    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    let expected = "audit.log:7: cut short: the last entry is 6, and entry 8 was signed";
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("authsome: hint: "), "{message}");
    let output = authsome(&path, &["log", "verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verified"], false);
    assert_eq!(
        (&report["problem"]["fault"], &report["problem"]["line"]),
        (&"truncated".into(), &7.into())
    );
}

#[test]
fn deleted_files_are_spoken_of() {
    let (_dir, path) = log_with(0, signed());
    let log = AuditLog::open(&path, in_files(4096, Some(1))).unwrap();
    for n in 0..60 {
        log.append(event(n)).unwrap();
        log.flush().unwrap();
    }
    drop(log);
    let text = String::from_utf8(authsome(&path, &["log", "verify"]).stdout).unwrap();
    assert!(text.contains("those before were deleted, on record"), "{text}");
}

#[test]
fn what_is_no_log_of_ours_is_not_read() {
    let (dir, path) = log_with(1, signed());
    std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert_eq!(authsome(&path, &["log"]).status.code(), Some(1));
    paths::write_private(&dir.path().join("unrelated"), b"").unwrap();
    assert_eq!(authsome(&path, &["log", "verify"]).status.code(), Some(1));
}
