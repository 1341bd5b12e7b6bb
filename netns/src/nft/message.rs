//! Netlink's messages and their attributes (netlink(7)), byte by byte.

const ACK: u16 = 0x4;
const MESSAGE_ERROR: u16 = 2;
const NESTED: u16 = 0x8000;

/// A name as C has it.
pub(super) fn name(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

pub(super) fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

pub(super) fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

/// An attribute, padded to four bytes (`struct nlattr`). Ours are far below 64 KiB.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Messages one after another (`struct nlmsghdr`, `struct nfgenmsg`).
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) bytes: Vec<u8>,
    sequence: u32,
    /// Where the last one begins.
    last: usize,
}

impl Messages {
    pub(super) fn add(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) {
        self.sequence += 1;
        self.last = self.bytes.len();
        let length = u32::try_from(body.len() + 20).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
    }

    /// Has the kernel say that it took the last message; its number.
    pub(super) fn acknowledge_last(&mut self) -> u32 {
        let flags =
            self.bytes.get_mut(self.last + 6..).and_then(|rest| rest.first_chunk_mut::<2>());
        if let Some(flags) = flags {
            *flags = (u16::from_ne_bytes(*flags) | ACK).to_ne_bytes();
        }
        self.sequence
    }
}

/// Attributes one behind the other: their kinds and values.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (header, _) = rest.split_first_chunk::<4>()?;
        let [a, b, c, d] = *header;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !NESTED, value))
    })
}

/// What the kernel says.
pub(super) struct Answer<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    /// `0` or a negative error number, if this is an acknowledgement.
    pub(super) error: Option<i32>,
    pub(super) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Takes the first message off `bytes`; none at their end, or where they make no sense.
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let whole = *bytes;
        let (header, _) = whole.split_first_chunk::<16>()?;
        let [a, b, c, d, kind0, kind1, _, _, e, f, g, h, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = whole.get(16..length)?;
        let kind = u16::from_ne_bytes([kind0, kind1]);
        let error = body
            .first_chunk()
            .filter(|_| kind == MESSAGE_ERROR)
            .map(|code| i32::from_ne_bytes(*code));
        *bytes = whole.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Self { kind, sequence: u32::from_ne_bytes([e, f, g, h]), error, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_say_their_length() {
        assert_eq!(attribute(1, b"ab"), [6, 0, 1, 0, b'a', b'b', 0, 0]);
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let mut bytes: &[u8] = &[36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut bytes).is_none());
        let mut short: &[u8] = &[4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut short).is_none());
    }
}
