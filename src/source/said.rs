//! What a failed program says of its failure, fit to be shown to the user who configured it.
//!
//! Nobody knows what a program writes to standard error. So it is one line, without what looks like a
//! secret; and it goes to that user only, neither to an agent nor into a log.

use zeroize::Zeroizing;

/// Longest line that is shown, in bytes.
const MAX_LINE: usize = 200;
/// Words at least this long, with a digit in them, could be a secret.
const SUSPECT: usize = 12;

/// The first line of standard error that says something, without whatever could be a secret: what
/// standard output has too, and long words with digits in them.
pub(super) fn shown(said: &[u8], out: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let out = Zeroizing::new(String::from_utf8_lossy(out).into_owned());
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    if out.lines().map(str::trim).any(|secret| !secret.is_empty() && line.contains(secret)) {
        return None;
    }
    let suspect = |word: &str| {
        word.len() >= SUSPECT && word.bytes().any(|byte| byte.is_ascii_digit())
            || word.len() >= 2 * SUSPECT
    };
    let part = |c: char| c.is_ascii_alphanumeric() || "+/=_-.~%".contains(c);
    let mut shown = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = if part(first) {
            rest.find(|c: char| !part(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(end);
        match word {
            word if suspect(word) => shown.push('…'),
            word if word.chars().any(char::is_control) => shown.push(' '),
            word => shown.push_str(word),
        }
        rest = after;
    }
    let end = shown.floor_char_boundary(MAX_LINE);
    shown.truncate(end);
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_could_be_secrets_are_not_shown() {
        let line =
            shown(b"\ntoken ghp_0123456789 of my-account: no op://vault/item\n", b"").unwrap();
        assert_eq!(line, "token … of my-account: no op://vault/item");
    }

    #[test]
    fn steering_characters_are_not_shown() {
        assert_eq!(shown(b"a\x1b[31mb", b"").unwrap(), "a [31mb");
    }
}
