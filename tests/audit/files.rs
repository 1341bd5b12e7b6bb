//! One chain over several files: full ones, deleted ones, and a writer that is killed in between.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
};

use authsome::{
    audit::{
        AuditLog, Event, Kind, Options, Settings,
        read::{self, Fault},
    },
    paths,
};
use sha2::{Digest, Sha256};

use super::support::{event, fault, full_files, in_files, lines, log_with, rewrite, signed};
use crate::{audit::wait_until, child};

/// A log in files of some 4 KiB, each event written by itself.
fn in_several_files(count: usize, keep: Option<usize>) -> (tempfile::TempDir, std::path::PathBuf) {
    let (dir, path) = log_with(0, signed());
    let log = AuditLog::open(&path, in_files(4096, keep)).unwrap();
    for n in 0..count {
        log.append(event(n)).unwrap();
        log.flush().unwrap();
    }
    drop(log);
    (dir, path)
}

#[test]
fn a_chain_goes_on_from_file_to_file() {
    let (_dir, path) = in_several_files(60, None);
    let files = full_files(&path);
    assert!(files.len() > 2, "{files:?}");
    let report = read::verify(&path).unwrap();
    assert_eq!((report.first_problem, report.begins), (None, 1));
    assert_eq!(report.files, files.len() as u64 + 1);
    assert_eq!(report.signed.unwrap().seq, report.head.seq);
    // Each ends with a signature, and the next begins by going on.
    let last = lines(&files[0]).pop().unwrap();
    assert!(last.contains("\"operation\":\"sealed\"") && last.contains("\"checkpoint\""), "{last}");
    assert!(lines(&files[1])[0].contains("\"operation\":\"continued\""));
}

#[test]
fn the_last_entries_are_read_over_files() {
    let (_dir, path) = in_several_files(60, None);
    let wanted = |entry: &authsome::audit::Entry| entry.event.kind == Kind::Request;
    for count in [1, 20, 45, 60, 100] {
        let found: Vec<_> = read::matching(&path, count, wanted)
            .unwrap()
            .into_iter()
            .map(|entry| entry.event.path.unwrap().into_owned())
            .collect();
        let first = 60_usize.saturating_sub(count);
        let expected: Vec<_> = (first..60).map(|n| format!("/items/{n}")).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_log_goes_on_in_the_file_it_was_in() {
    let (_dir, path) = in_several_files(30, None);
    let before = full_files(&path).len();
    for _ in 0..3 {
        drop(AuditLog::open(&path, in_files(4096, None)).unwrap());
    }
    assert_eq!(full_files(&path).len(), before);
    assert_eq!(fault(&path), None);
}

#[test]
fn files_beyond_those_to_keep_are_deleted_on_record() {
    let (_dir, path) = in_several_files(120, Some(2));
    assert_eq!(full_files(&path).len(), 2);
    let report = read::verify(&path).unwrap();
    assert_eq!(report.first_problem, None);
    assert!(report.begins > 1);
    let first = full_files(&path)[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(first.contains(&format!("{:012}", report.begins)), "{first}");
    let wanted = |entry: &authsome::audit::Entry| entry.event.deleted.is_some();
    let deleted = read::matching(&path, 1, wanted).unwrap().pop().unwrap().event.deleted.unwrap();
    assert_eq!(deleted.through, report.begins - 1);
}

#[test]
fn nothing_full_is_kept_where_nothing_is_to_be() {
    let (_dir, path) = in_several_files(60, Some(0));
    assert!(full_files(&path).is_empty());
    assert_eq!(fault(&path), None);
}

#[test]
fn a_file_deleted_by_somebody_else_is_missed() {
    let (_dir, path) = in_several_files(120, Some(4));
    let files = full_files(&path);
    let begins = read::verify(&files[1]).unwrap().begins;

    fs::rename(&files[0], path.with_extension("away")).unwrap();
    assert_eq!(fault(&path), Some(Fault::BeginsLate { begins }));
    fs::rename(path.with_extension("away"), &files[0]).unwrap();

    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(fault(&path), Some(Fault::Missing { .. })), "{:?}", fault(&path));
}

#[test]
fn the_last_file_that_is_gone_is_missed() {
    let (_dir, path) = in_several_files(60, None);
    let last = read::verify(&path).unwrap().head.seq;
    fs::remove_file(&path).unwrap();
    assert!(matches!(fault(&path), Some(Fault::Truncated { says, .. }) if says == last));
}

#[test]
fn a_change_in_a_full_file_is_found_in_that_file() {
    let (_dir, path) = in_several_files(60, None);
    let file = full_files(&path).remove(1);
    let mut all = lines(&file);
    all[3] = all[3].replace("\"status\":200", "\"status\":201");
    rewrite(&file, &all);
    let problem = read::verify(&path).unwrap().first_problem.unwrap();
    assert_eq!((problem.file, problem.line, problem.fault), (file, 4, Fault::Changed));
}

#[test]
fn a_rotation_that_was_cut_off_is_made_up_for() {
    // Killed before the next file got its name, and before it got its first line.
    for is_empty in [false, true] {
        let (_dir, path) = log_with(0, signed());
        let log = AuditLog::open(&path, in_files(4096, None)).unwrap();
        let mut head = Vec::new();
        // The last head before the third file.
        while full_files(&path).len() < 2 {
            head = fs::read(path.with_extension("head")).unwrap();
            log.append(event(0)).unwrap();
            log.flush().unwrap();
        }
        drop(log);
        paths::write_private(&path.with_extension("head"), &head).unwrap();
        let newest = full_files(&path).pop().unwrap();
        fs::remove_file(&path).unwrap();
        if is_empty {
            paths::write_private(&path, b"").unwrap();
        }
        let log = AuditLog::open(&path, in_files(4096, None)).unwrap();
        assert!(!newest.exists());
        log.append(event(1)).unwrap();
        log.flush().unwrap();
        drop(log);
        assert_eq!(fault(&path), None);
        assert!(newest.exists());
    }
}

#[test]
fn following_goes_on_from_file_to_file() {
    let (_dir, path) = log_with(1, signed());
    let mut follow = read::follow(&path).unwrap();
    let log = AuditLog::open(&path, in_files(4096, None)).unwrap();
    let mut seen = Vec::new();
    for n in 0..120 {
        log.append(event(n)).unwrap();
        log.flush().unwrap();
        // Now and then only: several files become full in between.
        if n % 50 == 49 {
            seen.extend(follow.poll().unwrap());
        }
    }
    drop(log);
    loop {
        let more = follow.poll().unwrap();
        if more.is_empty() {
            break;
        }
        seen.extend(more);
    }
    assert!(full_files(&path).len() > 4);
    let numbers: Vec<u64> = seen.iter().map(|entry| entry.seq).collect();
    let last = read::verify(&path).unwrap().head.seq;
    assert_eq!(numbers, (2..=last).collect::<Vec<_>>());
}

fn writer_to_be_killed(dir: &Path) {
    let settings = Settings { max_size: 4096, keep: Some(3), ..Settings::default() };
    let log = AuditLog::open(&dir.join("audit.log"), Options { settings, ..signed() }).unwrap();
    for n in 0.. {
        log.append(event(n)).unwrap();
        if n % 7 == 0 {
            log.flush().unwrap();
        }
        if n == 20 {
            writeln!(std::io::stdout(), "writing").unwrap();
        }
    }
}

#[test]
fn a_writer_that_is_killed_at_any_time_leaves_a_log_that_holds() {
    if let Some(dir) = child::dir() {
        return writer_to_be_killed(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let name = "audit::files::a_writer_that_is_killed_at_any_time_leaves_a_log_that_holds";
    for round in 0..12_u64 {
        let mut child = child::start(name, dir.path());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("writing") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0);
        }
        // Another place in the rotation each time: so many lines further on.
        let goal = read::tail(&path, 1).unwrap()[0].seq + round * 5;
        wait_until(|| read::tail(&path, 1).unwrap().first().is_none_or(|entry| entry.seq >= goal));
        child.kill().unwrap();
        child.wait().unwrap();
        let report = read::verify(&path).unwrap();
        assert_eq!(report.first_problem, None, "round {round}");
        // And it goes on from there, without an alarm.
        let log = AuditLog::open(&path, signed()).unwrap();
        assert_eq!(log.condition().alarm, None, "round {round}");
        drop(log);
        assert_eq!(fault(&path), None, "round {round}");
    }
}

/// A log as the format's description says it is, made without the program's own writer.
fn write_by_hand(path: &Path, count: u64) {
    let mut prev = "0".repeat(64);
    let mut text = Vec::new();
    let mut file = paths::append_private(path).unwrap();
    for seq in 1..=count {
        let content = format!(
            "{{\"v\":1,\"seq\":{seq},\"time\":\"2026-01-02T03:04:05.678Z\",\"kind\":\"request\",\
             \"run\":\"0123456789abcdef\",\"agent\":\"agent://local/default\",\"user\":\"ada\",\
             \"connection\":\"github/default\",\"method\":\"GET\",\"host\":\"api.github.com\",\
             \"port\":443,\"path\":\"/repos/ada/engine/issues/{seq}\",\"decision\":\"inject\",\
             \"status\":200,\"bytes_sent\":0,\"bytes_received\":1024,\"duration_ms\":12,\
             \"prev\":\"{prev}\""
        );
        prev = hex::encode(Sha256::digest(&content));
        text.extend_from_slice(format!("{content},\"hash\":\"{prev}\"}}\n").as_bytes());
        if text.len() > 1 << 20 || seq == count {
            file.write_all(&text).unwrap();
            text.clear();
        }
    }
}

/// The most memory this process ever had, in KiB (proc(5), `VmHWM`).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_long_log_is_verified_in_little_memory() {
    const COUNT: u64 = 100_000;
    if let Some(dir) = child::dir() {
        let path = dir.join("audit.log");
        // Once over little, so that the program's own pages do not count.
        assert_eq!(read::verify(&dir.join("short.log")).unwrap().records, 100);
        let before = peak();
        let report = read::verify(&path).unwrap();
        assert_eq!((report.records, report.first_problem), (COUNT, None));
        writeln!(std::io::stdout(), "grew {}", peak() - before).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    write_by_hand(&path, COUNT);
    write_by_hand(&dir.path().join("short.log"), 100);
    let size = fs::metadata(&path).unwrap().len() / 1024;
    let name = "audit::files::a_long_log_is_verified_in_little_memory";
    let output = child::start(name, dir.path()).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let grew = text.split("grew ").nth(1).unwrap().split_whitespace().next().unwrap();
    let grew: u64 = grew.parse().unwrap();
    assert!(grew < 4096 && size > 40 * 1024, "{grew} KiB for a log of {size} KiB");
}

#[test]
fn what_is_written_by_hand_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    write_by_hand(&path, 3);
    let log = AuditLog::open(&path, Options::default()).unwrap();
    log.append(Event::new(Kind::Run)).unwrap();
    drop(log);
    assert_eq!((read::verify(&path).unwrap().records, fault(&path)), (4, None));
}
