//! One profile's vault on disk: names and values sealed into the records of a [`Store`].

mod rotate;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::rotate::Rotated;
use secrecy::SecretSlice;
use zeroize::Zeroizing;

use super::{
    Error, MasterKey, Report, Result, Vault, check,
    keys::{KeyRing, PLACE_LEN, Refusal},
    seal::{Envelope, Problem},
    store::Store,
};

/// Where the key ring lies. Shorter than any record's place, so it is never one.
const RING: &[u8] = b"keys";

/// An open vault. Dropping it closes the store; nothing is written then that was not already.
#[derive(Debug)]
pub struct SledVault {
    store: Store,
    /// Replaced as a whole; who reads holds on to what was there.
    keys: Mutex<Arc<Keys>>,
    /// Held from the choice of the key until the record is on disk, or read: else a record could appear
    /// under a key that is just being dropped, or a rotation undo a put. The store serves one at a time
    /// anyway.
    moment: Mutex<()>,
}

/// The keys of an open vault, and the one that wraps them.
#[derive(Debug)]
struct Keys {
    master: MasterKey,
    ring: KeyRing,
}

impl SledVault {
    /// Opens the vault in `dir` with the key that wrapped its data keys, or makes a new one there.
    /// `dir` must be private (see [`crate::paths::create_private_dir`]).
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::WrongKey`], [`Error::KeysDamaged`], [`Error::Newer`],
    /// [`Error::Full`], [`Error::Path`], [`Error::Store`].
    pub fn open(dir: &Path, master: &MasterKey) -> Result<Self> {
        Self::open_with_one_of(dir, master, None)
    }

    /// The same while the master key is being exchanged: with `next` if the vault has it already, else
    /// with `master`.
    pub(super) fn open_with_one_of(
        dir: &Path,
        master: &MasterKey,
        next: Option<&MasterKey>,
    ) -> Result<Self> {
        let store = Store::open(dir)?;
        let dir = dir.to_owned();
        let (master, ring) = match store.get(RING)? {
            Some(bytes) => {
                let newer =
                    next.and_then(|next| Some((next, KeyRing::unwrap(&bytes, &next.0).ok()?)));
                match newer {
                    Some(found) => found,
                    None => {
                        (master, KeyRing::unwrap(&bytes, &master.0).map_err(|e| e.at(dir, master))?)
                    }
                }
            }
            // The ring is the first thing ever written; records without it have lost it.
            None if !store.all()?.is_empty() => {
                return Err(Error::KeysDamaged { dir, what: "they are missing".to_owned() });
            }
            None => {
                let (ring, master) = (KeyRing::generate()?, next.unwrap_or(master));
                store.put(RING, &ring.wrap(&master.0)?)?;
                (master, ring)
            }
        };
        let keys = Arc::new(Keys { master: master.clone(), ring });
        Ok(Self { store, keys: Mutex::new(keys), moment: Mutex::new(()) })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// Has there ever been a vault in `dir`? It may be one that can't be opened.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        Store::exists(dir)
    }

    /// Decrypts every record.
    ///
    /// # Errors
    /// What the store says. Damaged records are no error here but what the report is about.
    pub fn verify(&self) -> Result<Report> {
        self.export(|_, _| Ok(()))
    }

    /// Every record's name and value, as they were at one moment, in no order that means anything.
    /// One that is damaged is left out and told of.
    ///
    /// # Errors
    /// What the store says, and what `each` does.
    pub fn export<E: From<Error>>(
        &self,
        mut each: impl FnMut(&str, &[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Report, E> {
        let mut report = Report::default();
        let (keys, records) = {
            let _moment = self.lock();
            (self.keys(), self.records()?)
        };
        for (place, bytes) in records {
            let plain = keys.ring.unseal(&place, &bytes);
            let record = plain.as_ref().ok().and_then(Plain::split);
            match record.and_then(|(name, value)| Some((std::str::from_utf8(name).ok()?, value))) {
                Some((name, value)) => {
                    each(name, value)?;
                    report.records += 1;
                }
                None => report.damaged.push(damaged_at(&place, plain.err())),
            }
        }
        Ok(report)
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = self.store.all()?;
        all.retain(|(place, _)| place != RING);
        Ok(all)
    }
}

impl KeyRing {
    /// Name and value of what lies at `place`.
    fn unseal(&self, place: &[u8], bytes: &[u8]) -> std::result::Result<Plain, Problem> {
        let envelope = Envelope::parse(bytes)?;
        let key = self
            .find(envelope.key_id())
            .ok_or_else(|| Problem::Key(envelope.key_id().to_owned()))?;
        let plain = Plain(envelope.open(key, &record_place(place))?);
        plain.split().ok_or(Problem::Malformed)?;
        Ok(plain)
    }

    /// What is to lie at `place`.
    fn seal(&self, place: &[u8], plain: &Plain) -> Result<Vec<u8>> {
        Envelope::seal(self.current()?, &record_place(place), &plain.0)?.to_bytes()
    }
}

impl Refusal {
    fn at(self, dir: PathBuf, given: &MasterKey) -> Error {
        match self {
            Self::WrongMaster(needed) => {
                Error::WrongKey { dir, needed, given: given.id().to_owned() }
            }
            Self::Newer(found) => Error::Newer { dir, found },
            Self::Damaged(what) => Error::KeysDamaged { dir, what },
        }
    }
}

fn damaged_at(place: &[u8], problem: Option<Problem>) -> String {
    let problem = problem.unwrap_or(Problem::Malformed);
    format!("the record at {} is damaged: {problem}", hex::encode(place))
}

impl Vault for SledVault {
    fn get(&self, key: &str) -> Result<Option<SecretSlice<u8>>> {
        let (keys, place, bytes) = {
            let _moment = self.lock();
            let keys = self.keys();
            let place = keys.ring.place(key)?;
            let bytes = self.store.get(&place)?;
            (keys, place, bytes)
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let damaged = |what: String| Error::Damaged {
            dir: self.store.dir().to_owned(),
            record: format!("'{key}'"),
            what,
        };
        let plain = keys.ring.unseal(&place, &bytes).map_err(|e| damaged(e.to_string()))?;
        match plain.split() {
            Some((name, value)) if name == key.as_bytes() => Ok(Some(value.to_vec().into())),
            _ => Err(damaged("it is another record".to_owned())),
        }
    }

    fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        check(key, value)?;
        let _moment = self.lock();
        let ring = &self.keys().ring;
        let place = ring.place(key)?;
        self.store.put(&place, &ring.seal(&place, &Plain::join(key, value))?)
    }

    fn delete(&self, key: &str) -> Result<bool> {
        let _moment = self.lock();
        self.store.delete(&self.keys().ring.place(key)?)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.export::<Error>(|name, _| {
            if name.starts_with(prefix) {
                names.push(name.to_owned());
            }
            Ok(())
        })?;
        names.sort_unstable();
        Ok(names)
    }
}

/// A record's name and value in one: the name's length (two bytes, big endian), the name, the value.
struct Plain(Zeroizing<Vec<u8>>);

impl Plain {
    fn join(name: &str, value: &[u8]) -> Self {
        // Exactly as long as needed: growing would leave copies behind. `check` bounds the name.
        let mut plain = Zeroizing::new(Vec::with_capacity(2 + name.len() + value.len()));
        plain.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(value);
        Self(plain)
    }

    fn split(&self) -> Option<(&[u8], &[u8])> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        rest.split_at_checked(u16::from_be_bytes(*length).into())
    }
}

/// What a record's envelope is bound to; no other kind of envelope has such a place.
fn record_place(place: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(7 + PLACE_LEN);
    bound.extend_from_slice(b"record ");
    bound.extend_from_slice(place);
    bound
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::vault::KeySource;

    fn vault() -> (tempfile::TempDir, MasterKey, SledVault) {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::create(&KeySource::File(dir.path().join("master.key"))).unwrap();
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        (dir, master, vault)
    }

    fn value(vault: &SledVault, key: &str) -> Option<Vec<u8>> {
        vault.get(key).unwrap().map(|value| value.expose_secret().to_vec())
    }

    #[test]
    fn what_was_put_is_there_after_reopening() {
        let (dir, master, vault) = vault();
        vault.put("a", b"1").unwrap();
        vault.put("a", b"2").unwrap();
        drop(vault);
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        assert_eq!(value(&vault, "a").unwrap(), b"2");
        assert_eq!(value(&vault, "b"), None);
    }

    #[test]
    fn the_largest_name_and_value_fit_and_one_byte_more_does_not() {
        let (dir, master, vault) = vault();
        let (name, large) = ("n".repeat(super::super::NAME_MAX), vec![7; super::super::VALUE_MAX]);
        vault.put(&name, &large).unwrap();
        assert!(matches!(vault.put(&format!("{name}n"), b""), Err(Error::Name { .. })));
        assert!(matches!(vault.put("", b""), Err(Error::Name { .. })));
        let larger = [large.as_slice(), b"7"].concat();
        assert!(matches!(vault.put("n", &larger), Err(Error::TooLarge { .. })));
        drop(vault);
        let vault = SledVault::open(&dir.path().join("vault"), &master).unwrap();
        assert_eq!(value(&vault, &name).unwrap(), large);
    }

    #[test]
    fn deleting_says_whether_there_was_one() {
        let (_dir, _, vault) = vault();
        vault.put("a", b"1").unwrap();
        assert!(vault.delete("a").unwrap());
        assert!(!vault.delete("a").unwrap());
        assert_eq!(value(&vault, "a"), None);
    }

    #[test]
    fn listing_is_sorted_and_by_prefix() {
        let (_dir, _, vault) = vault();
        for key in ["c/2", "d/1", "c/1", "é"] {
            vault.put(key, b"").unwrap();
        }
        assert_eq!(vault.list("c/").unwrap(), ["c/1", "c/2"]);
        assert_eq!(vault.list("").unwrap(), ["c/1", "c/2", "d/1", "é"]);
    }

    #[test]
    fn a_wrong_master_key_is_said_to_be_one_and_both_keys_are_named() {
        let (dir, master, vault) = vault();
        drop(vault);
        let other = MasterKey::create(&KeySource::File(dir.path().join("other.key"))).unwrap();
        let error = SledVault::open(&dir.path().join("vault"), &other).unwrap_err();
        assert!(
            matches!(&error, Error::WrongKey { needed, given, .. }
                if needed == master.id() && given == other.id()),
            "{error}"
        );
        assert!(error.hint().unwrap().contains(master.id()));
    }

    #[test]
    fn swapped_records_do_not_open_and_are_named() {
        let (_dir, _, vault) = vault();
        vault.put("work", b"1").unwrap();
        vault.put("home", b"2").unwrap();
        let (work, home) =
            (vault.keys().ring.place("work").unwrap(), vault.keys().ring.place("home").unwrap());
        let sealed = vault.store.get(&work).unwrap().unwrap();
        vault.store.put(&home, &sealed).unwrap();
        let error = vault.get("home").unwrap_err();
        assert!(matches!(&error, Error::Damaged { record, .. } if record == "'home'"), "{error}");
        assert_eq!(value(&vault, "work").unwrap(), b"1");
    }

    #[test]
    fn one_damaged_record_harms_no_other_and_is_reported() {
        let (_dir, _, vault) = vault();
        vault.put("bad", b"1").unwrap();
        vault.put("good", b"2").unwrap();
        vault.store.put(&vault.keys().ring.place("bad").unwrap(), b"{}").unwrap();
        assert_eq!(vault.list("").unwrap(), ["good"]);
        let report = vault.verify().unwrap();
        assert_eq!((report.records, report.damaged.len()), (1, 1));
        assert!(vault.delete("bad").unwrap());
        assert!(vault.verify().unwrap().damaged.is_empty());
    }

    #[test]
    fn records_without_their_keys_are_not_given_new_ones() {
        let (dir, master, vault) = vault();
        vault.put("a", b"1").unwrap();
        vault.store.delete(RING).unwrap();
        drop(vault);
        let error = SledVault::open(&dir.path().join("vault"), &master).unwrap_err();
        assert!(matches!(error, Error::KeysDamaged { .. }), "{error}");
    }

    #[test]
    fn neither_names_nor_values_can_be_read_on_disk() {
        let (dir, _, vault) = vault();
        vault.put("connection/github/work", b"ghp_averysecretvalue").unwrap();
        drop(vault);
        for file in ["db", "conf"] {
            let bytes = std::fs::read(dir.path().join("vault").join(file)).unwrap();
            for word in [b"github".as_slice(), b"ghp_", b"secret"] {
                assert!(!bytes.windows(word.len()).any(|window| window == word), "{file}");
            }
        }
    }
}
