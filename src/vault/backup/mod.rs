//! A home in one file, under a passphrase, for another machine or a bad day.
//!
//! [`Writer`] is told records and files and makes a stream of bytes, [`Reader`] gives them back. They
//! know neither vaults nor where anything lies.
//!
//! # Format
//!
//! ```text
//! "authsome backup\n"
//! length of the head (4 bytes, big endian), head, SHA-256 of the head
//! segment 0, 1, 2, …
//! ```
//!
//! The head is a JSON object: `v` (1), `created` (RFC 3339), how the key is derived from the passphrase
//! (`kdf`, `m`, `t`, `p`, `salt`: Argon2id), and `nonce`, seven random bytes. A segment is four bytes
//! (big endian; the highest bit says that it is the last, the others how long its ciphertext is) and the
//! ciphertext: AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: *Online
//! Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance*, 2015), that is, under the nonce
//! `nonce ‖ number of the segment ‖ is it the last`, with the SHA-256 of the head as associated data.
//! So segments can neither be moved nor left out, and the end can't be cut off. Segment 0 is empty: it
//! opens if the passphrase is right.
//!
//! Inside is a sequence of items, each a byte for its kind and members that begin with their length
//! (big endian): `1` record (profile: 2 bytes, name: 2, value: 4), `2` file (path: 2, contents: 4),
//! `0` the end (8 bytes: how many items came before).
//!
//! # Failing
//!
//! A wrong passphrase, a file that ends too soon, one that was changed, one of a later version and one
//! that is no backup are different errors. Nothing that is read is to be trusted before [`Reader::next`]
//! has said that it was all.

mod item;
mod read;
mod segments;
mod write;

use std::io;

pub use self::{item::Item, read::Reader, write::Writer};
use super::passphrase::Unknown;

/// The first bytes of a backup.
const MAGIC: &[u8; 16] = b"authsome backup\n";

/// The format this program writes.
const VERSION: u32 = 1;

/// No head is longer.
const HEAD_MAX: usize = 4096;

/// Plaintext of a segment: what is in memory at once.
const SEGMENT_LEN: usize = 64 * 1024;

/// Largest file in a backup, in bytes. What a home has besides its vaults is written by hand.
pub const FILE_MAX: usize = 16 * 1024 * 1024;

/// What can be wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Does not begin as one.
    #[error("it is no backup of authsome's")]
    NotOne,
    /// Written by a later version of this program.
    #[error("the backup has format {0}, newer than this program knows")]
    Newer(u32),
    /// The passphrase is another one.
    #[error("that is not the passphrase of the backup")]
    Passphrase,
    /// It ends too soon.
    #[error("the backup is cut off: it ends too soon")]
    CutOff,
    /// It was changed.
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    /// More than it can hold.
    #[error("{what} is too large for a backup")]
    TooLarge {
        /// What.
        what: String,
    },
    /// It can't be read.
    #[error("cannot read the backup")]
    Read(#[source] io::Error),
    /// It can't be written.
    #[error("cannot write the backup")]
    Write(#[source] io::Error),
    /// Keys can't be made.
    #[error(transparent)]
    Vault(#[from] super::Error),
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What would mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotOne => "give it the file that authsome vault backup wrote".to_owned(),
            Self::Newer(_) => "use the version of authsome that wrote it".to_owned(),
            Self::Passphrase => "try again with the passphrase it was made with".to_owned(),
            Self::CutOff | Self::Damaged(_) => "use another copy of it".to_owned(),
            Self::Vault(error) => return error.hint(),
            Self::TooLarge { .. } | Self::Read(_) | Self::Write(_) => return None,
        })
    }
}

impl From<Unknown> for Error {
    fn from(_: Unknown) -> Self {
        Self::Damaged("its key is derived in a way this program does not know")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Cost;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn written() -> Vec<u8> {
        let mut writer =
            Writer::new(Vec::new(), &"correct horse".into(), CHEAP, "2026-01-01T00:00:00Z")
                .unwrap();
        writer.record("default", "connection/github/default", b"secret").unwrap();
        writer.file("config.toml", b"dashboard_port = 0\n").unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8], passphrase: &str) -> Result<Vec<Item>> {
        let mut reader = Reader::new(bytes, &passphrase.into())?;
        let mut items = Vec::new();
        while let Some(item) = reader.next()? {
            items.push(item);
        }
        Ok(items)
    }

    #[test]
    fn what_was_written_is_read() {
        let items = read(&written(), "correct horse").unwrap();
        assert!(matches!(&items[0], Item::Record { profile, name, value }
            if profile == "default" && name == "connection/github/default"
                && value.as_slice() == b"secret"));
        assert!(matches!(&items[1], Item::File { path, contents }
            if path == "config.toml" && contents.as_slice() == b"dashboard_port = 0\n"));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn items_larger_than_a_segment_are_read_whole() {
        let large: Vec<u8> = (0..3 * SEGMENT_LEN + 5).map(|n| n as u8).collect();
        let mut writer = Writer::new(Vec::new(), &"correct horse".into(), CHEAP, "").unwrap();
        writer.file("a", &large).unwrap();
        writer.file("b", b"").unwrap();
        let items = read(&writer.finish().unwrap(), "correct horse").unwrap();
        assert!(matches!(&items[0], Item::File { contents, .. } if **contents == large));
        assert!(matches!(&items[1], Item::File { contents, .. } if contents.is_empty()));
    }

    #[test]
    fn an_empty_backup_is_one() {
        let writer = Writer::new(Vec::new(), &"correct horse".into(), CHEAP, "").unwrap();
        assert!(read(&writer.finish().unwrap(), "correct horse").unwrap().is_empty());
    }

    #[test]
    fn cut_off_anywhere_it_is_said_to_be_cut_off() {
        let bytes = written();
        for length in 0..bytes.len() {
            let error = read(&bytes[..length], "correct horse").unwrap_err();
            assert!(matches!(error, Error::CutOff | Error::NotOne), "{length}: {error}");
            assert_eq!(matches!(error, Error::NotOne), length < MAGIC.len(), "{length}");
        }
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let bytes = written();
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= bit;
                assert!(read(&changed, "correct horse").is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn nothing_may_follow_it() {
        let longer = [written(), b"x".to_vec()].concat();
        assert!(matches!(read(&longer, "correct horse"), Err(Error::Damaged(_))));
    }

    #[test]
    fn another_passphrase_is_told_from_damage() {
        assert!(matches!(read(&written(), "correct horsf"), Err(Error::Passphrase)));
    }

    #[test]
    fn a_later_format_is_said_to_be_one() {
        let mut bytes = written();
        let at = bytes.windows(6).position(|window| window == b"\"v\":1,").unwrap();
        bytes[at + 4] = b'7';
        assert!(matches!(read(&bytes, "correct horse"), Err(Error::Newer(7))));
    }

    #[test]
    fn neither_names_nor_values_can_be_read_in_it() {
        let bytes = written();
        for word in [b"github".as_slice(), b"secret", b"dashboard"] {
            assert!(!bytes.windows(word.len()).any(|window| window == word));
        }
    }
}
