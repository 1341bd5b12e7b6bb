//! One line of the chain: how it is written, and how it is taken apart. Pure; no file, no clock.

use ring::digest::{SHA256, digest as sha256};
use serde::{Deserialize, Serialize};

use super::Event;

/// The format this program writes.
pub(super) const VERSION: u32 = 1;

/// What the first line's `prev` is.
pub(super) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// `,"hash":"`, 64 digits, `"}`.
const SUFFIX_LEN: usize = 75;

/// `,"prev":"`, 64 digits, `"`.
const PREV_LEN: usize = 74;

/// Where the chain stands: the last line's number and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last line; 0 if there is none.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: ZEROS.to_owned() }
    }
}

/// Appends the line for `event` to `buffer` and moves `head` on. `scratch` is only there to be reused.
pub(super) fn write(
    event: &Event,
    head: &mut Head,
    buffer: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> serde_json::Result<()> {
    scratch.clear();
    serde_json::to_writer(&mut *scratch, event)?;
    // The event's members go between ours: an object without its braces.
    let members = scratch.get(1..scratch.len().saturating_sub(1)).unwrap_or_default();
    let start = buffer.len();
    let seq = head.seq.saturating_add(1);
    buffer.extend_from_slice(format!("{{\"v\":{VERSION},\"seq\":{seq},").as_bytes());
    buffer.extend_from_slice(members);
    buffer.extend_from_slice(format!(",\"prev\":\"{}\"", head.hash).as_bytes());
    let hash = digest(buffer.get(start..).unwrap_or_default());
    buffer.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
    *head = Head { seq, hash };
    Ok(())
}

/// SHA-256, hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(sha256(&SHA256, bytes))
}

/// The members that make the chain. They stand at fixed places, so that checking a line parses no JSON.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    pub(super) hash: &'a str,
    /// What the hash is of.
    content: &'a [u8],
}

impl<'a> Link<'a> {
    /// Takes a line (without its line feed) apart; `None` if it is none of ours.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (content, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX_LEN)?)?;
        let hash = digits(suffix.strip_prefix(b",\"hash\":\"")?.strip_suffix(b"\"}")?)?;
        let (_, prev) = content.split_at_checked(content.len().checked_sub(PREV_LEN)?)?;
        let prev = digits(prev.strip_prefix(b",\"prev\":\"")?.strip_suffix(b"\"")?)?;
        let (v, rest) = number(line.strip_prefix(b"{\"v\":")?)?;
        let (seq, rest) = number(rest.strip_prefix(b",\"seq\":")?)?;
        rest.starts_with(b",").then_some(())?;
        Some(Self { v: u32::try_from(v).ok()?, seq, prev, hash, content })
    }

    /// Does the line's content have the hash it claims?
    pub(super) fn holds(&self) -> bool {
        let mut hash = [0; 64];
        hex::encode_to_slice(sha256(&SHA256, self.content), &mut hash).is_ok()
            && hash == self.hash.as_bytes()
    }

    /// Where the chain stands after this line.
    pub(super) fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.to_owned() }
    }
}

/// Bytes that are lower-case hexadecimal digits, as text.
fn digits(bytes: &[u8]) -> Option<&str> {
    let all = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    std::str::from_utf8(bytes).ok().filter(|_| all)
}

/// The decimal number at the beginning, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Entry, Kind};

    fn line() -> Vec<u8> {
        let mut buffer = Vec::new();
        let event = Event::new(Kind::Request);
        write(&event, &mut Head::default(), &mut buffer, &mut Vec::new()).unwrap();
        assert_eq!(buffer.pop(), Some(b'\n'));
        buffer
    }

    #[test]
    fn a_line_holds_and_reads_back() {
        let line = line();
        assert!(Link::parse(&line).unwrap().holds());
        let entry: Entry = serde_json::from_slice(&line).unwrap();
        assert_eq!((entry.v, entry.seq, entry.prev.as_str()), (VERSION, 1, ZEROS));
        assert_eq!(entry.event.kind, Kind::Request);
    }

    #[test]
    fn no_byte_of_a_line_can_be_changed() {
        let line = line();
        for at in 0..line.len() {
            let mut changed = line.clone();
            changed[at] ^= 1;
            assert!(!Link::parse(&changed).is_some_and(|link| link.holds()), "byte {at}");
        }
    }

    #[test]
    fn lines_are_numbered_and_linked() {
        let (mut head, mut buffer, mut scratch) = (Head::default(), Vec::new(), Vec::new());
        for _ in 0..3 {
            write(&Event::new(Kind::Run), &mut head, &mut buffer, &mut scratch).unwrap();
        }
        let links: Vec<Link<'_>> = buffer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| Link::parse(line).unwrap())
            .collect();
        assert_eq!(links.iter().map(|link| link.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(links.windows(2).all(|pair| pair[0].hash == pair[1].prev));
        assert_eq!(links[2].head(), head);
    }

    #[test]
    fn what_is_no_line_is_taken_for_none() {
        let line = line();
        for length in 0..line.len() {
            assert!(Link::parse(&line[..length]).is_none(), "cut at {length}");
        }
        assert!(Link::parse(b"{}").is_none());
    }
}
