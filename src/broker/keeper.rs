//! Who holds the master key of a home: reads it, waits for its passphrase, opens vaults with it.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
};

use secrecy::SecretString;

use super::{profiles, vault_error};
use crate::{
    paths::Home,
    protocol::{
        ErrorKind, ErrorReply, chain,
        vault::{KeyPlace, VaultState},
    },
    vault::{self, Cost, KeySource, KeyState, MasterKeys, Protection, SledVault},
};

/// Name of the master key in the OS keyring.
const KEYRING_SERVICE: &str = "authsome";

/// Makes the configuration name another place of the master key.
pub type ChooseKey = Arc<dyn Fn(KeyPlace) -> Result<(), ErrorReply> + Send + Sync>;

/// Holds the master key of one home, once it is known.
pub struct KeyKeeper {
    home: Home,
    /// Where the configuration says it is.
    configured: Mutex<KeyPlace>,
    choose: ChooseKey,
    keys: Mutex<Option<MasterKeys>>,
}

impl fmt::Debug for KeyKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyKeeper").field("home", &self.home).finish_non_exhaustive()
    }
}

impl KeyKeeper {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(home: &Home, configured: KeyPlace, choose: ChooseKey) -> Self {
        Self {
            home: home.clone(),
            configured: Mutex::new(configured),
            choose,
            keys: Mutex::new(None),
        }
    }

    /// Can vaults be opened, or does it take a passphrase?
    ///
    /// # Errors
    /// What is in the key's place can't be read, or is not what the configuration says.
    pub fn state(&self) -> Result<VaultState, ErrorReply> {
        let configured = self.configured();
        // A keyring has its own way to be unlocked, and may ask: it is read once.
        if self.lock().is_some() || configured == KeyPlace::Keyring {
            return Ok(VaultState::Open);
        }
        let source = source(&self.home, configured);
        match MasterKeys::state(&source).map_err(|error| vault_error(&error))? {
            KeyState::Locked => Ok(VaultState::Locked),
            KeyState::Missing if configured == KeyPlace::Passphrase => Ok(VaultState::New),
            KeyState::Plain if configured == KeyPlace::Passphrase => Err(ErrorReply {
                kind: ErrorKind::Unavailable,
                message: format!("no passphrase protects {source}, but config.toml says so"),
                hint: Some(
                    "set `master_key = \"file\"`, then authsome vault move-key passphrase"
                        .to_owned(),
                ),
            }),
            KeyState::Missing | KeyState::Plain => Ok(VaultState::Open),
        }
    }

    /// Takes the passphrase. If there is no key yet, this one protects the first.
    ///
    /// # Errors
    /// It is another one, or too short for a first one.
    pub fn unlock(&self, passphrase: &SecretString) -> Result<(), ErrorReply> {
        let mut keys = self.lock();
        let protection = Protection::Passphrase(passphrase, Cost::STANDARD);
        let read = MasterKeys::load_or_create(
            &source(&self.home, KeyPlace::Passphrase),
            &protection,
            &profiles::vaults(&self.home),
        );
        *keys = Some(read.map_err(|error| key_error(&error))?);
        Ok(())
    }

    /// Forgets the key, when what it was to open could not be opened.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Opens the vault in `dir`, making it, and the key, where there has never been any.
    ///
    /// # Errors
    /// [`vault::Error::Locked`]; else as [`MasterKeys::load_or_create`] and [`MasterKeys::open`].
    pub fn open_vault(&self, dir: &Path) -> Result<SledVault, vault::Error> {
        let mut keys = self.lock();
        if let Some(keys) = &*keys {
            return keys.open(dir);
        }
        let mut vaults = profiles::vaults(&self.home);
        vaults.push(dir.to_owned());
        let configured = self.configured();
        let source = source(&self.home, configured);
        let read = MasterKeys::load_or_create(&source, &Protection::None, &vaults)?;
        if configured == KeyPlace::Keyring {
            self.remove_copies(&read);
        }
        keys.insert(read).open(dir)
    }

    /// Where the key is. Does not wait for whoever works with it, which may take a person's time: until
    /// then it is where the configuration says.
    #[must_use]
    pub fn place(&self) -> KeyPlace {
        let keys = match self.keys.try_lock() {
            Ok(keys) => keys,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.configured(),
        };
        match &*keys {
            Some(keys) if keys.is_protected() => KeyPlace::Passphrase,
            Some(_) if self.configured() == KeyPlace::Keyring => KeyPlace::Keyring,
            Some(_) => KeyPlace::File,
            None => self.configured(),
        }
    }

    /// Works with the key; one at a time.
    ///
    /// # Errors
    /// What `work` says; that no key is held.
    pub(super) fn with_keys<T>(
        &self,
        work: impl FnOnce(&mut MasterKeys) -> Result<T, ErrorReply>,
    ) -> Result<T, ErrorReply> {
        let mut keys = self.lock();
        let place = || source(&self.home, self.configured()).to_string();
        let held = keys.as_mut();
        work(held.ok_or_else(|| vault_error(&vault::Error::Locked { place: place() }))?)
    }

    /// Moves the key, and has the configuration say so.
    ///
    /// # Errors
    /// As [`MasterKeys::move_to`].
    pub(super) fn move_key(
        &self,
        to: KeyPlace,
        passphrase: Option<&SecretString>,
        replace: bool,
    ) -> Result<(), ErrorReply> {
        let protection = match (to, passphrase) {
            (KeyPlace::Passphrase, Some(text)) => Protection::Passphrase(text, Cost::STANDARD),
            (KeyPlace::Passphrase, None) => {
                return Err(ErrorReply {
                    kind: ErrorKind::Usage,
                    message: "there is no passphrase to protect the key with".to_owned(),
                    hint: Some("--passphrase-stdin or --passphrase-file PATH".to_owned()),
                });
            }
            (KeyPlace::File | KeyPlace::Keyring, _) => Protection::None,
        };
        let target = source(&self.home, to);
        self.with_keys(|keys| {
            let moved: Result<(), Failure> = keys.move_to(target, &protection, replace, || {
                (self.choose)(to).map_err(Failure::Choice)
            });
            moved.map_err(|failure| match failure {
                Failure::Vault(error) => key_error(&error),
                Failure::Choice(error) => error,
            })?;
            *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = to;
            self.remove_copies(keys);
            Ok(())
        })
    }

    /// What a move that was interrupted left in the file. A keyring is not asked at every start for
    /// copies it may hold: one there is no less protected.
    fn remove_copies(&self, keys: &MasterKeys) {
        match keys.remove_copy(&source(&self.home, KeyPlace::File)) {
            Ok(true) => tracing::info!("removed the master key's copy in the file"),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                error = chain(&error),
                "a copy of the master key could not be removed from its file"
            ),
        }
    }

    fn configured(&self) -> KeyPlace {
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<MasterKeys>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What moving a key can fail of.
enum Failure {
    Vault(vault::Error),
    Choice(ErrorReply),
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        Self::Vault(error)
    }
}

/// The place of a home's master key.
pub(super) fn source(home: &Home, place: KeyPlace) -> KeySource {
    match place {
        KeyPlace::File | KeyPlace::Passphrase => KeySource::File(home.master_key()),
        KeyPlace::Keyring => KeySource::Keyring {
            service: KEYRING_SERVICE.to_owned(),
            user: home.root().display().to_string(),
        },
    }
}

/// What a person got wrong is no unavailability of the vault.
pub(super) fn key_error(error: &vault::Error) -> ErrorReply {
    let kind = if matches!(error, vault::Error::Passphrase { .. }) {
        ErrorKind::Failed
    } else if matches!(error, vault::Error::Weak) {
        ErrorKind::Usage
    } else if matches!(error, vault::Error::OtherKey { .. }) {
        ErrorKind::Exists
    } else {
        ErrorKind::Unavailable
    };
    ErrorReply::caused(kind, error, error.hint())
}
