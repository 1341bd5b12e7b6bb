//! The key that wraps a vault's data keys: in a file of mode 0600, plain or under a passphrase, or in
//! the OS keyring.
//!
//! On Linux the keyring is the desktop's Secret Service. The kernel's keyrings are not used: they are
//! gone after a reboot, and a process of the same user can read them. The Secret Service is asked over
//! the session's D-Bus without further encryption, since whoever may listen there may also ask.
//!
//! Nothing here makes a key where one was lost; that decision needs to know which vaults exist and is
//! [`super::open`]'s.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Error, Result,
    passphrase::{Derivation, Lock},
    seal::{Envelope, KEY_LEN, Key},
    slot::Slot,
};

/// The format of a wrapped key.
const VERSION: u32 = 1;

/// Where a master key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file, readable by its owner only: 64 hexadecimal digits and a line feed, or a JSON object
    /// if a passphrase protects it.
    File(PathBuf),
    /// In the OS keyring (Secret Service, macOS keychain).
    Keyring {
        /// Service the entry is filed under.
        service: String,
        /// User the entry is filed under.
        user: String,
    },
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Keyring { service, user } => write!(f, "the OS keyring ({service}, {user})"),
        }
    }
}

/// A master key. Zeroed on drop; `Debug` shows its id only.
#[derive(Clone, Debug)]
pub struct MasterKey(pub(super) Key);

impl MasterKey {
    /// Reads the key, if there is one. A keyring may ask the user to unlock it: this can take long and
    /// must not be called on a thread that serves others.
    ///
    /// # Errors
    /// [`Error::KeyMalformed`], [`Error::Path`] (the file is not the user's alone),
    /// [`Error::Keyring`], [`Error::Locked`].
    pub fn load(source: &KeySource) -> Result<Option<Self>> {
        let Some(text) = source.read(Slot::Current)? else { return Ok(None) };
        match Text::parse(&text) {
            Ok(Text::Plain(key)) => Ok(Some(Self(key))),
            Ok(Text::Wrapped(_)) => Err(Error::Locked { place: source.to_string() }),
            Err(what) => Err(Error::KeyMalformed { place: source.to_string(), what }),
        }
    }

    /// Makes a new random key and stores it. If another process did so at the same time, its key is
    /// returned. Never replaces a key.
    ///
    /// # Errors
    /// As [`MasterKey::load`]; also [`Error::Random`].
    pub fn create(source: &KeySource) -> Result<Self> {
        source.fill(&plain(&Key::generate()?))?;
        // What counts is what can be read back.
        Self::load(source)?.ok_or_else(|| Error::KeyMissing { place: source.to_string() })
    }

    /// Names the key: derived from it, no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }
}

/// What a slot holds.
pub(super) enum Text {
    /// A key.
    Plain(Key),
    /// A key that a passphrase protects.
    Wrapped(Wrapped),
}

/// A master key under a key that was derived from a passphrase.
#[derive(Serialize, Deserialize)]
pub(super) struct Wrapped {
    v: u32,
    #[serde(flatten)]
    pub(super) derivation: Derivation,
    key: Envelope,
}

impl Text {
    pub(super) fn parse(text: &[u8]) -> std::result::Result<Self, &'static str> {
        if !text.starts_with(b"{") {
            return decode(text).map(Self::Plain);
        }
        let wrapped: Wrapped =
            serde_json::from_slice(text).map_err(|_| "it is damaged, or of a later version")?;
        if wrapped.v == VERSION {
            Ok(Self::Wrapped(wrapped))
        } else {
            Err("it is of a later version")
        }
    }
}

impl Wrapped {
    /// The key, if this is the lock it was put under.
    pub(super) fn open(&self, lock: &Lock) -> Option<MasterKey> {
        let bytes = self.key.open(&lock.key, WRAPPED_PLACE).ok()?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        (bytes.len() == KEY_LEN).then(|| key.copy_from_slice(&bytes))?;
        Some(MasterKey(Key::new(key)))
    }
}

/// What a slot is to hold for `key`: under `lock`, if there is one.
pub(super) fn text(key: &MasterKey, lock: Option<&Lock>) -> Result<Zeroizing<Vec<u8>>> {
    let Some(lock) = lock else { return Ok(plain(&key.0)) };
    let key = Envelope::seal(&lock.key, WRAPPED_PLACE, key.0.bytes())?;
    let wrapped = Wrapped { v: VERSION, derivation: lock.derivation.clone(), key };
    serde_json::to_vec(&wrapped).map(Zeroizing::new).map_err(|_| Error::Encrypt)
}

const WRAPPED_PLACE: &[u8] = b"master key";

fn plain(key: &Key) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(vec![b'\n'; 2 * KEY_LEN + 1]);
    if let Some(digits) = text.get_mut(..2 * KEY_LEN) {
        // The lengths fit, and nothing else can fail.
        let _ = hex::encode_to_slice(key.bytes(), digits);
    }
    text
}

fn decode(text: &[u8]) -> std::result::Result<Key, &'static str> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    if digits.len() != 2 * KEY_LEN {
        return Err("it does not have 64 hexadecimal digits");
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| "it is not hexadecimal")?;
    if key.iter().all(|byte| *byte == 0) {
        return Err("it is all zeros");
    }
    Ok(Key::new(key))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::paths;

    fn source() -> (tempfile::TempDir, PathBuf, KeySource) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        (dir, path.clone(), KeySource::File(path))
    }

    #[test]
    fn a_key_is_loaded_as_it_was_created() {
        let (_dir, path, source) = source();
        assert!(MasterKey::load(&source).unwrap().is_none());
        let made = MasterKey::create(&source).unwrap();
        assert_eq!(MasterKey::load(&source).unwrap().unwrap().id(), made.id());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_is_never_replaced() {
        let (_dir, _, source) = source();
        let first = MasterKey::create(&source).unwrap();
        assert_eq!(MasterKey::create(&source).unwrap().id(), first.id());
    }

    #[test]
    fn a_key_others_may_read_is_refused_with_the_command_that_mends_it() {
        let (_dir, path, source) = source();
        MasterKey::create(&source).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = MasterKey::load(&source).unwrap_err();
        assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", path.display()));
    }

    #[test]
    fn a_file_of_another_length_or_alphabet_is_no_key() {
        let (_dir, path, source) = source();
        for text in ["", "\n", &"a".repeat(63), &"a".repeat(66), &"g".repeat(64), &"0".repeat(64)] {
            paths::write_private(&path, text.as_bytes()).unwrap();
            let error = MasterKey::load(&source).unwrap_err();
            assert!(matches!(error, Error::KeyMalformed { .. }), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_missing_line_feed_does_no_harm() {
        let (_dir, path, source) = source();
        paths::write_private(&path, "ab".repeat(32).as_bytes()).unwrap();
        assert!(MasterKey::load(&source).unwrap().is_some());
    }
}
