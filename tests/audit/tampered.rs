//! Tampering with one file: every change is found, where it was made.

use std::fs;

use authsome::{
    audit::{AuditLog, Options, read, read::Fault},
    paths,
};

use super::support::{event, fault, first_problem, lines, log, rewrite};

#[test]
fn a_changed_byte_is_found_at_its_line() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all[4] = all[4].replace("\"status\":200", "\"status\":201");
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
fn a_line_torn_by_a_crash_is_kept_noted_and_accepted() {
    let (_dir, path) = log(10);
    let bytes = fs::read(&path).unwrap();
    let torn = bytes.len() - 60;
    paths::write_private(&path, &bytes[..torn]).unwrap();
    assert!(read::verify(&path).unwrap().unended);
    AuditLog::open(&path, Options::default()).unwrap().append(event(1)).unwrap();
    assert!(fs::read(&path).unwrap().starts_with(&bytes[..torn]), "append-only");
    let report = read::verify(&path).unwrap();
    assert_eq!((report.records, report.recovered, report.first_problem), (11, 1, None));
}

#[test]
fn a_changed_remnant_of_a_crash_is_found() {
    let (_dir, path) = log(10);
    let bytes = fs::read(&path).unwrap();
    paths::write_private(&path, &bytes[..bytes.len() - 60]).unwrap();
    drop(AuditLog::open(&path, Options::default()).unwrap());
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
    AuditLog::open(&path, Options::default()).unwrap().append(event(1)).unwrap();
    assert_eq!(first_problem(&path), Some(10));
}

#[test]
fn any_byte_that_is_flipped_is_found_at_its_line() {
    let (_dir, path) = log(3);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x02;
        paths::write_private(&path, &changed).unwrap();
        let report = read::verify(&path).unwrap();
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        let problem = report.first_problem.map(|problem| problem.line);
        // The last line feed makes the last line one that is being written.
        let is_last = at == bytes.len() - 1;
        assert!(problem == Some(line) || is_last && report.unended, "byte {at}: {problem:?}");
    }
}

#[test]
fn any_line_that_is_deleted_is_missed_where_it_was() {
    let (_dir, path) = log(6);
    let all = lines(&path);
    for at in 0..all.len() - 1 {
        let mut fewer = all.clone();
        fewer.remove(at);
        rewrite(&path, &fewer);
        let number = at as u64 + 1;
        assert_eq!(first_problem(&path), Some(number));
        let expected = if at == 0 {
            Fault::BeginsLate { begins: 2 }
        } else {
            Fault::Missing { count: 1, found: number + 1, expected: number }
        };
        assert_eq!(fault(&path), Some(expected));
    }
}

#[test]
fn the_first_problem_is_the_first_also_when_the_beginning_is_gone() {
    let (_dir, path) = log(10);
    let mut all = lines(&path);
    all.remove(4);
    all.remove(0);
    rewrite(&path, &all);
    assert_eq!(first_problem(&path), Some(1));
}

#[test]
fn any_two_lines_that_are_swapped_are_out_of_order() {
    let (_dir, path) = log(6);
    let all = lines(&path);
    for one in 0..all.len() {
        for other in one + 1..all.len() {
            let mut swapped = all.clone();
            swapped.swap(one, other);
            rewrite(&path, &swapped);
            assert_eq!(first_problem(&path), Some(one as u64 + 1), "{one} {other}");
            if one > 0 {
                let (expected, found, at) = (one as u64 + 1, other as u64 + 1, other as u64 + 1);
                assert_eq!(fault(&path), Some(Fault::OutOfOrder { found, expected, at }));
            }
        }
    }
}

#[test]
fn any_line_that_is_there_twice_is_named() {
    let (_dir, path) = log(6);
    let all = lines(&path);
    for at in 0..all.len() {
        let mut more = all.clone();
        more.insert(at, all[at].clone());
        rewrite(&path, &more);
        let (found, expected) = (at as u64 + 1, at as u64 + 2);
        assert_eq!(first_problem(&path), Some(expected));
        assert_eq!(fault(&path), Some(Fault::Repeated { found, expected }));
    }
}

#[test]
fn an_inserted_line_is_found() {
    let (_dir, path) = log(6);
    let mut all = lines(&path);
    all.insert(4, "{}".to_owned());
    rewrite(&path, &all);
    assert_eq!((first_problem(&path), fault(&path)), (Some(5), Some(Fault::NotALine)));
}

#[test]
fn a_line_of_another_log_does_not_follow() {
    let ((_dir, path), (_other_dir, other)) = (log(6), log(6));
    let mut all = lines(&path);
    all.truncate(3);
    all.extend(lines(&other).split_off(3));
    rewrite(&path, &all);
    assert_eq!((first_problem(&path), fault(&path)), (Some(4), Some(Fault::Unlinked)));
}

#[test]
fn a_problem_has_its_file_line_and_byte() {
    let (_dir, path) = log(3);
    let mut all = lines(&path);
    all[1] = all[1].replace("\"status\":200", "\"status\":201");
    rewrite(&path, &all);
    let problem = read::verify(&path).unwrap().first_problem.unwrap();
    let byte = all[0].len() as u64 + 1;
    assert_eq!((&problem.file, problem.line, problem.byte), (&path, 2, byte));
    let text = problem.to_string();
    assert!(
        text.contains("audit.log:2: it was changed") && text.contains(&byte.to_string()),
        "{text}"
    );
}
