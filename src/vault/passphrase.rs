//! From a passphrase to a key: Argon2id (RFC 9106).
//!
//! What was used is stored beside what it protects ([`Derivation`]), so that the cost can be raised
//! without losing what is there.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Error, Result,
    seal::{KEY_LEN, Key},
};

/// Shortest passphrase that is taken for a new key, in characters.
pub const PASSPHRASE_MIN: usize = 8;

/// Longest passphrase, in bytes.
pub const PASSPHRASE_MAX: usize = 1024;

/// Length of a salt (RFC 9106, 3.1: 16 bytes are recommended).
const SALT_LEN: usize = 16;

/// The name of the one function there is.
const FUNCTION: &str = "argon2id";

/// No file may ask for more: 1 GiB, and time in proportion.
const COST_MAX: Cost = Cost { memory_kib: 1024 * 1024, passes: 64, lanes: 16 };

/// What deriving a key costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, which another implementation could fill at once.
    pub lanes: u32,
}

impl Cost {
    /// What is used for new keys: the memory of RFC 9106's second recommendation, in one lane, and
    /// enough passes to take about a third of a second on a laptop. More than OWASP's least (19 MiB,
    /// two passes).
    pub const STANDARD: Self = Self { memory_kib: 64 * 1024, passes: 8, lanes: 1 };
}

/// How a key was derived: everything but the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Derivation {
    kdf: String,
    /// Memory in KiB, passes, lanes.
    m: u32,
    t: u32,
    p: u32,
    /// Base64.
    salt: String,
}

/// A key is derived by another function, or at a cost this program is not willing to pay.
#[derive(Debug)]
pub(super) struct Unknown;

impl Derivation {
    /// A new one, with a random salt.
    pub(super) fn new(cost: Cost) -> Result<Self> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(Error::Random)?;
        let Cost { memory_kib: m, passes: t, lanes: p } = cost;
        Ok(Self { kdf: FUNCTION.to_owned(), m, t, p, salt: STANDARD.encode(salt) })
    }

    /// The key. Takes time and memory on purpose.
    pub(super) fn derive(&self, passphrase: &SecretString) -> std::result::Result<Key, Unknown> {
        let known = self.kdf == FUNCTION
            && self.m <= COST_MAX.memory_kib
            && self.t <= COST_MAX.passes
            && self.p <= COST_MAX.lanes;
        let params = Params::new(self.m, self.t, self.p, Some(KEY_LEN));
        let salt = STANDARD.decode(&self.salt);
        let (true, Ok(params), Ok(salt)) = (known, params, salt) else {
            return Err(Unknown);
        };
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose_secret().as_bytes(), &salt, key.as_mut_slice())
            .map_err(|_| Unknown)?;
        Ok(Key::new(key))
    }
}

/// Refuses a passphrase that would protect nothing, for a new key.
///
/// # Errors
/// [`Error::Weak`].
pub fn check_passphrase(passphrase: &SecretString) -> Result<()> {
    let text = passphrase.expose_secret();
    if text.chars().count() < PASSPHRASE_MIN || text.len() > PASSPHRASE_MAX {
        return Err(Error::Weak);
    }
    Ok(())
}

/// A key derived from a passphrase, and how. `Debug` shows the latter.
#[derive(Clone)]
pub(super) struct Lock {
    pub(super) derivation: Derivation,
    pub(super) key: Key,
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("derivation", &self.derivation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    #[test]
    fn a_passphrase_gives_the_same_key_again_and_another_one_another() {
        let derivation = Derivation::new(CHEAP).unwrap();
        let key = |text: &str| derivation.derive(&text.into()).unwrap().id().to_owned();
        assert_eq!(key("correct horse"), key("correct horse"));
        assert_ne!(key("correct horse"), key("correct horsf"));
        let other = Derivation::new(CHEAP).unwrap();
        assert_ne!(key("correct horse"), other.derive(&"correct horse".into()).unwrap().id());
    }

    #[test]
    fn it_is_argon2id_as_others_compute_it() {
        // A vector of the reference implementation's tests (phc-winner-argon2, src/test.c).
        let derivation = Derivation {
            kdf: FUNCTION.to_owned(),
            m: 65536,
            t: 2,
            p: 1,
            salt: STANDARD.encode("somesalt"),
        };
        let key = derivation.derive(&"password".into()).unwrap();
        assert_eq!(
            hex::encode(key.bytes()),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }

    #[test]
    fn a_file_cannot_ask_for_more_than_there_is() {
        let mut derivation = Derivation::new(CHEAP).unwrap();
        derivation.m = u32::MAX;
        assert!(matches!(derivation.derive(&"x".into()), Err(Unknown)));
    }

    #[test]
    fn a_short_passphrase_protects_nothing() {
        assert!(matches!(check_passphrase(&"1234567".into()), Err(Error::Weak)));
        check_passphrase(&"12345678".into()).unwrap();
    }
}
