//! Bytes of a master key in its place: a file, or an entry of the OS keyring.
//!
//! Each place has two slots. [`Slot::Next`] is taken only while the master key is being exchanged, and
//! [`KeySource::promote`] makes it the current one: there is no moment at which neither is there.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use zeroize::{Zeroize, Zeroizing};

use super::{Error, KeySource, Result};
use crate::paths;

/// No key's text is longer, wrapped or not.
const TEXT_MAX: usize = 4096;

/// Which of a place's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The one that counts.
    Current,
    /// The one that is to replace it.
    Next,
}

impl KeySource {
    /// What is in a slot. A keyring may ask the user to unlock it.
    pub(super) fn read(&self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match self {
            Self::File(path) => {
                let path = slot_path(path, slot);
                let Some(file) = paths::open_private(&path)? else {
                    return Ok(None);
                };
                let mut text = Zeroizing::new(Vec::with_capacity(TEXT_MAX));
                file.take(TEXT_MAX as u64).read_to_end(&mut text).map_err(|source| {
                    paths::Error::Io { action: "read", path: path.clone(), source }
                })?;
                Ok(Some(text))
            }
            Self::Keyring { service, user } => match entry(service, user, slot)?.get_secret() {
                Ok(text) => Ok(Some(Zeroizing::new(text))),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(e) => Err(keyring_error(e)),
            },
        }
    }

    /// Fills the current slot if it is empty. If another process did so at the same time, its key
    /// stays.
    pub(super) fn fill(&self, text: &[u8]) -> Result<()> {
        match self {
            Self::File(path) => match paths::create_private(path, text) {
                Err(paths::Error::Io { source: e, .. })
                    if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            },
            Self::Keyring { service, user } => {
                // The keyring has no "only if absent"; the daemon's lock lets only one get here.
                let entry = entry(service, user, Slot::Current)?;
                match entry.get_secret() {
                    Err(keyring::Error::NoEntry) => {
                        entry.set_secret(text).map_err(keyring_error)?;
                    }
                    Ok(mut found) => found.zeroize(),
                    Err(e) => return Err(keyring_error(e)),
                }
            }
        }
        Ok(())
    }

    /// Puts `text` into a slot, whatever was there; it is on the disk when this returns.
    pub(super) fn write(&self, slot: Slot, text: &[u8]) -> Result<()> {
        match self {
            Self::File(path) => Ok(paths::write_private(&slot_path(path, slot), text)?),
            Self::Keyring { service, user } => {
                entry(service, user, slot)?.set_secret(text).map_err(keyring_error)
            }
        }
    }

    /// Empties a slot, if there is something in it.
    pub(super) fn remove(&self, slot: Slot) -> Result<()> {
        match self {
            Self::File(path) => {
                let path = slot_path(path, slot);
                match fs::remove_file(&path).and_then(|()| sync_directory(&path)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        Err(paths::Error::Io { action: "remove", path, source: e }.into())
                    }
                    _ => Ok(()),
                }
            }
            Self::Keyring { service, user } => {
                match entry(service, user, slot)?.delete_credential() {
                    Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
                    Err(e) => Err(keyring_error(e)),
                }
            }
        }
    }

    /// Makes the next key the current one; the one before is gone.
    pub(super) fn promote(&self) -> Result<()> {
        match self {
            Self::File(path) => {
                let next = slot_path(path, Slot::Next);
                fs::rename(&next, path).and_then(|()| sync_directory(path)).map_err(|source| {
                    paths::Error::Io { action: "replace", path: path.clone(), source }.into()
                })
            }
            Self::Keyring { .. } => {
                let missing = || Error::KeyMissing { place: self.to_string() };
                let next = self.read(Slot::Next)?.ok_or_else(missing)?;
                self.write(Slot::Current, &next)?;
                // Twice the same key is what a crash here leaves behind; loading puts it right.
                self.remove(Slot::Next)
            }
        }
    }
}

/// `master.key`, and `master.key.next` beside it.
fn slot_path(path: &Path, slot: Slot) -> PathBuf {
    match slot {
        Slot::Current => path.to_owned(),
        Slot::Next => {
            let mut next = OsString::from(path);
            next.push(".next");
            next.into()
        }
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn entry(service: &str, user: &str, slot: Slot) -> Result<keyring::Entry> {
    let made = match slot {
        Slot::Current => keyring::Entry::new(service, user),
        Slot::Next => keyring::Entry::new(service, &format!("{user} (next)")),
    };
    made.map_err(keyring_error)
}

fn keyring_error(error: keyring::Error) -> Error {
    Error::Keyring(Box::new(error))
}
