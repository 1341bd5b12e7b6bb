//! Reading a backup.

use std::{fmt, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Error, HEAD_MAX, Item, MAGIC, Result, VERSION, item,
    segments::{NONCE_LEN, Opener, cut_off},
    write::Head,
};

/// Decrypts a backup, item by item.
pub struct Reader<R> {
    /// None after the end.
    opener: Option<Opener<R>>,
    items: u64,
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("items", &self.items).finish_non_exhaustive()
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head and derives the key from `passphrase`, which takes a while.
    ///
    /// # Errors
    /// [`Error::NotOne`], [`Error::Newer`], [`Error::Passphrase`], [`Error::CutOff`],
    /// [`Error::Damaged`], [`Error::Read`].
    pub fn new(mut input: R, passphrase: &SecretString) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic).map_err(|error| {
            let error = cut_off(error);
            if matches!(error, Error::CutOff) { Error::NotOne } else { error }
        })?;
        if &magic != MAGIC {
            return Err(Error::NotOne);
        }
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(cut_off)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > HEAD_MAX {
            return Err(Error::Damaged("its head is too long"));
        }
        let mut head = vec![0; length];
        input.read_exact(&mut head).map_err(cut_off)?;
        let mut hash = [0; 32];
        input.read_exact(&mut hash).map_err(cut_off)?;
        let (head, nonce) = parse(&head, hash)?;
        let key = head.derivation.derive(passphrase)?;
        let opener = Opener::new(input, &key, &nonce, hash)?;
        Ok(Self { opener: Some(opener), items: 0 })
    }

    /// The next item; none when all have been read, and were all there are.
    ///
    /// # Errors
    /// [`Error::CutOff`], [`Error::Damaged`], [`Error::Read`].
    #[expect(clippy::should_implement_trait, reason = "an iterator could be taken for complete")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        let Some(opener) = &mut self.opener else { return Ok(None) };
        match item::read(opener)? {
            Ok(item) => {
                self.items += 1;
                Ok(Some(item))
            }
            Err(count) if count == self.items => {
                if let Some(opener) = self.opener.take() {
                    opener.finish()?;
                }
                Ok(None)
            }
            Err(_) => Err(Error::Damaged("items are missing")),
        }
    }
}

fn parse(head: &[u8], hash: [u8; 32]) -> Result<(Head, [u8; NONCE_LEN])> {
    // The version first: a later format may have other members, and another hash.
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    const WHERE: &str = "its head was changed";
    let intact = <[u8; 32]>::from(Sha256::digest(head)) == hash;
    match serde_json::from_slice(head) {
        Ok(Version { v }) if v > VERSION => return Err(Error::Newer(v)),
        Ok(_) if intact => {}
        _ => return Err(Error::Damaged(WHERE)),
    }
    let head: Head = serde_json::from_slice(head).map_err(|_| Error::Damaged(WHERE))?;
    let nonce = STANDARD.decode(&head.nonce).ok().and_then(|nonce| nonce.try_into().ok());
    Ok((head, nonce.ok_or(Error::Damaged(WHERE))?))
}
