//! Making a backup.

use std::{fmt, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Error, MAGIC, Result, VERSION, item,
    segments::{self, NONCE_LEN, Sealer},
};
use crate::vault::{
    self, Cost,
    passphrase::{Derivation, check_passphrase},
};

/// What can be known of a backup without its passphrase.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) v: u32,
    pub(super) created: String,
    #[serde(flatten)]
    pub(super) derivation: Derivation,
    /// Base64.
    pub(super) nonce: String,
}

/// Encrypts what it is told to `out`, which it hands back at the end.
pub struct Writer<W> {
    sealer: Sealer<W>,
    items: u64,
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("items", &self.items).finish_non_exhaustive()
    }
}

impl<W: Write> Writer<W> {
    /// Begins a backup under `passphrase`; `created` is the time, for people.
    ///
    /// # Errors
    /// [`vault::Error::Weak`], [`Error::Write`].
    pub fn new(mut out: W, passphrase: &SecretString, cost: Cost, created: &str) -> Result<Self> {
        check_passphrase(passphrase)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(vault::Error::Random)?;
        let derivation = Derivation::new(cost)?;
        let key = derivation.derive(passphrase)?;
        let nonce_text = STANDARD.encode(nonce);
        let head = Head { v: VERSION, created: created.to_owned(), derivation, nonce: nonce_text };
        let head = serde_json::to_vec(&head).map_err(|_| vault::Error::Encrypt)?;
        let length = u32::try_from(head.len()).map_err(|_| vault::Error::Encrypt)?;
        let hash: [u8; 32] = Sha256::digest(&head).into();
        for part in [MAGIC.as_slice(), &length.to_be_bytes(), &head, &hash] {
            out.write_all(part).map_err(Error::Write)?;
        }
        Ok(Self { sealer: Sealer::new(out, &key, &nonce, hash)?, items: 0 })
    }

    /// Adds a record of a profile's vault.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Write`].
    pub fn record(&mut self, profile: &str, name: &str, value: &[u8]) -> Result<()> {
        self.items += 1;
        item::write_record(&mut self.sealer, profile, name, value).map_err(unwrapped)
    }

    /// Adds a file of the home.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Write`].
    pub fn file(&mut self, path: &str, contents: &[u8]) -> Result<()> {
        self.items += 1;
        item::write_file(&mut self.sealer, path, contents).map_err(unwrapped)
    }

    /// Ends it. Only then is it a backup; making it durable is the caller's.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<W> {
        item::write_end(&mut self.sealer, self.items).map_err(unwrapped)?;
        self.sealer.finish()
    }
}

/// What the segments said rather than that writing failed.
fn unwrapped(error: Error) -> Error {
    if let Error::Write(error) = error { segments::error(error, Error::Write) } else { error }
}
