//! A vault that forgets, for tests of what uses one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use zeroize::Zeroizing;

use super::{Result, Vault, check};

/// Records in memory, unencrypted. Takes and refuses what [`super::SledVault`] does.
#[derive(Default)]
pub struct MemoryVault {
    records: Mutex<BTreeMap<String, Zeroizing<Vec<u8>>>>,
}

impl fmt::Debug for MemoryVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVault").finish_non_exhaustive()
    }
}

impl MemoryVault {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Vault for MemoryVault {
    fn get(&self, key: &str) -> Result<Option<secrecy::SecretSlice<u8>>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(key).map(|value| value.to_vec().into()))
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        check(key, value)?;
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(key.to_owned(), Zeroizing::new(value.to_vec()));
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<bool> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.remove(key).is_some())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}
