//! The signed head: a small file beside the log that says how far the chain went, so that a chain cut
//! off at its end, or computed anew, is seen. Also the signatures that end files of the log.
//!
//! Knows no private key: a [`Signer`] is given. Everything here fails by saying that a signature does
//! not hold.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{
    Checkpoint, Error, Result,
    chain::Head,
    event::rfc3339,
    segments::{beside, read_all},
};
use crate::paths;

/// An Ed25519 public key (RFC 8032).
pub type PublicKey = [u8; 32];

/// What is signed begins with one of these, so that no signature can stand for another kind.
const HEAD_DOMAIN: &[u8] = b"authsome audit head\n";
const CHECKPOINT_DOMAIN: &[u8] = b"authsome audit checkpoint\n";

/// The format of the head that this program writes.
const VERSION: u32 = 1;

/// No head is longer.
const LENGTH_MAX: u64 = 4096;

/// Signs heads with Ed25519 (RFC 8032). The key is its owner's.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public half of the key.
    fn public_key(&self) -> PublicKey;
    /// The signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Where the last line is, and what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) head: Head,
    /// Number of the first line of its file, which is the file's name once it is full.
    pub(super) file: u64,
    /// Bytes of the file up to and including the line.
    pub(super) end: u64,
}

/// How far the chain went at some time, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// Format.
    v: u32,
    /// Number of the last line; 0: there was none.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// Number of the first line of the file it is in.
    pub(super) file: u64,
    /// Bytes of that file up to and including it.
    pub(super) end: u64,
    /// When this was signed.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// Public key, hexadecimal.
    pub key: String,
    /// Signature of all of this while this was empty, hexadecimal.
    signature: String,
}

impl SignedHead {
    pub(super) fn sign(place: &Place, signer: &dyn Signer, time: SystemTime) -> Option<Self> {
        let mut head = Self {
            v: VERSION,
            seq: place.head.seq,
            hash: place.head.hash.clone(),
            file: place.file,
            end: place.end,
            // As it will be read.
            time: to_milliseconds(time),
            key: hex::encode(signer.public_key()),
            signature: String::new(),
        };
        head.signature = hex::encode(signer.sign(&head.message()?));
        Some(head)
    }

    /// Was this signed with `key`?
    #[must_use]
    pub fn holds(&self, key: &PublicKey) -> bool {
        self.v == VERSION
            && self.key == hex::encode(key)
            && self.message().is_some_and(|message| holds(key, &message, &self.signature))
    }

    /// The key it names, which says nothing about whose that is.
    pub(super) fn named_key(&self) -> Option<PublicKey> {
        parse_key(&self.key)
    }

    fn message(&self) -> Option<Vec<u8>> {
        let unsigned = Self { signature: String::new(), ..self.clone() };
        // Fails only for a time before year -9999.
        let content = serde_json::to_vec(&unsigned).ok()?;
        Some([HEAD_DOMAIN, &content].concat())
    }
}

fn to_milliseconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let whole = u64::try_from(since.as_millis()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(whole)
}

/// What is in the place of the signed head.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    /// No head of ours.
    Unreadable,
    Head(Box<SignedHead>),
}

impl Found {
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// Where the head of this log is.
#[must_use]
pub(super) fn path(log: &Path) -> PathBuf {
    beside(log, "head")
}

/// Where the public key is kept that the log was signed with at first.
pub(super) fn key_path(log: &Path) -> PathBuf {
    beside(log, "pub")
}

pub(super) fn read(log: &Path) -> Result<Found> {
    Ok(match read_all(&path(log), LENGTH_MAX)? {
        None => Found::Nothing,
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_or(Found::Unreadable, |head| Found::Head(Box::new(head))),
    })
}

/// Replaces the head on disk.
pub(super) fn write(log: &Path, place: &Place, signer: &dyn Signer) -> Result<SignedHead> {
    let path = path(log);
    let unsignable = || Error::Closed { path: path.clone() };
    let head = SignedHead::sign(place, signer, SystemTime::now()).ok_or_else(unsignable)?;
    let mut bytes = serde_json::to_vec(&head).map_err(|_| unsignable())?;
    bytes.push(b'\n');
    paths::write_private(&path, &bytes)?;
    Ok(head)
}

/// The public key that is kept beside the log.
pub(super) fn kept_key(log: &Path) -> Result<Option<PublicKey>> {
    let bytes = read_all(&key_path(log), LENGTH_MAX)?;
    Ok(bytes.and_then(|bytes| parse_key(String::from_utf8_lossy(&bytes).trim())))
}

/// Keeps the public key beside the log, for those who verify it while nobody can be asked.
pub(super) fn keep_key(log: &Path, key: &PublicKey) -> Result<()> {
    if kept_key(log)? != Some(*key) {
        let line = format!("{}\n", hex::encode(key));
        paths::write_private(&key_path(log), line.as_bytes())?;
    }
    Ok(())
}

/// A public key from its 64 hexadecimal digits.
#[must_use]
pub fn parse_key(text: &str) -> Option<PublicKey> {
    let mut key = PublicKey::default();
    hex::decode_to_slice(text, &mut key).ok()?;
    Some(key)
}

impl Checkpoint {
    pub(super) fn sign(head: &Head, signer: &dyn Signer) -> Self {
        Self {
            key: hex::encode(signer.public_key()),
            signature: hex::encode(signer.sign(&checkpoint_message(head))),
        }
    }

    /// Does it vouch for `head` with `key`? `None`: it was made with another.
    pub(super) fn holds(&self, head: &Head, key: &PublicKey) -> Option<bool> {
        (self.key == hex::encode(key))
            .then(|| holds(key, &checkpoint_message(head), &self.signature))
    }
}

fn checkpoint_message(head: &Head) -> Vec<u8> {
    [CHECKPOINT_DOMAIN, format!("{} {}", head.seq, head.hash).as_bytes()].concat()
}

fn holds(key: &PublicKey, message: &[u8], signature: &str) -> bool {
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).is_ok()
        && VerifyingKey::from_bytes(key)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(&bytes)).is_ok())
}

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    #[derive(Debug)]
    pub(in crate::audit) struct Key(SigningKey);

    impl Key {
        pub(in crate::audit) fn new(seed: u8) -> Self {
            Self(SigningKey::from_bytes(&[seed; 32]))
        }
    }

    impl Signer for Key {
        fn public_key(&self) -> PublicKey {
            self.0.verifying_key().to_bytes()
        }

        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message).to_bytes()
        }
    }

    fn place() -> Place {
        Place { head: Head { seq: 3, hash: "a".repeat(64) }, file: 1, end: 900 }
    }

    #[test]
    fn no_byte_of_a_head_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.log");
        let key = Key::new(1);
        write(&log, &place(), &key).unwrap();
        let bytes = std::fs::read(path(&log)).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            paths::write_private(&path(&log), &changed).unwrap();
            let found = read(&log).unwrap();
            let is_taken = matches!(found, Found::Head(head) if head.holds(&key.public_key()));
            assert!(!is_taken, "byte {at}");
        }
    }

    #[test]
    fn a_head_holds_for_its_own_key_only() {
        let head = SignedHead::sign(&place(), &Key::new(1), SystemTime::now()).unwrap();
        assert!(head.holds(&Key::new(1).public_key()));
        assert!(!head.holds(&Key::new(2).public_key()));
    }

    #[test]
    fn a_checkpoint_vouches_for_one_line_only() {
        let (key, head) = (Key::new(1), place().head);
        let checkpoint = Checkpoint::sign(&head, &key);
        assert_eq!(checkpoint.holds(&head, &key.public_key()), Some(true));
        let other = Head { seq: 4, ..head.clone() };
        assert_eq!(checkpoint.holds(&other, &key.public_key()), Some(false));
        assert_eq!(checkpoint.holds(&head, &Key::new(2).public_key()), None);
    }

    #[test]
    fn the_public_key_is_kept_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.log");
        assert_eq!(kept_key(&log).unwrap(), None);
        keep_key(&log, &[7; 32]).unwrap();
        assert_eq!(kept_key(&log).unwrap(), Some([7; 32]));
    }
}
