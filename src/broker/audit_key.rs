//! The key that signs the audit log's heads, and the newest head it signed: one record of the vault.
//!
//! The agent's user may write the log, not the vault's records. So whoever cuts the log, or puts an
//! older one back, finds neither the key to sign that with nor a way to make this forget.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signer as _, SigningKey};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::vault_error;
use crate::{
    audit::{PublicKey, SignedHead, Signer, Signing},
    protocol::{ErrorKind, ErrorReply},
    vault::Vault,
};

/// Its name in the vault.
pub(super) const RECORD: &str = "key/audit";

/// The format of the record.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// Ed25519 seed (RFC 8032), base64.
    seed: String,
    head: Option<SignedHead>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

/// The key, opened.
pub(super) struct AuditKey {
    key: SigningKey,
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKey").finish_non_exhaustive()
    }
}

impl AuditKey {
    /// The vault's key and the head it remembers; a new key if it has none.
    pub(super) fn open(vault: &dyn Vault) -> Result<(Arc<Self>, Signing), ErrorReply> {
        let record = vault.get(RECORD).map_err(|error| vault_error(&error))?;
        let (seed, remembered) = match record {
            Some(bytes) => {
                let mut stored: Stored = serde_json::from_slice(bytes.expose_secret())
                    .map_err(|error| unusable(&error.to_string()))?;
                let seed = Zeroizing::new(
                    BASE64.decode(&stored.seed).map_err(|error| unusable(&error.to_string()))?,
                );
                let seed = <[u8; 32]>::try_from(seed.as_slice())
                    .map_err(|_| unusable("it has not 32 bytes"))?;
                (Zeroizing::new(seed), stored.head.take())
            }
            None => {
                let mut seed = Zeroizing::new([0; 32]);
                getrandom::fill(seed.as_mut_slice())
                    .map_err(|error| unusable(&error.to_string()))?;
                (seed, None)
            }
        };
        let key = Arc::new(Self { key: SigningKey::from_bytes(&seed) });
        let signer: Arc<dyn Signer> = Arc::<Self>::clone(&key);
        Ok((key, Signing { signer, remembered }))
    }

    /// Stores the key with the newest head it signed. Before the first time, the log has a head already:
    /// a key that the vault knows has always signed one.
    pub(super) fn remember(
        &self,
        vault: &dyn Vault,
        head: Option<SignedHead>,
    ) -> Result<(), ErrorReply> {
        let seed = Zeroizing::new(self.key.to_bytes());
        let stored = Stored { v: VERSION, seed: BASE64.encode(*seed), head };
        let bytes = Zeroizing::new(
            serde_json::to_vec(&stored).map_err(|error| unusable(&error.to_string()))?,
        );
        vault.put(RECORD, &bytes).map_err(|error| vault_error(&error))
    }
}

impl Signer for AuditKey {
    fn public_key(&self) -> PublicKey {
        self.key.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

fn unusable(reason: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Unavailable,
        message: format!("the key of the audit log cannot be used: {reason}"),
        hint: Some("authsome doctor".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::MemoryVault;

    #[test]
    fn the_key_stays_the_same_once_it_is_stored() {
        let vault = MemoryVault::default();
        let (key, signing) = AuditKey::open(&vault).unwrap();
        assert!(signing.remembered.is_none());
        key.remember(&vault, None).unwrap();
        let (again, _) = AuditKey::open(&vault).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }

    #[test]
    fn two_vaults_have_two_keys() {
        let key = || AuditKey::open(&MemoryVault::default()).unwrap().0.public_key();
        assert_ne!(key(), key());
    }

    #[test]
    fn a_record_that_means_nothing_is_no_new_key() {
        let vault = MemoryVault::default();
        vault.put(RECORD, b"{}").unwrap();
        assert!(AuditKey::open(&vault).is_err());
    }

    #[test]
    fn the_key_is_not_shown() {
        let (key, signing) = AuditKey::open(&MemoryVault::default()).unwrap();
        assert_eq!(format!("{key:?}"), "AuditKey { .. }");
        assert!(format!("{signing:?}").contains("AuditKey { .. }"));
    }
}
