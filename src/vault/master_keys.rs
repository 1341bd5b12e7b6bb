//! The master key of one home as it is held: unlocked, exchanged, moved.
//!
//! # Exchange
//!
//! The new key is in the *next* slot of its place, and on the disk, before the first ring is wrapped
//! under it; it replaces the current one after the last. So whatever a crash leaves behind, each ring
//! is under one of the two, and the next start goes on. It only ever goes forward.
//!
//! # Move
//!
//! Copied, read back, and only removed from the old place when the configuration names the new one. A
//! crash leaves two copies of one key. Between a plain file and one under a passphrase there is no
//! copy: the file is replaced, and what it holds says which it is.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{
    Error, KeySource, MasterKey, Result, SledVault,
    master_key::{Text, Wrapped, text},
    passphrase::{Cost, Derivation, Lock, check_passphrase},
    seal::Key,
    slot::Slot,
};

/// What protects a master key beside its place.
#[derive(Clone, Debug)]
pub enum Protection<'a> {
    /// Nothing.
    None,
    /// A passphrase, from which a key is derived at this cost.
    Passphrase(&'a SecretString, Cost),
}

/// How a master key lies in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// There is none.
    Missing,
    /// It can be read.
    Plain,
    /// It takes a passphrase.
    Locked,
}

/// The master key of a home; and for as long as it is being exchanged, the one that replaces it.
#[derive(Debug)]
pub struct MasterKeys {
    source: KeySource,
    current: MasterKey,
    next: Option<MasterKey>,
    /// What the key lies under in its place.
    lock: Option<Lock>,
}

impl MasterKeys {
    /// How the key lies in its place.
    ///
    /// # Errors
    /// As [`MasterKeys::load`].
    pub fn state(source: &KeySource) -> Result<KeyState> {
        let Some(found) = source.read(Slot::Current)? else { return Ok(KeyState::Missing) };
        match parse(source, &found)? {
            Text::Plain(_) => Ok(KeyState::Plain),
            Text::Wrapped(_) => Ok(KeyState::Locked),
        }
    }

    /// Reads the key, if there is one. May take long: a keyring may ask the user to unlock it, and
    /// deriving a key from a passphrase is made to.
    ///
    /// # Errors
    /// [`Error::Locked`] if it takes a passphrase and none is given, [`Error::Passphrase`] if it is
    /// another one; [`Error::KeyMalformed`], [`Error::Path`], [`Error::Keyring`].
    pub fn load(source: &KeySource, passphrase: Option<&SecretString>) -> Result<Option<Self>> {
        let Some(found) = source.read(Slot::Current)? else { return Ok(None) };
        let (current, lock) = match parse(source, &found)? {
            Text::Plain(key) => (MasterKey(key), None),
            Text::Wrapped(wrapped) => {
                let (key, lock) = unlock(source, &wrapped, passphrase)?;
                (key, Some(lock))
            }
        };
        let mut keys = Self { source: source.clone(), current, next: None, lock };
        keys.next = match source.read(Slot::Next)? {
            None => None,
            Some(found) => Some(match (parse(source, &found)?, &keys.lock) {
                (Text::Plain(key), _) => MasterKey(key),
                (Text::Wrapped(wrapped), Some(lock)) if wrapped.derivation == lock.derivation => {
                    let wrong = || Error::Passphrase { place: source.to_string() };
                    wrapped.open(lock).ok_or_else(wrong)?
                }
                (Text::Wrapped(wrapped), _) => unlock(source, &wrapped, passphrase)?.0,
            }),
        };
        // A keyring's promotion is two steps; this is between them.
        if keys.next.as_ref().is_some_and(|next| next.id() == keys.current.id()) {
            source.remove(Slot::Next)?;
            keys.next = None;
        }
        Ok(Some(keys))
    }

    /// Reads the key, making one where there has never been any: `vaults` are those that need it, and
    /// if one of them exists, the key was lost, and a new one would not bring anything back.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] in that case, [`Error::Weak`]; else as [`MasterKeys::load`].
    pub fn load_or_create(
        source: &KeySource,
        protection: &Protection<'_>,
        vaults: &[PathBuf],
    ) -> Result<Self> {
        let passphrase = match protection {
            Protection::None => None,
            Protection::Passphrase(passphrase, _) => Some(*passphrase),
        };
        if let Some(keys) = Self::load(source, passphrase)? {
            return Ok(keys);
        }
        let missing = || Error::KeyMissing { place: source.to_string() };
        if vaults.iter().any(|vault| SledVault::exists(vault)) {
            return Err(missing());
        }
        let lock = new_lock(protection)?;
        source.fill(&text(&MasterKey(Key::generate()?), lock.as_ref())?)?;
        // What counts is what can be read back.
        Self::load(source, passphrase)?.ok_or_else(missing)
    }

    /// Opens the vault in `dir`, making it if there is none.
    ///
    /// # Errors
    /// As [`SledVault::open`].
    pub fn open(&self, dir: &Path) -> Result<SledVault> {
        SledVault::open_with_one_of(dir, &self.current, self.next.as_ref())
    }

    /// Where the key lies.
    #[must_use]
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// Names the key.
    #[must_use]
    pub fn id(&self) -> &str {
        self.current.id()
    }

    /// Does it take a passphrase to read it from its place?
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.lock.is_some()
    }

    /// Was an exchange begun and not completed?
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.next.is_some()
    }

    /// Exchanges the key for a new one. `open` are the vaults it opens that are open, `closed` all
    /// others, which are opened for it.
    ///
    /// # Errors
    /// What a vault or the place says. Each vault opens then with one of two keys, both of which are
    /// kept, and the next call goes on.
    pub fn rotate(&mut self, open: &[&SledVault], closed: &[PathBuf]) -> Result<()> {
        self.finish_rotation(open, closed)?;
        let next = MasterKey(Key::generate()?);
        self.source.write(Slot::Next, &text(&next, self.lock.as_ref())?)?;
        let found = self.source.read(Slot::Next)?;
        let found = found.map(|found| parse(&self.source, &found)).transpose()?;
        let is_there = match (found, &self.lock) {
            (Some(Text::Plain(key)), None) => key.id() == next.id(),
            (Some(Text::Wrapped(wrapped)), Some(lock)) => {
                wrapped.open(lock).is_some_and(|key| key.id() == next.id())
            }
            _ => false,
        };
        if !is_there {
            return Err(Error::KeyMissing { place: self.source.to_string() });
        }
        self.next = Some(next);
        self.finish_rotation(open, closed)
    }

    /// Completes an exchange; without one it does nothing.
    ///
    /// # Errors
    /// As [`MasterKeys::rotate`].
    pub fn finish_rotation(&mut self, open: &[&SledVault], closed: &[PathBuf]) -> Result<()> {
        let Some(next) = &self.next else { return Ok(()) };
        for vault in open {
            vault.rewrap(next)?;
        }
        for dir in closed.iter().filter(|dir| SledVault::exists(dir)) {
            self.open(dir)?.rewrap(next)?;
        }
        self.source.promote()?;
        if let Some(next) = self.next.take() {
            self.current = next;
        }
        Ok(())
    }

    /// Moves the key to another place or under another protection. `switch` makes the configuration
    /// name the new place. A key that is not this one is replaced there only if `replace`.
    ///
    /// # Errors
    /// [`Error::OtherKey`], [`Error::Weak`], [`Error::Rotating`], what a place says, and what `switch`
    /// does. The key is readable where the configuration says then, and perhaps in the other place too;
    /// doing it again completes it.
    pub fn move_to<E: From<Error>>(
        &mut self,
        target: KeySource,
        protection: &Protection<'_>,
        replace: bool,
        switch: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if self.is_rotating() {
            return Err(Error::Rotating.into());
        }
        let lock = new_lock(protection)?;
        let text = text(&self.current, lock.as_ref())?;
        if target == self.source {
            // A plain file that is said to be protected would be refused; the other way round not.
            if lock.is_none() {
                switch()?;
                target.write(Slot::Current, &text)?;
            } else {
                target.write(Slot::Current, &text)?;
                switch()?;
            }
        } else {
            if !replace {
                self.refuse_another(&target)?;
            }
            target.write(Slot::Current, &text)?;
            self.check(&target, lock.as_ref())?;
            switch()?;
            self.source.remove(Slot::Current)?;
        }
        self.source = target;
        self.lock = lock;
        Ok(())
    }

    /// Removes a copy of the key from a place it was moved away from; was there one?
    ///
    /// # Errors
    /// What that place says.
    pub fn remove_copy(&self, other: &KeySource) -> Result<bool> {
        if *other == self.source {
            return Ok(false);
        }
        let Some(found) = other.read(Slot::Current)? else { return Ok(false) };
        match Text::parse(&found) {
            Ok(Text::Plain(key)) if key.id() == self.id() => {
                other.remove(Slot::Current)?;
                Ok(true)
            }
            // Another key may be the only one of its kind.
            _ => Ok(false),
        }
    }

    /// Is there nothing in `target`, or this key?
    fn refuse_another(&self, target: &KeySource) -> Result<()> {
        let found = target.read(Slot::Current)?.map(|found| parse(target, &found)).transpose()?;
        match found {
            None => Ok(()),
            Some(Text::Plain(key)) if key.id() == self.id() => Ok(()),
            Some(_) => Err(Error::OtherKey { place: target.to_string() }),
        }
    }

    /// Can the key be read back?
    fn check(&self, target: &KeySource, lock: Option<&Lock>) -> Result<()> {
        let missing = || Error::KeyMissing { place: target.to_string() };
        let found = target.read(Slot::Current)?.ok_or_else(missing)?;
        let key = match (parse(target, &found)?, lock) {
            (Text::Plain(key), None) => Some(MasterKey(key)),
            (Text::Wrapped(wrapped), Some(lock)) => wrapped.open(lock),
            (Text::Plain(_), Some(_)) | (Text::Wrapped(_), None) => None,
        };
        key.filter(|key| key.id() == self.id()).map(drop).ok_or_else(missing)
    }
}

fn parse(source: &KeySource, found: &[u8]) -> Result<Text> {
    Text::parse(found).map_err(|what| Error::KeyMalformed { place: source.to_string(), what })
}

fn unlock(
    source: &KeySource,
    wrapped: &Wrapped,
    passphrase: Option<&SecretString>,
) -> Result<(MasterKey, Lock)> {
    let place = || source.to_string();
    let passphrase = passphrase.ok_or_else(|| Error::Locked { place: place() })?;
    let key = wrapped.derivation.derive(passphrase).map_err(|_| Error::KeyMalformed {
        place: place(),
        what: "its key is derived in a way this program does not know",
    })?;
    let lock = Lock { derivation: wrapped.derivation.clone(), key };
    let key = wrapped.open(&lock).ok_or_else(|| Error::Passphrase { place: place() })?;
    Ok((key, lock))
}

fn new_lock(protection: &Protection<'_>) -> Result<Option<Lock>> {
    let Protection::Passphrase(passphrase, cost) = protection else { return Ok(None) };
    check_passphrase(passphrase)?;
    let derivation = Derivation::new(*cost)?;
    let key = derivation.derive(passphrase).map_err(|_| Error::Encrypt)?;
    Ok(Some(Lock { derivation, key }))
}
