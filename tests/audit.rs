//! The audit log against tampering, crashes, many writers and full disks.

mod cli;
mod files;
mod signed;
mod support;
mod tampered;

use std::{
    fs,
    io::Write,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use authsome::{
    audit::{AuditLog, Error, Options, Settings, WhenUnwritable, read},
    paths,
};

use self::support::{event, first_problem, lines, log, rewrite};
use crate::child;

#[test]
fn an_untouched_log_holds_over_several_openings() {
    let (_dir, path) = log(10);
    for _ in 0..3 {
        let log = AuditLog::open(&path, Options::default()).unwrap();
        log.append(event(0)).unwrap();
    }
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.head.seq, report.first_problem), (13, 13, None));
}

#[test]
fn a_file_that_is_no_log_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    paths::write_private(&path, b"hello\nworld\n").unwrap();
    assert!(matches!(AuditLog::open(&path, Options::default()), Err(Error::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"hello\nworld\n");
}

#[test]
fn many_threads_make_one_chain_with_every_event() {
    let (_dir, path) = log(0);
    let log = Arc::new(AuditLog::open(&path, Options::default()).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                (0..2500).for_each(|n| log.append(event(thread * 10_000 + n)).unwrap());
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    log.flush().unwrap();
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.first_problem), (20_000, None));
    let mut paths: Vec<_> =
        read::tail(&path, 20_000).unwrap().into_iter().map(|entry| entry.event.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 20_000);
}

#[test]
fn control_characters_cannot_begin_a_line_or_reach_a_terminal() {
    let (_dir, path) = log(0);
    let evil = "/a\r\n{\"v\":1}\u{1b}[2J\u{9b}\u{7f}\u{202e}é\0";
    let log = AuditLog::open(&path, Options::default()).unwrap();
    let mut sent = event(0);
    sent.path = Some(evil.into());
    log.append(sent).unwrap();
    log.flush().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(!text.trim_end().contains(|c: char| c < ' '));
    assert_eq!(read::tail(&path, 1).unwrap()[0].event.path.as_deref(), Some(evil));
    assert_eq!(first_problem(&path), None);
}

#[test]
fn the_tail_is_the_newest_lines_oldest_first() {
    let (_dir, path) = log(2000);
    for count in [0, 1, 700, 2000, 3000] {
        let numbers: Vec<u64> =
            read::tail(&path, count).unwrap().iter().map(|entry| entry.seq).collect();
        let expected: Vec<u64> = (1..=2000).rev().take(count).collect();
        assert_eq!(numbers, expected.into_iter().rev().collect::<Vec<_>>());
    }
}

#[test]
fn following_gives_new_lines_only_and_survives_truncation() {
    let (_dir, path) = log(5);
    let mut follow = read::follow(&path).unwrap();
    assert!(follow.poll().unwrap().is_empty());
    {
        let log = AuditLog::open(&path, Options::default()).unwrap();
        log.append(event(6)).unwrap();
    }
    assert_eq!(follow.next().unwrap().unwrap().seq, 6);
    let all = lines(&path);
    rewrite(&path, &all[..2]);
    assert_eq!(follow.poll().unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn following_waits_for_the_end_of_a_line() {
    let (_dir, path) = log(2);
    let bytes = fs::read(&path).unwrap();
    let half = bytes.len() - 30;
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(half as u64).unwrap();
    let mut follow = read::follow(Path::new(&path)).unwrap();
    // From the beginning: as if the file had just appeared under its name.
    let copy = path.with_extension("copy");
    paths::write_private(&copy, &bytes[..half]).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert_eq!(follow.poll().unwrap().len(), 1);
    paths::append_private(&path).unwrap().write_all(&bytes[half..]).unwrap();
    assert_eq!(follow.poll().unwrap()[0].seq, 2);
}

fn writer_on_a_full_disk(dir: &Path) {
    let path = dir.join("audit.log");
    let log = AuditLog::open(&path, Options::default()).unwrap();
    log.append(event(0)).unwrap();
    log.flush().unwrap();
    let filler = child::fill(dir);
    for n in 1..500 {
        log.append(event(n)).unwrap();
    }
    assert!(matches!(log.flush(), Err(Error::Write { .. })));
    let error = log.healthy().unwrap_err();
    assert!(error.hint().unwrap().contains("audit.log"));
    let refused = (500..20_000).find_map(|n| log.append(event(n)).err().map(|error| (n, error)));
    let (taken, error) = refused.unwrap();
    assert!(matches!(error, Error::Write { .. }));
    fs::remove_file(filler).unwrap();
    wait_until(|| log.healthy().is_ok());
    log.flush().unwrap();
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.lost, report.first_problem), (taken as u64, 0, None));
}

#[test]
fn a_full_disk_refuses_what_it_cannot_take_and_loses_nothing_it_took() {
    if let Some(dir) = child::dir() {
        return writer_on_a_full_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    child::run_on_small_disk(
        "audit::a_full_disk_refuses_what_it_cannot_take_and_loses_nothing_it_took",
        dir.path(),
        "8m",
    );
}

fn writer_that_may_lose(dir: &Path) {
    let path = dir.join("audit.log");
    let settings = Settings { when_unwritable: WhenUnwritable::Allow, ..Settings::default() };
    let options = Options { settings, ..Options::default() };
    let log = AuditLog::open(&path, options).unwrap();
    let filler = child::fill(dir);
    for n in 0..20_000 {
        log.append(event(n)).unwrap();
    }
    log.healthy().unwrap();
    let condition = log.condition();
    assert!(condition.failure.is_some());
    let lost = condition.lost;
    assert!(lost > 0);
    fs::remove_file(filler).unwrap();
    wait_until(|| log.condition().failure.is_none());
    log.flush().unwrap();
    let report = read::verify(&path).unwrap();
    assert_eq!((report.lost, report.first_problem), (lost, None));
    // What was taken, and the line that counts the rest.
    assert_eq!(report.records, 20_000 - lost + 1);
}

#[test]
fn a_full_disk_that_may_lose_events_has_their_number_on_record() {
    if let Some(dir) = child::dir() {
        return writer_that_may_lose(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    child::run_on_small_disk(
        "audit::a_full_disk_that_may_lose_events_has_their_number_on_record",
        dir.path(),
        "16m",
    );
}

pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
}
