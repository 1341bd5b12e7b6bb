//! The audit log against tampering, crashes, many writers and full disks.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use authsome::{
    audit::{AuditLog, Error, Event, Kind, read},
    paths,
};

use crate::child;

fn event(n: usize) -> Event {
    let mut event = Event::new(Kind::Request);
    event.run = Some("0123456789abcdef".into());
    event.host = Some("api.example.com".into());
    event.path = Some(format!("/items/{n}").into());
    event.status = Some(200);
    event
}

/// A log of `count` lines, in a directory that goes with the first of the pair.
fn log(count: usize) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let log = AuditLog::open(&path).unwrap();
    (0..count).for_each(|n| log.append(event(n)).unwrap());
    drop(log);
    (dir, path)
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn rewrite(path: &Path, lines: &[String]) {
    paths::write_private(path, (lines.join("\n") + "\n").as_bytes()).unwrap();
}

fn first_problem(path: &Path) -> Option<u64> {
    read::verify(path).unwrap().first_problem.map(|problem| problem.line)
}

#[test]
fn an_untouched_log_holds_over_several_openings() {
    let (_dir, path) = log(10);
    for _ in 0..3 {
        let log = AuditLog::open(&path).unwrap();
        log.append(event(0)).unwrap();
    }
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.head.seq, report.first_problem), (13, 13, None));
}

#[test]
fn a_changed_byte_is_found_at_its_line() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all[4] = all[4].replace("\"status\":200", "\"status\":201");
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
}

#[test]
fn a_deleted_line_is_found_where_it_was() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all.remove(4);
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
    all.remove(0);
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(1));
}

#[test]
fn swapped_lines_are_found() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all.swap(4, 6);
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
}

#[test]
fn an_inserted_line_is_found() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all.insert(4, all[3].clone());
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
    all[4] = "{}".to_owned();
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
}

#[test]
fn a_line_cut_in_the_middle_of_the_log_is_found() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all[4].truncate(50);
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(5));
}

#[test]
fn lines_cut_off_the_end_show_in_the_head_only() {
    let (_dir, path) = log(10);
    let head = read::verify(&path).unwrap().head;
    let all = lines(&path);
    rewrite(&path, &all[..8]);
    let report = read::verify(&path).unwrap();
    assert_eq!(report.first_problem, None);
    assert_ne!(report.head, head);
}

#[test]
fn a_line_torn_by_a_crash_is_kept_noted_and_accepted() {
    let (_dir, path) = log(10);
    let bytes = fs::read(&path).unwrap();
    let torn = bytes.len() - 60;
    paths::write_private(&path, &bytes[..torn]).unwrap();
    assert!(read::verify(&path).unwrap().unended);
    AuditLog::open(&path).unwrap().append(event(1)).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(&bytes[..torn]), "append-only");
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.recovered, report.first_problem), (11, 1, None));
}

#[test]
fn a_changed_remnant_of_a_crash_is_found() {
    let (_dir, path) = log(10);
    let bytes = fs::read(&path).unwrap();
    paths::write_private(&path, &bytes[..bytes.len() - 60]).unwrap();
    drop(AuditLog::open(&path).unwrap());
    let mut all = lines(&path);
    all[9] = all[9].replace("items", "other");
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(10));
}

#[test]
fn a_changed_last_line_is_not_taken_for_a_crash() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all[9] = all[9].replace("items", "other");
    rewrite(&path, &all);
    AuditLog::open(&path).unwrap().append(event(1)).unwrap();
    assert_eq!(first_problem(&path), Some(10));
}

#[test]
fn a_file_that_is_no_log_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    paths::write_private(&path, b"hello\nworld\n").unwrap();
    assert!(matches!(AuditLog::open(&path), Err(Error::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"hello\nworld\n");
}

#[test]
fn many_threads_make_one_chain_with_every_event() {
    let (_dir, path) = log(0);
    let log = Arc::new(AuditLog::open(&path).unwrap());
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
    let log = AuditLog::open(&path).unwrap();
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
        let log = AuditLog::open(&path).unwrap();
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
    let log = AuditLog::open(&path).unwrap();
    log.append(event(0)).unwrap();
    log.flush().unwrap();
    let filler = child::fill(dir);
    for n in 1..500 {
        log.append(event(n)).unwrap();
    }
    assert!(matches!(log.flush(), Err(Error::Write { .. })));
    assert!(log.healthy().is_err());
    fs::remove_file(filler).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.healthy().is_err() {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    log.flush().unwrap();
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.first_problem), (500, None));
}

#[test]
fn a_full_disk_loses_no_event() {
    if let Some(dir) = child::dir() {
        return writer_on_a_full_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    child::run_on_small_disk("audit::a_full_disk_loses_no_event", dir.path(), "1m");
}
