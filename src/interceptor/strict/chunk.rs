//! The chunked coding (RFC 9112 §7.1), byte by byte: only what every parser reads alike passes.

use super::head::{is_text_byte, is_token_byte};

/// Hexadecimal digits of a chunk size: enough for 2^60 - 1 bytes, leading zeros counted.
const MAX_DIGITS: u8 = 15;
/// Extensions of one chunk. Nobody uses them; some servers keep them in memory.
const MAX_EXTENSION: u16 = 1024;
/// All trailer lines together.
const MAX_TRAILERS: u32 = 16 * 1024;

/// How far into a chunked body we are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunked {
    Size { value: u64, digits: u8 },
    Extension { value: u64, len: u16 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart { len: u32 },
    TrailerName { len: u32 },
    TrailerValue { len: u32 },
    TrailerLf { len: u32 },
    EndLf,
}

impl Chunked {
    pub(super) const START: Self = Self::Size { value: 0, digits: 0 };

    /// Goes over `bytes`. Returns how many belong to the body, and whether it ends there; if it does
    /// not, all of them do.
    ///
    /// # Errors
    /// The code of what is wrong.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        let mut rest = bytes;
        loop {
            if let Self::Data { left } = *self {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                rest = rest.get(taken..).unwrap_or_default();
                let left = left.saturating_sub(taken as u64);
                *self = if left == 0 { Self::DataCr } else { Self::Data { left } };
            }
            let Some((&byte, after)) = rest.split_first() else { return Ok((bytes.len(), false)) };
            rest = after;
            match self.step(byte)? {
                Some(next) => *self = next,
                None => return Ok((bytes.len() - rest.len(), true)),
            }
        }
    }

    /// The state after `byte`, which is not data; none after the last one.
    fn step(self, byte: u8) -> Result<Option<Self>, &'static str> {
        let next = match (self, byte) {
            (Self::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MAX_DIGITS {
                    return Err("http-chunk-size");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Self::Size { value: (value << 4) | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { digits: 0, .. }, _) => return Err("http-chunk-size"),
            (Self::Size { value, .. }, b';') => Self::Extension { value, len: 0 },
            (Self::Size { value, .. } | Self::Extension { value, .. }, b'\r') => {
                Self::SizeLf { value }
            }
            // Also white space after the size, which parsers skip or stumble over.
            (Self::Size { .. }, _) => return Err("http-chunk-size"),
            (Self::Extension { value, len }, _) => {
                if !is_text_byte(byte) || len == MAX_EXTENSION {
                    return Err("http-chunk-extension");
                }
                Self::Extension { value, len: len + 1 }
            }
            (Self::SizeLf { value: 0 }, b'\n') => Self::TrailerStart { len: 0 },
            (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
            (Self::SizeLf { .. }, _) => return Err("http-chunk-size"),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::START,
            (Self::Data { .. } | Self::DataCr | Self::DataLf, _) => return Err("http-chunk-end"),
            (Self::TrailerStart { .. }, b'\r') => Self::EndLf,
            (Self::TrailerStart { len }, _) if is_token_byte(byte) => {
                Self::TrailerName { len: longer(len)? }
            }
            (Self::TrailerName { len }, b':') => Self::TrailerValue { len: longer(len)? },
            (Self::TrailerName { len }, _) if is_token_byte(byte) => {
                Self::TrailerName { len: longer(len)? }
            }
            (Self::TrailerValue { len }, b'\r') => Self::TrailerLf { len },
            (Self::TrailerValue { len }, _) if is_text_byte(byte) => {
                Self::TrailerValue { len: longer(len)? }
            }
            (Self::TrailerLf { len }, b'\n') => Self::TrailerStart { len },
            (Self::EndLf, b'\n') => return Ok(None),
            (
                Self::TrailerStart { .. }
                | Self::TrailerName { .. }
                | Self::TrailerValue { .. }
                | Self::TrailerLf { .. }
                | Self::EndLf,
                _,
            ) => return Err("http-trailer"),
        };
        Ok(Some(next))
    }
}

fn longer(len: u32) -> Result<u32, &'static str> {
    if len < MAX_TRAILERS { Ok(len + 1) } else { Err("http-trailer") }
}
