//! What lenient servers make of a path.

use std::collections::BTreeSet;

use super::{PathError, escape, hex, is_plain, is_unreserved, remove_dots};

/// Most readings of one path; what has more is not sent.
const MOST: usize = 32;

/// The readings of a canonical path that are not the path itself.
///
/// Each step is something that servers, or proxies before them, are known to do; in which order and how
/// often differs, so every order is taken until nothing new comes of it.
pub(super) fn of(path: &str) -> Result<Vec<String>, PathError> {
    if !is_lenient(path) {
        return Ok(Vec::new());
    }
    let mut seen = BTreeSet::from([path.to_owned()]);
    let mut waiting = vec![path.to_owned()];
    let mut readings = BTreeSet::new();
    while let Some(form) = waiting.pop() {
        readings.insert(remove_dots(&plain(&form)?));
        for step in [decode, slashes, merge, without_parameters, without_end, dots] {
            let next = step(&form);
            if seen.len() > 4 * MOST || readings.len() > MOST {
                return Err(PathError::Ambiguous);
            }
            if !seen.contains(&next) {
                seen.insert(next.clone());
                waiting.push(next);
            }
        }
    }
    readings.remove(path);
    Ok(readings.into_iter().collect())
}

/// Is there anything that could be read in another way?
fn is_lenient(path: &str) -> bool {
    path.contains(['%', ';']) || path.contains("//") || (path.len() > 1 && path.ends_with('/'))
}

/// Escapes are decoded, once: those of ASCII, for no other character has a meaning in a path.
fn decode(form: &str) -> String {
    unescape(form, |_| true)
}

/// Encoded slashes are slashes, and so are backslashes.
fn slashes(form: &str) -> String {
    unescape(form, |byte| matches!(byte, b'/' | b'\\')).replace('\\', "/")
}

/// Empty segments are dropped.
fn merge(form: &str) -> String {
    let mut merged = String::with_capacity(form.len());
    for character in form.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

/// Each segment ends at its semicolon.
fn without_parameters(form: &str) -> String {
    let segments = form.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/")
}

/// A slash at the end is nothing.
fn without_end(form: &str) -> String {
    let shorter = form.strip_suffix('/').filter(|shorter| !shorter.is_empty());
    shorter.unwrap_or(form).to_owned()
}

fn dots(form: &str) -> String {
    remove_dots(form)
}

fn unescape(form: &str, wanted: impl Fn(u8) -> bool) -> String {
    let mut parts = form.split('%');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut digits = part.bytes();
        let byte = match (digits.next().and_then(hex), digits.next().and_then(hex)) {
            (Some(high), Some(low)) => Some(high << 4 | low),
            _ => None,
        };
        match byte.filter(|byte| byte.is_ascii() && wanted(*byte)) {
            Some(byte) => {
                decoded.push(char::from(byte));
                decoded.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                decoded.push('%');
                decoded.push_str(part);
            }
        }
    }
    decoded
}

/// Back to what a policy is asked about: escaped as the canonical form is, so that only what a path is
/// made of differs. What decoding has left may be no escape; then it stands for itself.
fn plain(form: &str) -> Result<String, PathError> {
    let mut path = String::with_capacity(form.len() + 1);
    let mut rest = form.as_bytes();
    if !form.starts_with('/') {
        path.push('/');
    }
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let byte = escaped.map_or(*first, |(high, low)| high << 4 | low);
        if byte.is_ascii_control() {
            return Err(PathError::Control);
        }
        let stays = if escaped.is_some() { is_unreserved(byte) } else { is_plain(byte) };
        if stays {
            path.push(char::from(byte));
        } else {
            escape(&mut path, byte);
        }
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Ok(path)
}
