//! Sessions as a person sees them: each file of `tests/cli` is one, in a home of its own.
//!
//! ```text
//! # a comment
//! > FILE | line of a file in the working directory
//! < line of standard input
//! $ authsome list
//! what standard output has, then what standard error has
//! ? 2
//! ```
//!
//! `? N` is the exit code, 0 if it is not there. `[..]` stands for anything within a line, `[...]`
//! alone for any number of lines, `[HOME]` for the authsome home, `[CWD]` for the working directory and
//! `[DATA]` for `tests/data`.
//! Words are split at blanks; single quotes keep them together; `NAME=value` before `authsome` sets a
//! variable.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

#[test]
fn every_session_goes_as_it_is_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut sessions: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    sessions.sort();
    assert!(!sessions.is_empty());
    let mut failures = String::new();
    for session in sessions {
        let text = fs::read_to_string(&session).unwrap();
        for failure in play(&text) {
            let name = session.file_name().unwrap().to_string_lossy();
            writeln!(failures, "--- {name}: {failure}").unwrap();
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// Plays a session; what went otherwise comes back.
fn play(session: &str) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let cwd = place.path().join("cwd");
    let home = place.path().join("home");
    fs::create_dir(&cwd).unwrap();
    let mut failures = Vec::new();
    let mut input = String::new();
    let mut lines = session.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(file) = line.strip_prefix("> ") {
            let (name, text) = file.split_once(" | ").unwrap();
            let path = place.path().join("cwd").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            writeln!(file, "{text}").unwrap();
        } else if let Some(text) = line.strip_prefix("< ") {
            writeln!(input, "{text}").unwrap();
        } else if let Some(command) = line.strip_prefix("$ ") {
            let mut expected = String::new();
            let mut code = 0;
            while let Some(line) = lines.next_if(|line| !starts_anew(line)) {
                match line.strip_prefix("? ") {
                    Some(number) => code = number.parse().unwrap(),
                    None => writeln!(expected, "{line}").unwrap(),
                }
            }
            let (output, got) = run(command, &cwd, &home, &std::mem::take(&mut input));
            let output = output
                .replace(home.to_str().unwrap(), "[HOME]")
                .replace(cwd.to_str().unwrap(), "[CWD]")
                .replace(DATA, "[DATA]");
            let lines = |text: &str| text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>();
            if got != code || !matches(&lines(&expected), &lines(&output)) {
                failures.push(format!("$ {command}\n? {got} (expected {code})\n{output}"));
            }
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "not a session's line: {line}");
        }
    }
    failures
}

fn starts_anew(line: &str) -> bool {
    ["$ ", "# ", "> ", "< "].iter().any(|prefix| line.starts_with(prefix))
}

/// Runs one line; returns what it wrote, standard output first, and its exit code.
fn run(line: &str, cwd: &Path, home: &Path, input: &str) -> (String, i32) {
    let mut words = split(line).into_iter().peekable();
    let mut command = Command::new(env!("CARGO_BIN_EXE_authsome"));
    command.env_clear().env("AUTHSOME_HOME", home).env("HOME", cwd).current_dir(cwd);
    while let Some(variable) = words.next_if(|word| word.contains('=')) {
        let (name, value) = variable.split_once('=').unwrap();
        command.env(name, value.replace("[CWD]", cwd.to_str().unwrap()));
    }
    assert_eq!(words.next().as_deref(), Some("authsome"), "{line}");
    let words = words.map(|word| word.replace("[DATA]", DATA));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no input may be gone before it is written.
    let _: std::io::Result<()> = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(&String::from_utf8(output.stderr).unwrap());
    (text, output.status.code().unwrap())
}

fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

fn matches(expected: &[String], lines: &[String]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((any, rest)), _) if any == "[...]" => {
            matches(rest, lines) || lines.split_first().is_some_and(|(_, l)| matches(expected, l))
        }
        (Some((pattern, rest)), Some((line, lines))) => {
            line_matches(pattern, line) && matches(rest, lines)
        }
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        None => pattern == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| line_matches(rest, tail.get(at..).unwrap()))
        }),
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_authsome"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());

    let output = child.wait_with_output().unwrap();

    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();

    let output = Command::new(env!("CARGO_BIN_EXE_authsome"))
        .args(["completions", "bash"])
        .stdout(full)
        .output()
        .unwrap();

    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("cannot write to standard output"), "{message}");
    assert_eq!(output.status.code(), Some(1));
}
