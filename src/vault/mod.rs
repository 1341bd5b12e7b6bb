//! Encrypted keys and values, meaning nothing.
//!
//! [`Vault`] is what the rest of the program sees: names (`connection/github/work`) and bytes. What a
//! value means, when it expires and who may have it are others' business. [`SledVault`] keeps one
//! profile on disk, [`MemoryVault`] is for tests.
//!
//! # On disk
//!
//! Each record is an AES-256-GCM envelope, `{"v":1,"kid":…,"nonce":…,"ct":…}` (base64), under a random
//! 96-bit nonce. The associated data is the version, the id of the data key and the place of the
//! record, so that a record moved, copied or given an older key's id does not open. That place is
//! HMAC-SHA-256 of the record's name under a key of its own, and the name itself is in the ciphertext:
//! whoever reads the disk learns how many records there are and how long, not which providers.
//!
//! The data keys are random, wrapped by the [`MasterKey`], and lie in the same store under a fixed name
//! ([`keys::KeyRing`]). The ring has room for several, because rotating one means that for a while
//! records of both exist; every envelope says which key it needs. How keys are exchanged so that a
//! crash at any moment costs nothing is told in [`master_keys`] and in `sled/rotate.rs`; [`backup`] is
//! the format of a vault that travels.
//!
//! Rotation protects what is written from then on. Whoever has an old copy of the store and its old
//! master key can read what was in it; and the disk may keep old pages of the store for a while.
//!
//! What this does not protect against: putting an old copy of the *whole* store back, and somebody who
//! has both the store and the master key.
//!
//! # Failing
//!
//! A `put` or `delete` that returned `Ok` is on disk. One that returned an error may or may not be; no
//! other record is touched by it. A wrong master key, a damaged record, a store that another process
//! holds and a full disk are different errors ([`Error`]), each with what to do about it. A key is
//! never made anew while something still needs the old one.

pub mod backup;
mod keys;
mod master_key;
mod master_keys;
mod memory;
mod passphrase;
mod seal;
mod sled;
mod slot;
mod store;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use secrecy::SecretSlice;

pub use self::{
    master_key::{KeySource, MasterKey},
    master_keys::{KeyState, MasterKeys, Protection},
    memory::MemoryVault,
    passphrase::{Cost, PASSPHRASE_MAX, PASSPHRASE_MIN, check_passphrase},
    sled::{Rotated, SledVault},
};

/// Longest name of a record, in bytes.
pub const NAME_MAX: usize = 512;

/// Longest value of a record, in bytes. A token set has a few thousand.
pub const VALUE_MAX: usize = 64 * 1024;

/// Encrypted records by name. Names are compared byte by byte.
pub trait Vault: fmt::Debug + Send + Sync {
    /// The record's value, if there is such a record.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is there and can't be decrypted; else what the store says.
    fn get(&self, key: &str) -> Result<Option<SecretSlice<u8>>>;

    /// Stores a record, replacing one of that name. It is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::TooLarge`], [`Error::Full`]; else what the store says.
    fn put(&self, key: &str, value: &[u8]) -> Result<()>;

    /// Deletes a record; was there one? It is gone from the disk's index when this returns.
    ///
    /// # Errors
    /// As [`Vault::put`].
    fn delete(&self, key: &str) -> Result<bool>;

    /// The names of the records that begin with `prefix`, sorted. A record that can't be decrypted has
    /// no name any more and is left out; [`SledVault::verify`] reports it.
    ///
    /// # Errors
    /// What the store says.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;
}

/// What reading a whole vault found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were decrypted.
    pub records: usize,
    /// One sentence for each that could not be.
    pub damaged: Vec<String>,
}

/// Opens the vault in `dir`, making both it and the master key where neither has existed.
///
/// `others` are the vaults the same key opens. If the key is missing while one of them, or this one,
/// exists, the key was lost, and a new one would not bring anything back.
///
/// # Errors
/// [`Error::KeyMissing`] in that case; else as [`MasterKey::load`] and [`SledVault::open`].
pub fn open(dir: &Path, source: &KeySource, others: &[PathBuf]) -> Result<SledVault> {
    let vaults = [&[dir.to_owned()], others].concat();
    MasterKeys::load_or_create(source, &Protection::None, &vaults)?.open(dir)
}

/// Refuses names and values that are not for this store.
fn check(key: &str, value: &[u8]) -> Result<()> {
    if key.is_empty() || key.len() > NAME_MAX {
        return Err(Error::Name { length: key.len() });
    }
    if value.len() > VALUE_MAX {
        return Err(Error::TooLarge { key: key.to_owned(), length: value.len() });
    }
    Ok(())
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a vault. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An empty or too long name.
    #[error("a record's name must have 1 to {NAME_MAX} bytes, not {length}")]
    Name {
        /// Its length.
        length: usize,
    },
    /// A value beyond [`VALUE_MAX`].
    #[error("the value of '{key}' has {length} bytes, more than {VALUE_MAX}")]
    TooLarge {
        /// The record.
        key: String,
        /// The value's length.
        length: usize,
    },
    /// Another process has the store open.
    #[error("another process{} has the vault in {} open", of(*pid), dir.display())]
    Held {
        /// The vault.
        dir: PathBuf,
        /// That process, if the system tells.
        pid: Option<u32>,
    },
    /// The master key is not the one that wrapped the data keys.
    #[error(
        "the vault in {} was made with another master key (it needs {needed}, this is {given})",
        dir.display()
    )]
    WrongKey {
        /// The vault.
        dir: PathBuf,
        /// Id of the key it needs.
        needed: String,
        /// Id of the key that was tried.
        given: String,
    },
    /// There is a vault and no key.
    #[error("the vault's master key is missing from {place}")]
    KeyMissing {
        /// Where it should be.
        place: String,
    },
    /// There is something in the master key's place that is not one.
    #[error("{place} holds no master key: {what}")]
    KeyMalformed {
        /// Where.
        place: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It takes a passphrase to read the master key.
    #[error("the vault is locked: a passphrase protects {place}")]
    Locked {
        /// Where the key is.
        place: String,
    },
    /// The passphrase is not the one that protects the master key.
    #[error("that is not the passphrase of {place}")]
    Passphrase {
        /// Where the key is.
        place: String,
    },
    /// Too short a passphrase for a new key, or one of more than [`PASSPHRASE_MAX`] bytes.
    #[error("a passphrase must have at least {PASSPHRASE_MIN} characters")]
    Weak,
    /// Where the master key is to be moved there is another one.
    #[error("{place} holds another master key")]
    OtherKey {
        /// Where.
        place: String,
    },
    /// The master key is being exchanged.
    #[error("the master key is being exchanged")]
    Rotating,
    /// The OS keyring can't be used.
    #[error("cannot use the OS keyring")]
    Keyring(#[source] Box<keyring::Error>),
    /// A record does not decrypt: its bytes are not those that were written.
    #[error("the record {record} in {} is damaged: {what}", dir.display())]
    Damaged {
        /// The vault.
        dir: PathBuf,
        /// Its name in quotes, or where it lies.
        record: String,
        /// In which way.
        what: String,
    },
    /// The wrapped data keys can't be read though the master key is right, or are gone.
    #[error("the keys of the vault in {} are damaged: {what}", dir.display())]
    KeysDamaged {
        /// The vault.
        dir: PathBuf,
        /// In which way.
        what: String,
    },
    /// Written by a later version of this program.
    #[error("the vault in {} has format {found}, newer than this program knows", dir.display())]
    Newer {
        /// The vault.
        dir: PathBuf,
        /// The version found.
        found: u32,
    },
    /// No room to write safely. Nothing was written.
    #[error("the disk with the vault in {} is full", dir.display())]
    Full {
        /// The vault.
        dir: PathBuf,
    },
    /// The store failed. It is opened afresh for the next call.
    #[error("the store in {} failed", dir.display())]
    Store {
        /// The vault.
        dir: PathBuf,
        /// In which way.
        source: io::Error,
    },
    /// A file or directory is not as it must be.
    #[error(transparent)]
    Path(#[from] crate::paths::Error),
    /// The system has no random numbers.
    #[error("cannot get random numbers")]
    Random(#[source] getrandom::Error),
    /// The cipher refused. Only inputs far beyond [`VALUE_MAX`] do that.
    #[error("cannot encrypt")]
    Encrypt,
}

fn of(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl Error {
    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Held { pid: Some(pid), .. } => {
                format!("authsome daemon stop; if that does not help, end process {pid}")
            }
            Self::Held { pid: None, .. } => "authsome daemon stop".to_owned(),
            Self::WrongKey { dir, needed, .. } => format!(
                "put master key {needed} back, or move {} away and log in again",
                dir.display()
            ),
            Self::KeyMissing { place } => format!(
                "put the key back into {place}, or move the profiles directory away and log in again"
            ),
            Self::KeyMalformed { place, .. } => {
                format!("put the key back into {place} from a backup")
            }
            Self::Locked { .. } => "authsome vault unlock".to_owned(),
            Self::Passphrase { .. } => "try again: authsome vault unlock".to_owned(),
            Self::Weak => "several random words make a good one".to_owned(),
            Self::OtherKey { .. } => {
                "a vault elsewhere may need that key; --force replaces it".to_owned()
            }
            Self::Rotating => "authsome vault rotate completes it".to_owned(),
            Self::Keyring(_) => "unlock the keyring of your desktop session, or keep the key in a \
                                 file"
                .to_owned(),
            Self::Damaged { .. } => {
                "authsome vault verify; then log in to that connection again".to_owned()
            }
            Self::KeysDamaged { dir, .. } => {
                format!(
                    "put {} back from a backup, or move it away and log in again",
                    dir.display()
                )
            }
            Self::Newer { .. } => "use the version of authsome that wrote it".to_owned(),
            Self::Store { .. } => "authsome daemon stop, then try again".to_owned(),
            Self::Full { dir } => format!("make room on the disk that holds {}", dir.display()),
            Self::Path(error) => return error.hint(),
            Self::Name { .. } | Self::TooLarge { .. } | Self::Random(_) | Self::Encrypt => {
                return None;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn file(dir: &Path) -> KeySource {
        KeySource::File(dir.join("master.key"))
    }

    #[test]
    fn a_first_open_makes_the_key_and_a_second_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path().join("vault");
        open(&vault, &file(dir.path()), &[]).unwrap().put("a", b"1").unwrap();
        let again = open(&vault, &file(dir.path()), &[]).unwrap();
        assert_eq!(again.get("a").unwrap().unwrap().expose_secret(), b"1");
    }

    #[test]
    fn a_lost_key_is_not_replaced_while_any_vault_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        drop(open(&one, &file(dir.path()), &[]).unwrap());
        std::fs::remove_file(dir.path().join("master.key")).unwrap();
        for (vault, others) in [(&one, vec![]), (&two, vec![one.clone()])] {
            let error = open(vault, &file(dir.path()), &others).unwrap_err();
            assert!(matches!(error, Error::KeyMissing { .. }), "{error}");
        }
        assert!(!dir.path().join("master.key").exists());
    }
}
