//! The signed head: a log that is cut short, put back or computed anew is found.

use std::{fs, path::Path};

use authsome::{
    audit::{
        AuditLog, Signer,
        read::{self, Fault, Head, KeyFrom, Trust},
    },
    paths,
};

use super::support::{Key, event, fault, lines, log, log_with, rewrite, signed, signed_by};

fn head(path: &Path) -> std::path::PathBuf {
    path.with_extension("head")
}

#[test]
fn a_log_cut_at_any_byte_is_cut_short() {
    let (_dir, path) = log_with(2, signed());
    let bytes = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for length in (0..bytes.len()).rev() {
        file.set_len(length as u64).unwrap();
        let has = bytes[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(fault(&path), Some(Fault::Truncated { has, says: 2 }), "{length} bytes");
    }
}

#[test]
fn a_log_without_its_file_is_cut_short() {
    let (_dir, path) = log_with(4, signed());
    fs::remove_file(&path).unwrap();
    assert_eq!(fault(&path), Some(Fault::Truncated { has: 0, says: 4 }));
}

#[test]
fn lines_that_no_head_names_yet_are_no_fault() {
    let (_dir, path) = log_with(4, signed());
    let before = fs::read(head(&path)).unwrap();
    let log = AuditLog::open(&path, signed()).unwrap();
    log.append(event(5)).unwrap();
    drop(log);
    // As after a crash between the lines and the head.
    paths::write_private(&head(&path), &before).unwrap();
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.first_problem), (5, None));
    assert_eq!(report.signed.unwrap().seq, 4);
}

#[test]
fn an_older_head_is_found_by_who_remembers_a_newer_one() {
    let (_dir, path) = log_with(2, signed());
    let (old_head, old_log) = (fs::read(head(&path)).unwrap(), fs::read(&path).unwrap());
    let log = AuditLog::open(&path, signed()).unwrap();
    log.append(event(3)).unwrap();
    log.flush().unwrap();
    let newest = log.condition().signed.unwrap();
    drop(log);
    paths::write_private(&head(&path), &old_head).unwrap();
    paths::write_private(&path, &old_log).unwrap();
    assert_eq!(fault(&path), None);

    let remembered = Head { seq: newest.seq, hash: newest.hash.clone() };
    let trust = Trust { head: Some(remembered), key: Some(Key::new(1).public_key()) };
    let problem = read::verify_with(&path, &trust).unwrap().first_problem.unwrap();
    assert_eq!(problem.fault, Fault::Truncated { has: 2, says: 3 });

    let log = AuditLog::open(&path, signed_by(1, Some(newest))).unwrap();
    assert!(log.condition().alarm.unwrap().contains("an older one"));
    drop(log);
    assert!(matches!(fault(&path), Some(Fault::Noted(_))));
}

#[test]
fn a_head_that_is_gone_is_missed() {
    let (_dir, path) = log_with(4, signed());
    fs::remove_file(head(&path)).unwrap();
    assert_eq!(fault(&path), Some(Fault::HeadMissing));
}

#[test]
fn a_head_that_was_changed_is_no_head() {
    let (_dir, path) = log_with(4, signed());
    let text = fs::read_to_string(head(&path)).unwrap();
    paths::write_private(&head(&path), text.replace("\"seq\":4", "\"seq\":3").as_bytes()).unwrap();
    assert_eq!(fault(&path), Some(Fault::HeadForged));
    paths::write_private(&head(&path), b"").unwrap();
    assert_eq!(fault(&path), Some(Fault::HeadForged));
}

#[test]
fn a_whole_other_log_is_not_the_one_that_was_signed() {
    let (_dir, path) = log_with(4, signed());
    let (_other_dir, other) = log(6);
    fs::copy(&other, &path).unwrap();
    assert_eq!(fault(&path), Some(Fault::AnotherChain { seq: 4 }));
}

#[test]
fn a_log_signed_anew_with_another_key_is_forged() {
    let (_dir, path) = log_with(4, signed());
    let (_other_dir, other) = log_with(6, signed_by(2, None));
    fs::copy(&other, &path).unwrap();
    fs::copy(head(&other), head(&path)).unwrap();
    assert_eq!(fault(&path), Some(Fault::HeadForged));
    // With the key beside it exchanged too, only who has the key from elsewhere sees it.
    fs::copy(other.with_extension("pub"), path.with_extension("pub")).unwrap();
    assert_eq!(fault(&path), None);
    let trust = Trust { key: Some(Key::new(1).public_key()), head: None };
    let problem = read::verify_with(&path, &trust).unwrap().first_problem.unwrap();
    assert_eq!(problem.fault, Fault::HeadForged);
}

#[test]
fn whose_word_the_key_is_taken_on_is_said() {
    let (_dir, path) = log_with(1, signed());
    let from = |trust: &Trust| read::verify_with(&path, trust).unwrap().signed.unwrap().key_from;
    let known = Trust { key: Some(Key::new(1).public_key()), head: None };
    assert_eq!(from(&known), KeyFrom::Caller);
    assert_eq!(from(&Trust::default()), KeyFrom::File);
    fs::remove_file(path.with_extension("pub")).unwrap();
    assert_eq!(from(&Trust::default()), KeyFrom::Head);
}

#[test]
fn what_was_done_to_a_closed_log_is_on_record_when_it_is_opened() {
    for done in [
        |path: &Path| rewrite(path, &lines(path)[..3]),
        |path: &Path| fs::remove_file(head(path)).unwrap(),
        |path: &Path| paths::write_private(&head(path), b"{}").unwrap(),
        |path: &Path| {
            fs::copy(log(5).1, path).unwrap();
        },
    ] as [fn(&Path); 4]
    {
        let (_dir, path) = log_with(0, signed());
        let log = AuditLog::open(&path, signed()).unwrap();
        (0..4).for_each(|n| log.append(event(n)).unwrap());
        log.flush().unwrap();
        let remembered = log.condition().signed;
        drop(log);
        done(&path);
        drop(AuditLog::open(&path, signed_by(1, remembered)).unwrap());
        // And stays, also when it has been signed and opened again.
        drop(AuditLog::open(&path, signed()).unwrap());
        assert!(matches!(fault(&path), Some(Fault::Noted(_))), "{:?}", fault(&path));
    }
}

#[test]
fn a_log_that_was_put_away_whole_begins_anew_without_an_alarm() {
    let (_dir, path) = log_with(4, signed());
    let remembered = {
        let log = AuditLog::open(&path, signed()).unwrap();
        log.condition().signed
    };
    fs::remove_file(&path).unwrap();
    fs::remove_file(head(&path)).unwrap();
    let log = AuditLog::open(&path, signed_by(1, remembered)).unwrap();
    assert_eq!(log.condition().alarm, None);
    drop(log);
    let entries = read::tail(&path, 9).unwrap();
    assert_eq!(entries[0].event.operation.as_deref(), Some("began"));
    assert_eq!(fault(&path), None);
}

#[test]
fn a_new_key_is_on_record() {
    let (_dir, path) = log_with(2, signed());
    drop(AuditLog::open(&path, signed_by(2, None)).unwrap());
    let entries = read::tail(&path, 1).unwrap();
    assert_eq!(entries[0].event.operation.as_deref(), Some("rekeyed"));
    assert_eq!(fault(&path), None);
}
