//! The spellings of a secret, each with the placeholder spelled alike and cut to the same length.
//!
//! | encoding | as written by |
//! |---|---|
//! | plain | everybody |
//! | percent | URL libraries; both cases of the digits, several sets of escaped characters |
//! | JSON | the mandatory escapes, `\/` (PHP), `\u003c` (Go), `\u002B` (.NET), both cases |
//! | HTML | entities of `& < > " '` |
//! | base64 | anything with the secret somewhere in it; both alphabets, percent-encoded too |
//! | hexadecimal | both cases |

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::MIN_SECRET;

/// Fills up a replacement where the placeholder is too short.
const PAD: u8 = b'*';

/// One spelling and what takes its place.
pub(super) struct Pattern {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Of the same length.
    pub(super) replacement: Vec<u8>,
    /// The character behind the match that carries the rest of the secret.
    pub(super) edge: Option<Edge>,
    /// Which of the secrets it spells, by its place among them.
    pub(super) of: usize,
}

/// A base64 character whose first bits belong to the secret and whose last ones to what follows.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    alphabet: Alphabet,
    /// How many of the six bits are the secret's.
    bits: u32,
    /// The placeholder's in their place.
    value: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Standard,
    UrlSafe,
}

impl Edge {
    /// `character` with the placeholder's bits in place of the secret's. What is not of the alphabet is
    /// no base64, and is left alone.
    pub(super) fn mend(self, character: u8) -> u8 {
        let Some(old) = self.alphabet.value(character) else { return character };
        let kept = (1 << (6 - self.bits)) - 1;
        self.alphabet.character((self.value & !kept) | (old & kept))
    }
}

impl Alphabet {
    const BOTH: [Self; 2] = [Self::Standard, Self::UrlSafe];

    fn engine(self) -> &'static GeneralPurpose {
        match self {
            Self::Standard => &STANDARD_NO_PAD,
            Self::UrlSafe => &URL_SAFE_NO_PAD,
        }
    }

    fn last_two(self) -> [u8; 2] {
        match self {
            Self::Standard => *b"+/",
            Self::UrlSafe => *b"-_",
        }
    }

    fn value(self, character: u8) -> Option<u8> {
        let [c62, c63] = self.last_two();
        match character {
            b'A'..=b'Z' => Some(character - b'A'),
            b'a'..=b'z' => Some(character - b'a' + 26),
            b'0'..=b'9' => Some(character - b'0' + 52),
            _ if character == c62 => Some(62),
            _ if character == c63 => Some(63),
            _ => None,
        }
    }

    fn character(self, value: u8) -> u8 {
        let [c62, c63] = self.last_two();
        match value {
            0..=25 => b'A' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            62 => c62,
            _ => c63,
        }
    }
}

/// Every spelling of `secret`. Some may be the same. None if it must not be looked for.
pub(super) fn all(secret: &SecretString, placeholder: &str) -> Vec<Pattern> {
    let secret = secret.expose_secret().as_bytes();
    if secret.len() < MIN_SECRET || secret == placeholder.as_bytes() {
        return Vec::new();
    }
    let placeholder = fit(placeholder, secret.len());
    let mut patterns = Vec::new();
    for escape in ESCAPES {
        patterns.push(escaped(secret, &placeholder, *escape));
    }
    for alphabet in Alphabet::BOTH {
        for offset in 0..3 {
            base64(secret, &placeholder, alphabet, offset, &mut patterns);
        }
    }
    patterns
}

/// `text` as it is, to be found and not replaced.
pub(super) fn plain(text: &str, of: usize) -> Pattern {
    let bytes = Zeroizing::new(text.as_bytes().to_vec());
    Pattern { bytes, replacement: Vec::new(), edge: None, of }
}

/// The placeholder with as many bytes as the secret, all of them ASCII, so that no cut and no encoding
/// makes anything else than text.
fn fit(placeholder: &str, len: usize) -> Vec<u8> {
    let printable = |b: u8| if b.is_ascii_graphic() { b } else { PAD };
    let mut fitted: Vec<u8> = placeholder.bytes().take(len).map(printable).collect();
    fitted.resize(len, PAD);
    fitted
}

/// Appends one byte of a secret as an encoder writes it.
type Escape = fn(u8, &mut Vec<u8>);

const ESCAPES: &[Escape] = &[
    |b, out| out.push(b),
    // All but letters and digits, encodeURIComponent, encodeURI, paths, forms, and all that is not
    // unreserved (RFC 3986 §2.3).
    |b, out| percent(b, b"", UPPER, out),
    |b, out| percent(b, b"", LOWER, out),
    |b, out| percent(b, b"-_.~!*'()", UPPER, out),
    |b, out| percent(b, b"-_.~!*'()", LOWER, out),
    |b, out| percent(b, b"-_.~!*'();/?:@&=+$,#", UPPER, out),
    |b, out| percent(b, b"-_.~!*'();/?:@&=+$,#", LOWER, out),
    |b, out| percent(b, b"-_.~!$&'()*+,;=:@", UPPER, out),
    |b, out| percent(b, b"-_.~!$&'()*+,;=:@", LOWER, out),
    |b, out| percent(b, b"-_.*", UPPER, out),
    |b, out| percent(b, b"-_.*", LOWER, out),
    |b, out| percent(b, b"-_.~", UPPER, out),
    |b, out| percent(b, b"-_.~", LOWER, out),
    // JSON: the least, with slashes, as Go does, as .NET does.
    |b, out| json(b, b"", LOWER, out),
    |b, out| match b {
        b'/' => out.extend_from_slice(b"\\/"),
        _ => json(b, b"", LOWER, out),
    },
    |b, out| json(b, b"<>&", LOWER, out),
    |b, out| json(b, b"<>&", UPPER, out),
    |b, out| json(b, b"<>&'", LOWER, out),
    |b, out| json(b, b"<>&'", UPPER, out),
    |b, out| json(b, b"+", LOWER, out),
    |b, out| json(b, b"<>&'+`", LOWER, out),
    |b, out| match b {
        b'"' => unicode(b, UPPER, out),
        _ => json(b, b"<>&'+`", UPPER, out),
    },
    |b, out| html(b, b"&quot;", b"&#39;", out),
    |b, out| html(b, b"&quot;", b"&#x27;", out),
    |b, out| html(b, b"&#34;", b"&#39;", out),
    |b, out| html(b, b"\"", b"'", out),
    |b, out| hex(b, LOWER, out),
    |b, out| hex(b, UPPER, out),
];

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn hex(b: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.extend(digits.get(usize::from(b >> 4)));
    out.extend(digits.get(usize::from(b & 15)));
}

fn percent(b: u8, kept: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    if b.is_ascii_alphanumeric() || kept.contains(&b) {
        out.push(b);
    } else {
        out.push(b'%');
        hex(b, digits, out);
    }
}

/// RFC 8259 §7, and `\u` for `more`.
fn json(b: u8, more: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    match b {
        _ if more.contains(&b) => unicode(b, digits, out),
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..=0x1f => unicode(b, digits, out),
        _ => out.push(b),
    }
}

fn unicode(b: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u00");
    hex(b, digits, out);
}

fn html(b: u8, quote: &[u8], apostrophe: &[u8], out: &mut Vec<u8>) {
    match b {
        b'&' => out.extend_from_slice(b"&amp;"),
        b'<' => out.extend_from_slice(b"&lt;"),
        b'>' => out.extend_from_slice(b"&gt;"),
        b'"' => out.extend_from_slice(quote),
        b'\'' => out.extend_from_slice(apostrophe),
        _ => out.push(b),
    }
}

fn escaped(secret: &[u8], placeholder: &[u8], escape: Escape) -> Pattern {
    // Room for the longest escape, so that no copy of a secret is left behind by growth.
    let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len() * 6));
    secret.iter().for_each(|&b| escape(b, &mut bytes));
    let replacement = refit(placeholder, escape, bytes.len());
    Pattern { bytes, replacement, edge: None, of: 0 }
}

/// The escaped placeholder with exactly `len` bytes. An escape is left out rather than cut in two.
fn refit(placeholder: &[u8], escape: Escape, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let mut one = Vec::new();
    for &b in placeholder {
        one.clear();
        escape(b, &mut one);
        if out.len() + one.len() > len {
            break;
        }
        out.extend_from_slice(&one);
    }
    // In hexadecimal the padding has to stay hexadecimal; there it is never needed, as both are of
    // one length.
    out.resize(len, PAD);
    out
}

/// The secret as it looks inside of a longer base64 text, `offset` bytes behind a multiple of three.
///
/// Characters that hold bits of a neighbour are not part of the pattern. The one before keeps up to
/// four bits of the secret's first byte, which its placeholder usually shares; the one behind is mended
/// (see [`Edge`]).
fn base64(
    secret: &[u8],
    placeholder: &[u8],
    alphabet: Alphabet,
    offset: usize,
    patterns: &mut Vec<Pattern>,
) {
    // Bits 8 * offset up to 8 * (offset + len) are the secret's; characters have six.
    let first = (8 * offset).div_ceil(6);
    let end_bit = 8 * (offset + secret.len());
    let inner = first..end_bit / 6;
    let encode = |text: &[u8]| {
        let mut shifted = Zeroizing::new(vec![0; offset]);
        shifted.reserve_exact(text.len());
        shifted.extend_from_slice(text);
        Zeroizing::new(alphabet.engine().encode(&*shifted).into_bytes())
    };
    let (secret, placeholder) = (encode(secret), encode(placeholder));
    let bytes = secret.get(inner.clone()).unwrap_or_default();
    let replacement = placeholder.get(inner.clone()).unwrap_or_default();
    let value = placeholder.get(inner.end).and_then(|&c| alphabet.value(c));
    let bits = u32::try_from(end_bit % 6).unwrap_or(0);
    let edge = value.map(|value| Edge { alphabet, bits, value });
    if alphabet == Alphabet::Standard {
        // As a parameter or in a path; `\/` in JSON. The edge is not worth an escape of its own.
        let wrapped: [Escape; 3] = [
            |b, out| percent(b, b"", UPPER, out),
            |b, out| percent(b, b"", LOWER, out),
            |b, out| match b {
                b'/' => out.extend_from_slice(b"\\/"),
                _ => out.push(b),
            },
        ];
        for escape in wrapped {
            let pattern = escaped(bytes, replacement, escape);
            if *pattern.bytes != bytes {
                patterns.push(pattern);
            }
        }
    }
    patterns.push(Pattern {
        bytes: Zeroizing::new(bytes.to_vec()),
        replacement: replacement.to_vec(),
        edge,
        of: 0,
    });
}
