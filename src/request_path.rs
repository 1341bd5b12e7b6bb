//! The one form of a path: what is sent is what was decided about.
//!
//! Servers disagree about what `/v1/%2e%2e/admin` is. [`canonical`] normalises a path as RFC 3986 §6.2.2
//! and §5.2.4 have it, so that for the plain spellings there is nothing to disagree about; what no
//! server should be given is refused. Some spellings mean different things to different servers and
//! cannot be changed without breaking one of them: an encoded slash, an empty segment, parameters
//! behind a semicolon. They are sent as they are, and [`Canonical::readings`] are what lenient servers
//! make of them: a policy is asked about each.

mod readings;

use std::fmt::Write as _;

/// Longest path, in bytes: as much as a request's head may have.
const LONGEST: usize = 64 * 1024;

/// Why a path is not sent to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the path has a `%` that is no escape")]
    Escape,
    /// A control character, as it is or escaped.
    #[error("the path has a control character")]
    Control,
    /// An escaped character in a longer form of UTF-8 than it has, which hides `.` or `/` from some.
    #[error("the path has an overlong escape")]
    Overlong,
    /// `?` or `#`: it is more than a path.
    #[error("the path has a `?` or `#`")]
    NotPath,
    /// Servers may read it in too many ways.
    #[error("the path can be read in too many ways")]
    Ambiguous,
    /// Longer than a request's head may be.
    #[error("the path is too long")]
    TooLong,
}

impl PathError {
    /// Stable, for the audit log.
    #[must_use]
    pub fn code(self) -> &'static str {
        "bad-path"
    }
}

/// A path in its one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    path: String,
    readings: Vec<String>,
}

impl Canonical {
    /// The path to send: begins with `/`, has no dot segments, escapes only what has to be, in upper
    /// case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// What lenient servers may read instead, if that is something else. None has dot segments.
    #[must_use]
    pub fn readings(&self) -> &[String] {
        &self.readings
    }
}

/// The canonical form of a path without its query, as an agent sent it.
///
/// # Errors
/// [`PathError`]: it must not be sent.
pub fn canonical(raw: &str) -> Result<Canonical, PathError> {
    if raw.len() > LONGEST {
        return Err(PathError::TooLong);
    }
    // The empty path of an absolute URI is `/` (RFC 9110 §4.2.3).
    let raw = if raw.is_empty() { "/" } else { raw };
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    let mut path = normalise(raw)?;
    if path.contains("/.") {
        path = remove_dots(&path);
    }
    let readings = readings::of(&path)?;
    Ok(Canonical { path, readings })
}

/// Escapes in one way (RFC 3986 §6.2.2.1, §6.2.2.2): unreserved characters never, what a path cannot
/// hold always, the rest as it was, with upper-case digits.
fn normalise(raw: &str) -> Result<String, PathError> {
    let mut path = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    let mut before = 0;
    while let Some(byte) = bytes.next() {
        // An escaped byte; 0 otherwise, which is never escaped.
        let mut escaped = 0;
        match byte {
            b'%' => {
                let digits = (bytes.next().and_then(hex), bytes.next().and_then(hex));
                let (Some(high), Some(low)) = digits else { return Err(PathError::Escape) };
                escaped = high << 4 | low;
                if escaped.is_ascii_control() {
                    return Err(PathError::Control);
                }
                if is_overlong(before, escaped) {
                    return Err(PathError::Overlong);
                }
                if is_unreserved(escaped) {
                    path.push(char::from(escaped));
                } else {
                    escape(&mut path, escaped);
                }
            }
            b'?' | b'#' => return Err(PathError::NotPath),
            _ if byte.is_ascii_control() => return Err(PathError::Control),
            _ if is_plain(byte) => path.push(char::from(byte)),
            _ => escape(&mut path, byte),
        }
        before = escaped;
    }
    Ok(path)
}

/// Removes `.` and `..` (RFC 3986 §5.2.4) from a path that begins with `/`.
fn remove_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                // What is removed at the end leaves its slash.
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &segments {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    clean
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn escape(path: &mut String, byte: u8) {
    let _: std::fmt::Result = write!(path, "%{byte:02X}");
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// May stand in a path as it is (RFC 3986 §3.3).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte)
}

/// Do these two escaped bytes begin a form that UTF-8 forbids (RFC 3629 §3)? What follows `E0` and `F0`
/// tells as soon as it is there.
fn is_overlong(first: u8, second: u8) -> bool {
    match first {
        0xc0 | 0xc1 => (0x80..=0xbf).contains(&second),
        0xe0 => (0x80..=0x9f).contains(&second),
        0xf0 => (0x80..=0x8f).contains(&second),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
