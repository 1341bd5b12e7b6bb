//! What a request head may look like (RFC 9112 §2–§3, §5), one line at a time.
//!
//! Stricter than the grammar where two parsers are known to read the same bytes differently: that
//! difference is what request smuggling is made of. What is checked here is *framing*; a server
//! parses the same bytes afterwards and judges the rest.

use memchr::memchr;

/// What a body's bytes are delimited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What the lines of a head have said so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    started: bool,
    http_1_1: bool,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    switches: bool,
}

impl Head {
    /// Takes one line, without its CRLF. True if it was the one that ends the head.
    ///
    /// # Errors
    /// The code of what is wrong with it, or with the head as a whole.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<bool, &'static str> {
        if line.is_empty() {
            // Empty lines before a request are skipped (RFC 9112 §2.2).
            return if self.started { self.end().map(|()| true) } else { Ok(false) };
        }
        check_characters(line)?;
        if !self.started {
            self.started = true;
            self.request_line(line)?;
        } else {
            self.field(line)?;
        }
        Ok(false)
    }

    /// How the body that follows is delimited.
    pub(super) fn body(&self) -> Body {
        if self.chunked { Body::Chunked } else { Body::Length(self.length.unwrap_or(0)) }
    }

    /// Whether the connection may speak something else after the response. Any `Upgrade` counts, as
    /// for hyper, which does not ask for the matching `Connection`.
    pub(super) fn may_switch(&self) -> bool {
        self.switches
    }

    fn end(&self) -> Result<(), &'static str> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err("http-length-and-encoding"),
            // RFC 9112 §6.1: an HTTP/1.0 sender does not know chunks.
            (None, true) if !self.http_1_1 => Err("http-transfer-encoding"),
            _ => Ok(()),
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let mut words = line.split(|&b| b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("http-request-line");
        };
        let good_version = matches!(version, b"HTTP/1.0" | b"HTTP/1.1");
        if !is_token(method) || target.is_empty() || line.contains(&b'\t') || !good_version {
            return Err("http-request-line");
        }
        self.http_1_1 = version == b"HTTP/1.1";
        self.switches = method == b"CONNECT";
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err("http-line-folding");
        }
        let (name, value) = memchr(b':', line)
            .and_then(|colon| line.split_at_checked(colon))
            .ok_or("http-header-name")?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // Covers whitespace before the colon too (RFC 9112 §5.1).
        if !is_token(name) {
            return Err("http-header-name");
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = parse_length(value).ok_or("http-content-length")?;
            // Two that agree are refused as well: no client sends them by itself.
            if self.length.replace(length).is_some() {
                return Err("http-content-length");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("http-transfer-encoding");
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            if std::mem::replace(&mut self.host, true) {
                return Err("http-duplicate-host");
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.switches = true;
        }
        Ok(())
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Neither a control character other than a tab.
pub(super) fn is_text_byte(b: u8) -> bool {
    b == b'\t' || (b >= b' ' && b != 0x7f)
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// A line has no control characters; a CR in it is named apart, being the one that is sent on
/// purpose.
fn check_characters(line: &[u8]) -> Result<(), &'static str> {
    match line.iter().copied().find(|&b| !is_text_byte(b)) {
        None => Ok(()),
        Some(b'\r') => Err("http-bare-cr"),
        Some(_) => Err("http-control-character"),
    }
}

/// Digits and nothing else: no sign, no list, no more than fit a file offset.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
