//! Exchanging keys under a vault that goes on being used.
//!
//! A data key is exchanged in three steps, each of which leaves a vault that opens, whatever happens in
//! between: the ring gets one more key, which new records are sealed under from then on; each older
//! record is sealed again, one at a time; the ring loses the keys that no record needs. What a crash
//! interrupts, [`SledVault::finish_rotation`] completes.
//!
//! The master key is exchanged by writing the ring anew: one put.

use std::{collections::BTreeSet, sync::Arc, sync::PoisonError};

use super::{Keys, RING, SledVault, damaged_at};
use crate::vault::{
    MasterKey, Result,
    keys::KeyRing,
    seal::{Envelope, Problem},
};

/// What a rotation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Records that were sealed again.
    pub records: usize,
    /// One sentence for each that could not be opened. It stays as it is, and its key is kept.
    pub damaged: Vec<String>,
}

impl SledVault {
    /// Exchanges the data key. Reads and writes go on meanwhile.
    ///
    /// # Errors
    /// What the store says. The vault is usable then, under keys of both kinds, and the next call goes
    /// on where this one ended.
    pub fn rotate(&self) -> Result<Rotated> {
        self.begin_rotation()?;
        self.finish_rotation()
    }

    /// Its first step: new records are sealed under a new key from here on.
    pub(crate) fn begin_rotation(&self) -> Result<()> {
        let _moment = self.lock();
        let keys = self.keys();
        self.exchange(&keys.master, keys.ring.with_new_key()?)
    }

    /// Was a rotation of the data key begun and not completed?
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        self.keys().ring.has_old_keys()
    }

    /// Seals again what is not under the current data key, and drops the others. Without others it does
    /// nothing.
    ///
    /// # Errors
    /// As [`SledVault::rotate`].
    pub fn finish_rotation(&self) -> Result<Rotated> {
        let mut rotated = Rotated::default();
        if !self.is_rotating() {
            return Ok(rotated);
        }
        for (place, _) in self.records()? {
            match self.reseal(&place)? {
                Resealed::Yes => rotated.records += 1,
                Resealed::NotNeeded => {}
                Resealed::Damaged(problem) => {
                    rotated.damaged.push(damaged_at(&place, Some(problem)));
                }
            }
        }
        let _moment = self.lock();
        let keys = self.keys();
        let needed: BTreeSet<String> = self
            .records()?
            .iter()
            .filter_map(|(_, bytes)| Some(Envelope::parse(bytes).ok()?.key_id().to_owned()))
            .collect();
        let ring = keys.ring.with_only(&needed);
        if ring.len() < keys.ring.len() {
            self.exchange(&keys.master, ring)?;
        }
        Ok(rotated)
    }

    /// Puts the data keys under another master key.
    pub(in crate::vault) fn rewrap(&self, master: &MasterKey) -> Result<()> {
        let _moment = self.lock();
        let keys = self.keys();
        if keys.master.id() == master.id() {
            return Ok(());
        }
        self.exchange(master, keys.ring.clone())
    }

    /// Seals one record again if it is under an older key.
    fn reseal(&self, place: &[u8]) -> Result<Resealed> {
        let _moment = self.lock();
        let ring = &self.keys().ring;
        // Deleted, or put anew, since it was listed.
        let Some(bytes) = self.store.get(place)? else { return Ok(Resealed::NotNeeded) };
        if Envelope::parse(&bytes).is_ok_and(|envelope| envelope.key_id() == ring.current_id()) {
            return Ok(Resealed::NotNeeded);
        }
        match ring.unseal(place, &bytes) {
            Ok(plain) => {
                self.store.put(place, &ring.seal(place, &plain)?)?;
                Ok(Resealed::Yes)
            }
            Err(problem) => Ok(Resealed::Damaged(problem)),
        }
    }

    /// Writes a ring, and only then uses it. The caller holds the lock.
    fn exchange(&self, master: &MasterKey, ring: KeyRing) -> Result<()> {
        self.store.put(RING, &ring.wrap(&master.0)?)?;
        let keys = Arc::new(Keys { master: master.clone(), ring });
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

enum Resealed {
    Yes,
    NotNeeded,
    Damaged(Problem),
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::vault::{KeySource, Vault};

    fn vault() -> (tempfile::TempDir, MasterKey, SledVault) {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::create(&KeySource::File(dir.path().join("master.key"))).unwrap();
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        (dir, master, vault)
    }

    fn value(vault: &SledVault, key: &str) -> Vec<u8> {
        vault.get(key).unwrap().unwrap().expose_secret().to_vec()
    }

    #[test]
    fn every_record_is_under_the_new_key_and_the_old_one_is_gone() {
        let (dir, master, vault) = vault();
        vault.put("a", b"1").unwrap();
        vault.put("b", b"2").unwrap();
        let old = vault.keys().ring.current_id().to_owned();
        assert_eq!(vault.rotate().unwrap().records, 2);
        drop(vault);
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        assert!(vault.keys().ring.find(&old).is_none());
        assert_eq!((value(&vault, "a"), value(&vault, "b")), (b"1".to_vec(), b"2".to_vec()));
    }

    #[test]
    fn an_interrupted_rotation_is_seen_and_completed_after_reopening() {
        let (dir, master, vault) = vault();
        vault.put("before", b"1").unwrap();
        vault.begin_rotation().unwrap();
        vault.put("between", b"2").unwrap();
        drop(vault);
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        assert!(vault.is_rotating());
        assert_eq!(vault.finish_rotation().unwrap().records, 1);
        assert!(!vault.is_rotating());
        assert_eq!(value(&vault, "before"), b"1");
        assert_eq!(value(&vault, "between"), b"2");
    }

    #[test]
    fn a_damaged_record_stays_as_it_is_with_its_key_until_it_is_deleted() {
        let (_dir, _, vault) = vault();
        vault.put("bad", b"1").unwrap();
        vault.put("good", b"2").unwrap();
        let place = vault.keys().ring.place("bad").unwrap();
        let good = vault.store.get(&vault.keys().ring.place("good").unwrap()).unwrap().unwrap();
        vault.store.put(&place, &good).unwrap();
        let rotated = vault.rotate().unwrap();
        assert_eq!((rotated.records, rotated.damaged.len()), (1, 1));
        assert!(vault.is_rotating());
        vault.delete("bad").unwrap();
        vault.finish_rotation().unwrap();
        assert!(!vault.is_rotating());
        assert_eq!(value(&vault, "good"), b"2");
    }

    #[test]
    fn a_rewrapped_vault_opens_with_the_new_master_key_only() {
        let (dir, master, vault) = vault();
        vault.put("a", b"1").unwrap();
        let other = MasterKey::create(&KeySource::File(dir.path().join("other.key"))).unwrap();
        vault.rewrap(&other).unwrap();
        vault.rotate().unwrap();
        drop(vault);
        let dir = dir.path().join("vault");
        assert!(SledVault::open(&dir, &master).is_err());
        assert_eq!(value(&SledVault::open(&dir, &other).unwrap(), "a"), b"1");
    }
}
