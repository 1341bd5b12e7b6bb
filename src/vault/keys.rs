//! The keys of one vault: data keys for the records, one key for their names.
//!
//! All are random and wrapped by the master key. The ring is one record of the store, written in one
//! put, so that a change of master key or of current data key happens entirely or not at all.

use std::{collections::BTreeSet, fmt};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    Error, Result,
    seal::{Envelope, KEY_LEN, Key, Problem},
};

/// The format this program writes.
const VERSION: u32 = 1;

/// Length of a record's place: an HMAC-SHA-256.
pub(super) const PLACE_LEN: usize = 32;

/// A vault's keys, unwrapped.
#[derive(Clone)]
pub(super) struct KeyRing {
    /// Data keys; records may need any of them.
    keys: Vec<Key>,
    /// Id of the one that new records are sealed under.
    current: String,
    /// Turns names into places. It outlives data keys: else a rotation would move every record.
    names: Key,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("current", &self.current).finish_non_exhaustive()
    }
}

/// The ring as it lies in the store.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// Id of the master key that wraps the rest.
    master: String,
    current: String,
    keys: Vec<Wrapped>,
    names: Envelope,
}

#[derive(Debug, Serialize, Deserialize)]
struct Wrapped {
    kid: String,
    key: Envelope,
}

/// Why a stored ring can't be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another master key wrapped it: this id.
    WrongMaster(String),
    /// Of a later format.
    Newer(u32),
    /// Its bytes are not those that were written.
    Damaged(String),
}

impl KeyRing {
    /// New keys for a new vault.
    pub(super) fn generate() -> Result<Self> {
        let key = Key::generate()?;
        Ok(Self { current: key.id().to_owned(), keys: vec![key], names: Key::generate()? })
    }

    /// The bytes for the store.
    pub(super) fn wrap(&self, master: &Key) -> Result<Vec<u8>> {
        let keys = self
            .keys
            .iter()
            .map(|key| {
                let place = data_key_place(key.id());
                Ok(Wrapped {
                    kid: key.id().to_owned(),
                    key: Envelope::seal(master, &place, key.bytes())?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let stored = Stored {
            v: VERSION,
            master: master.id().to_owned(),
            current: self.current.clone(),
            keys,
            names: Envelope::seal(master, NAME_KEY_PLACE, self.names.bytes())?,
        };
        serde_json::to_vec(&stored).map_err(|_| Error::Encrypt)
    }

    /// The reverse of [`KeyRing::wrap`].
    pub(super) fn unwrap(bytes: &[u8], master: &Key) -> std::result::Result<Self, Refusal> {
        // The version first: a later format may have other members.
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let damaged = |e: serde_json::Error| Refusal::Damaged(e.to_string());
        let Version { v } = serde_json::from_slice(bytes).map_err(damaged)?;
        if v != VERSION {
            return Err(Refusal::Newer(v));
        }
        let stored: Stored = serde_json::from_slice(bytes).map_err(damaged)?;
        if stored.master != master.id() {
            return Err(Refusal::WrongMaster(stored.master));
        }
        let open = |envelope: &Envelope, place: &[u8]| {
            let opened = envelope.open(master, place).map_err(|e| match e {
                Problem::Version(v) => Refusal::Newer(v),
                e @ (Problem::Malformed | Problem::Key(_) | Problem::Tag) => {
                    Refusal::Damaged(e.to_string())
                }
            })?;
            let mut key = Zeroizing::new([0; KEY_LEN]);
            if opened.len() != KEY_LEN {
                return Err(Refusal::Damaged("a key has another length".to_owned()));
            }
            key.copy_from_slice(&opened);
            Ok(Key::new(key))
        };
        let keys = stored
            .keys
            .iter()
            .map(|wrapped| open(&wrapped.key, &data_key_place(&wrapped.kid)))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let names = open(&stored.names, NAME_KEY_PLACE)?;
        if !keys.iter().any(|key| key.id() == stored.current) {
            return Err(Refusal::Damaged("the current key is missing".to_owned()));
        }
        Ok(Self { keys, current: stored.current, names })
    }

    /// The same with one more key, under which new records are sealed from now on.
    pub(super) fn with_new_key(&self) -> Result<Self> {
        let mut ring = self.clone();
        let key = Key::generate()?;
        key.id().clone_into(&mut ring.current);
        ring.keys.push(key);
        Ok(ring)
    }

    /// The same without the keys that no record needs.
    pub(super) fn with_only(&self, needed: &BTreeSet<String>) -> Self {
        let mut ring = self.clone();
        ring.keys.retain(|key| key.id() == self.current || needed.contains(key.id()));
        ring
    }

    /// Are there keys of the past?
    pub(super) fn has_old_keys(&self) -> bool {
        self.keys.len() > 1
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Id of the key new records are sealed under.
    pub(super) fn current_id(&self) -> &str {
        &self.current
    }

    /// The key new records are sealed under.
    pub(super) fn current(&self) -> Result<&Key> {
        self.find(&self.current).ok_or(Error::Encrypt)
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// Where the record of this name lies in the store.
    pub(super) fn place(&self, name: &str) -> Result<[u8; PLACE_LEN]> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(self.names.bytes())
            .map_err(|_| Error::Encrypt)?;
        mac.update(name.as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

const NAME_KEY_PLACE: &[u8] = b"name key";

fn data_key_place(id: &str) -> Vec<u8> {
    [b"data key ", id.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_ring_unwraps_to_the_same_keys() {
        let (master, ring) = (Key::generate().unwrap(), KeyRing::generate().unwrap());
        let again = KeyRing::unwrap(&ring.wrap(&master).unwrap(), &master).unwrap();
        assert_eq!(again.current().unwrap().bytes(), ring.current().unwrap().bytes());
        assert_eq!(again.place("a").unwrap(), ring.place("a").unwrap());
    }

    #[test]
    fn another_master_key_is_told_from_a_damaged_ring() {
        let (master, ring) = (Key::generate().unwrap(), KeyRing::generate().unwrap());
        let bytes = ring.wrap(&master).unwrap();
        let other = Key::generate().unwrap();
        assert!(matches!(KeyRing::unwrap(&bytes, &other),
            Err(Refusal::WrongMaster(id)) if id == master.id()));
        let broken = &bytes[..bytes.len() - 1];
        assert!(matches!(KeyRing::unwrap(broken, &master), Err(Refusal::Damaged(_))));
    }

    #[test]
    fn wrapped_keys_cannot_be_exchanged() {
        let (master, ring) = (Key::generate().unwrap(), KeyRing::generate().unwrap());
        let mut stored: Stored = serde_json::from_slice(&ring.wrap(&master).unwrap()).unwrap();
        std::mem::swap(&mut stored.keys[0].key, &mut stored.names);
        let bytes = serde_json::to_vec(&stored).unwrap();
        assert!(matches!(KeyRing::unwrap(&bytes, &master), Err(Refusal::Damaged(_))));
    }

    #[test]
    fn records_of_an_older_key_can_still_be_opened() {
        let master = Key::generate().unwrap();
        let first = KeyRing::generate().unwrap();
        let old = first.current_id().to_owned();
        let ring = first.with_new_key().unwrap();
        let again = KeyRing::unwrap(&ring.wrap(&master).unwrap(), &master).unwrap();
        assert!(again.find(&old).is_some());
        assert_ne!(again.current().unwrap().id(), old);
    }

    #[test]
    fn a_key_that_no_record_needs_goes_and_the_current_one_stays() {
        let first = KeyRing::generate().unwrap();
        let second = first.with_new_key().unwrap().with_new_key().unwrap();
        let needed = [first.current_id().to_owned()].into();
        let kept = second.with_only(&needed);
        assert_eq!(kept.len(), 2);
        assert!(kept.find(first.current_id()).is_some() && kept.current().is_ok());
    }

    #[test]
    fn a_later_format_is_said_to_be_one() {
        let master = Key::generate().unwrap();
        assert!(matches!(KeyRing::unwrap(br#"{"v":9,"x":1}"#, &master), Err(Refusal::Newer(9))));
    }
}
