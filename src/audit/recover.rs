//! Where an existing log ends: the head of its chain, and what a crash left after it.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    Event, Torn,
    chain::{Head, Link, digest},
};

/// More than one write of the log ever holds: a crash can't leave more than that behind.
pub(super) const TAIL_MAX: u64 = 2 * 1024 * 1024;

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// A whole line, or nothing at all.
    Whole(Head),
    /// A whole line whose line feed is missing.
    Unended(Head),
    /// Bytes after the last whole line, described by the event that vouches for them.
    Torn(Head, Box<Event>),
    /// No whole line where there should be one.
    Damaged,
}

/// Looks at the end of a file of the log, whose first line follows `before`.
///
/// A last line that has the form of one but not the hash it claims is not a remnant: somebody changed
/// it. The chain goes on from its claim, and `verify` points at it.
pub(super) fn end(file: &File, before: &Head) -> io::Result<End> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(End::Whole(before.clone()));
    }
    let start = length.saturating_sub(TAIL_MAX);
    let mut tail = vec![0; usize::try_from(length - start).unwrap_or_default()];
    file.read_exact_at(&mut tail, start)?;

    // Back from the end, to the last line that is one.
    let mut end = tail.len();
    loop {
        let lines = tail.get(..end).unwrap_or_default();
        let begin = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = lines.get(begin..).unwrap_or_default();
        // Cut by the window, not by a crash.
        let whole = begin > 0 || start == 0;
        if let Some(link) = Link::parse(line).filter(|_| whole) {
            let head = link.head();
            return Ok(match tail.get(end..).unwrap_or_default() {
                [] => End::Unended(head),
                b"\n" => End::Whole(head),
                [_, rest @ ..] => torn(head, rest),
            });
        }
        if begin == 0 {
            // Not even the first line was finished, or the file is none of ours.
            return Ok(if start == 0 && !tail.contains(&b'\n') {
                torn(before.clone(), &tail)
            } else {
                End::Damaged
            });
        }
        end = begin - 1;
    }
}

fn torn(head: Head, rest: &[u8]) -> End {
    let mut event = Event::of_log("recovered");
    event.torn = Some(Torn { bytes: rest.len() as u64, sha256: digest(rest) });
    End::Torn(head, Box::new(event))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::audit::{Kind, chain};

    fn log(lines: usize) -> (Vec<u8>, Head) {
        let (mut head, mut buffer) = (Head::default(), Vec::new());
        for _ in 0..lines {
            chain::write(&Event::new(Kind::Run), &mut head, &mut buffer, &mut Vec::new()).unwrap();
        }
        (buffer, head)
    }

    fn end_of(bytes: &[u8]) -> End {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        end(&file, &Head::default()).unwrap()
    }

    #[test]
    fn an_empty_log_begins_with_zeros() {
        assert_eq!(end_of(b""), End::Whole(Head::default()));
    }

    #[test]
    fn every_cut_of_the_last_line_leads_back_to_the_line_before() {
        let (two, _) = log(2);
        let first = two.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let link = Link::parse(&two[..first - 1]).unwrap();
        let before = link.head();
        for cut in first + 1..two.len() - 1 {
            let End::Torn(head, event) = end_of(&two[..cut]) else { panic!("cut at {cut}") };
            assert_eq!(head, before);
            assert_eq!(event.torn.unwrap().bytes, (cut - first) as u64);
        }
        assert_eq!(end_of(&two[..first]), End::Whole(before));
    }

    #[test]
    fn a_line_that_lacks_only_its_line_feed_is_whole() {
        let (bytes, head) = log(3);
        assert_eq!(end_of(&bytes[..bytes.len() - 1]), End::Unended(head));
    }

    #[test]
    fn a_crash_in_the_very_first_line_starts_anew() {
        let (bytes, _) = log(1);
        assert!(matches!(end_of(&bytes[..40]), End::Torn(head, _) if head == Head::default()));
    }

    #[test]
    fn a_remnant_may_have_line_feeds_of_an_interrupted_recovery() {
        let (mut bytes, head) = log(1);
        bytes.extend_from_slice(b"{\"v\":1,\n{\"v\"");
        assert!(matches!(end_of(&bytes), End::Torn(found, _) if found == head));
    }

    #[test]
    fn a_file_that_follows_another_goes_on_from_its_end() {
        let before = Head { seq: 7, hash: "7".repeat(64) };
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(end(&file, &before).unwrap(), End::Whole(before.clone()));
        file.write_all(b"{\"v\":1").unwrap();
        assert!(matches!(end(&file, &before).unwrap(), End::Torn(head, _) if head == before));
    }

    #[test]
    fn a_file_of_something_else_is_not_continued() {
        assert_eq!(end_of(b"hello\nworld\n"), End::Damaged);
    }
}
