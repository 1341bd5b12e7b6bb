//! Bytes to envelope and back: AES-256-GCM with a random nonce, bound to its place.
//!
//! 96 random bits allow 2^32 envelopes under one key before a repeated nonce becomes likelier than
//! 2^-32 (NIST SP 800-38D, 8.3); a vault sees a few a day.

use std::fmt;

use aes_gcm::{
    AeadInPlace, Aes256Gcm, KeyInit, Nonce, Tag, aead::generic_array::typenum::Unsigned,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Error, Result};

/// The format this program writes.
const VERSION: u32 = 1;

/// What all associated data begins with: these envelopes are for nothing else.
const DOMAIN: &[u8] = b"authsome vault\0";

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = <Aes256Gcm as aes_gcm::AeadCore>::TagSize::USIZE;

/// Length of a key in bytes.
pub(super) const KEY_LEN: usize = 32;

/// A 256-bit key and its id. The bytes are zeroed on drop.
#[derive(Clone)]
pub(super) struct Key {
    id: String,
    bytes: Zeroizing<[u8; KEY_LEN]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// A new random key.
    pub(super) fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        getrandom::fill(bytes.as_mut_slice()).map_err(Error::Random)?;
        Ok(Self::new(bytes))
    }

    pub(super) fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        // A hash of 256 random bits tells nothing about them; 64 bits of it tell keys apart.
        let mut hash = Sha256::new();
        hash.update(b"authsome key id\0");
        hash.update(bytes.as_slice());
        let mut id = hex::encode(hash.finalize());
        id.truncate(16);
        Self { id, bytes }
    }

    /// Names the key: derived from it, the same everywhere, no secret.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.bytes
    }
}

/// A sealed record as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    /// Format.
    v: u32,
    /// Id of the key it was sealed under.
    kid: String,
    /// Base64 of the nonce.
    nonce: String,
    /// Base64 of ciphertext and tag.
    ct: String,
}

/// Why an envelope does not open.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not an envelope at all.
    #[error("it is no envelope")]
    Malformed,
    /// Of a later format.
    #[error("its format {0} is unknown")]
    Version(u32),
    /// Sealed under a key that is not at hand.
    #[error("its key {0} is unknown")]
    Key(String),
    /// The tag does not fit: other bytes, another place or another key than when it was written.
    #[error("it does not decrypt")]
    Tag,
}

impl Envelope {
    /// Seals `plain` for `place`; it will open nowhere else.
    pub(super) fn seal(key: &Key, place: &[u8], plain: &[u8]) -> Result<Self> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(Error::Random)?;
        let mut buffer = Vec::with_capacity(plain.len() + TAG_LEN);
        buffer.extend_from_slice(plain);
        let tag = Aes256Gcm::new(key.bytes().into())
            .encrypt_in_place_detached(
                Nonce::from_slice(&nonce),
                &associated(VERSION, key.id(), place),
                &mut buffer,
            )
            .map_err(|_| Error::Encrypt)?;
        buffer.extend_from_slice(&tag);
        Ok(Self {
            v: VERSION,
            kid: key.id().to_owned(),
            nonce: STANDARD.encode(nonce),
            ct: STANDARD.encode(buffer),
        })
    }

    /// Id of the key it needs.
    pub(super) fn key_id(&self) -> &str {
        &self.kid
    }

    /// The plaintext, if `key` sealed it for `place` and nobody changed it since.
    pub(super) fn open(
        &self,
        key: &Key,
        place: &[u8],
    ) -> std::result::Result<Zeroizing<Vec<u8>>, Problem> {
        if self.v != VERSION {
            return Err(Problem::Version(self.v));
        }
        if self.kid != key.id() {
            return Err(Problem::Key(self.kid.clone()));
        }
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| Problem::Malformed);
        let nonce = decode(&self.nonce)?;
        if nonce.len() != NONCE_LEN {
            return Err(Problem::Malformed);
        }
        let mut buffer = Zeroizing::new(decode(&self.ct)?);
        let split = buffer.len().checked_sub(TAG_LEN).ok_or(Problem::Malformed)?;
        let tag = buffer.split_off(split);
        Aes256Gcm::new(key.bytes().into())
            .decrypt_in_place_detached(
                Nonce::from_slice(&nonce),
                &associated(self.v, &self.kid, place),
                buffer.as_mut_slice(),
                Tag::from_slice(&tag),
            )
            .map_err(|_| Problem::Tag)?;
        Ok(buffer)
    }

    /// The bytes for the store.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|_| Error::Encrypt)
    }

    /// The reverse of [`Envelope::to_bytes`].
    pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Self, Problem> {
        serde_json::from_slice(bytes).map_err(|_| Problem::Malformed)
    }
}

/// Associated data: no two different triples give the same bytes, since only the last part has a
/// length of its own and an id is hexadecimal.
fn associated(version: u32, key_id: &str, place: &[u8]) -> Vec<u8> {
    let mut data = DOMAIN.to_vec();
    data.extend_from_slice(&version.to_be_bytes());
    data.extend_from_slice(key_id.as_bytes());
    data.push(0);
    data.extend_from_slice(place);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> (Key, Envelope) {
        let key = Key::generate().unwrap();
        let envelope = Envelope::seal(&key, b"here", b"secret").unwrap();
        (key, envelope)
    }

    #[test]
    fn what_was_sealed_opens() {
        let (key, envelope) = sealed();
        let again = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        assert_eq!(again.open(&key, b"here").unwrap().as_slice(), b"secret");
    }

    #[test]
    fn an_empty_value_opens_too() {
        let key = Key::generate().unwrap();
        let envelope = Envelope::seal(&key, b"here", b"").unwrap();
        assert_eq!(envelope.open(&key, b"here").unwrap().len(), 0);
    }

    #[test]
    fn it_opens_in_no_other_place() {
        let (key, envelope) = sealed();
        assert_eq!(envelope.open(&key, b"there").unwrap_err(), Problem::Tag);
    }

    #[test]
    fn it_opens_under_no_other_key_even_if_the_id_is_forged() {
        let (_, mut envelope) = sealed();
        let other = Key::generate().unwrap();
        assert!(matches!(envelope.open(&other, b"here"), Err(Problem::Key(_))));
        envelope.kid = other.id().to_owned();
        assert_eq!(envelope.open(&other, b"here").unwrap_err(), Problem::Tag);
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let (key, envelope) = sealed();
        let bytes = envelope.to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Envelope::parse(&changed).and_then(|e| e.open(&key, b"here"));
            assert!(opened.is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_later_format_is_said_to_be_one() {
        let (key, mut envelope) = sealed();
        envelope.v = 2;
        assert_eq!(envelope.open(&key, b"here").unwrap_err(), Problem::Version(2));
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let (key, one) = sealed();
        let two = Envelope::seal(&key, b"here", b"secret").unwrap();
        assert_ne!((one.nonce, one.ct), (two.nonce, two.ct));
    }

    #[test]
    fn debug_shows_the_id_and_not_the_key() {
        let key = Key::new(Zeroizing::new([0xAB; KEY_LEN]));
        let shown = format!("{key:?}");
        assert!(shown.contains(key.id()));
        assert!(!shown.contains("171"), "{shown}");
    }
}
