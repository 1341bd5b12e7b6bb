//! Exchanging and moving keys while processes are killed and disks fill up.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use authsome::vault::{Cost, Error, KeySource, MasterKeys, Protection, SledVault, Vault};

use super::value;
use crate::child;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn source(dir: &Path) -> KeySource {
    KeySource::File(dir.join("master.key"))
}

fn load(dir: &Path) -> MasterKeys {
    MasterKeys::load_or_create(&source(dir), &Protection::None, &[]).unwrap()
}

fn vaults(dir: &Path) -> [PathBuf; 2] {
    ["one", "two"].map(|name| dir.join(name))
}

/// Exchanges keys of both kinds for ever, under a vault that is written to meanwhile and one that is
/// closed, and says what was acknowledged.
fn rotator_to_be_killed(dir: &Path) {
    let mut keys = load(dir);
    let [one, two] = vaults(dir);
    let vault = Arc::new(keys.open(&one).unwrap());
    let first = vault.list("n/").unwrap().len();
    {
        let vault = Arc::clone(&vault);
        thread::spawn(move || {
            for n in first.. {
                vault.put(&format!("n/{n}"), &n.to_be_bytes()).unwrap();
                writeln!(std::io::stdout(), "put {n}").unwrap();
                if n > 20 {
                    // The same names again: what a rotation must not undo.
                    vault.put("counter", n.to_string().as_bytes()).unwrap();
                    writeln!(std::io::stdout(), "count {n}").unwrap();
                }
            }
        });
    }
    loop {
        keys.rotate(&[&vault], std::slice::from_ref(&two)).unwrap();
        writeln!(std::io::stdout(), "master").unwrap();
        vault.rotate().unwrap();
        writeln!(std::io::stdout(), "data").unwrap();
    }
}

#[test]
fn sigkill_during_a_rotation_leaves_every_record_readable() {
    if let Some(dir) = child::dir() {
        return rotator_to_be_killed(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = vaults(dir.path());
    let mut puts = 0;
    let (mut count, mut unfinished) = (0, 0);
    for round in 0..ROUNDS {
        if round % 20 == 0 {
            // A vault that grows without end takes ever longer to rotate.
            drop(fs::remove_dir_all(&one));
            drop(fs::remove_dir_all(&two));
            let keys = load(dir.path());
            keys.open(&two).unwrap().put("kept", b"two").unwrap();
            (puts, count) = (0, 0);
        }
        let name = "vault::rotation::sigkill_during_a_rotation_leaves_every_record_readable";
        let mut child = child::start(name, dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop = 1 + RandomState::new().hash_one(round) % 25;
        let mut seen = 0;
        // After the kill the pipe still holds what was said before it.
        while let Some(Ok(line)) = lines.next() {
            // The test harness writes on the same pipe, and not always with a line's end.
            if let Some((_, n)) = line.split_once("put ") {
                puts = n.parse::<usize>().unwrap() + 1;
            } else if let Some((_, n)) = line.split_once("count ") {
                count = n.parse::<usize>().unwrap();
            } else if !(line.ends_with("master") || line.ends_with("data")) {
                continue;
            }
            seen += 1;
            if seen == stop {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let mut keys = load(dir.path());
        let (first, second) = (keys.open(&one).unwrap(), keys.open(&two).unwrap());
        unfinished += usize::from(keys.is_rotating() || first.is_rotating());
        for n in 0..puts {
            assert_eq!(value(&first, &format!("n/{n}")).unwrap(), n.to_be_bytes(), "round {round}");
        }
        if count > 0 {
            let found = String::from_utf8(value(&first, "counter").unwrap()).unwrap();
            assert!(found.parse::<usize>().unwrap() >= count, "{found} < {count}");
        }
        assert_eq!(value(&second, "kept").unwrap(), b"two");
        let report = first.verify().unwrap();
        assert!(report.damaged.is_empty(), "{report:?}");
        // Every other time the next process has to go on from there.
        if round % 2 == 0 {
            keys.finish_rotation(&[&first, &second], &[]).unwrap();
            first.finish_rotation().unwrap();
            assert!(!keys.is_rotating() && !first.is_rotating());
            assert!(!dir.path().join("master.key.next").exists());
            assert_eq!(first.verify().unwrap().records, report.records);
        }
    }
    assert!(unfinished > 0, "no kill was in time");
}

const ROUNDS: u64 = 300;

fn rotator_on_a_full_disk(dir: &Path) {
    let mut keys = load(dir);
    let [one, two] = vaults(dir);
    let vault = keys.open(&one).unwrap();
    for n in 0..30_u8 {
        vault.put(&format!("n/{n}"), &[n; 3000]).unwrap();
    }
    let all_there = |vault: &SledVault| {
        (0..30_u8).for_each(|n| assert_eq!(value(vault, &format!("n/{n}")).unwrap(), [n; 3000]));
    };
    let filler = child::fill(dir);
    let error = vault.rotate().unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    let error = keys.rotate(&[&vault], &[two]).unwrap_err();
    assert!(matches!(error, Error::Full { .. } | Error::Path(_)), "{error}");
    all_there(&vault);
    fs::remove_file(filler).unwrap();
    vault.rotate().unwrap();
    keys.rotate(&[&vault], &[]).unwrap();
    all_there(&vault);
    drop(vault);
    let vault = load(dir).open(&one).unwrap();
    assert!(!vault.is_rotating());
    all_there(&vault);
}

#[test]
fn a_full_disk_stops_a_rotation_and_loses_nothing() {
    if let Some(dir) = child::dir() {
        return rotator_on_a_full_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "vault::rotation::a_full_disk_stops_a_rotation_and_loses_nothing";
    child::run_on_small_disk(name, dir.path(), "6m");
}

#[test]
fn a_leftover_next_key_is_taken_up_by_whoever_opens() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = vaults(dir.path());
    let mut keys = load(dir.path());
    keys.open(&one).unwrap().put("a", b"1").unwrap();
    keys.open(&two).unwrap().put("b", b"2").unwrap();
    // One of two vaults cannot be opened: the exchange stops half-way.
    let held = keys.open(&two).unwrap();
    let open = keys.open(&one).unwrap();
    assert!(matches!(keys.rotate(&[&open], std::slice::from_ref(&two)), Err(Error::Held { .. })));
    drop((open, held));
    assert!(dir.path().join("master.key.next").exists());
    let mut keys = load(dir.path());
    assert!(keys.is_rotating());
    let (one, two) = (keys.open(&one).unwrap(), keys.open(&two).unwrap());
    assert_eq!((value(&one, "a").unwrap(), value(&two, "b").unwrap()), (b"1".into(), b"2".into()));
    let before = keys.id().to_owned();
    keys.finish_rotation(&[&one, &two], &[]).unwrap();
    assert_ne!(keys.id(), before);
    assert!(!dir.path().join("master.key.next").exists());
}

#[test]
fn a_protected_key_opens_with_its_passphrase_only_and_rotates_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let [one, _] = vaults(dir.path());
    let right = "correct horse".into();
    let protection = Protection::Passphrase(&right, CHEAP);
    let mut keys = MasterKeys::load_or_create(&source(dir.path()), &protection, &[]).unwrap();
    let vault = keys.open(&one).unwrap();
    vault.put("a", b"1").unwrap();
    keys.rotate(&[&vault], &[]).unwrap();
    drop(vault);
    let load = |passphrase| MasterKeys::load(&source(dir.path()), passphrase);
    assert!(matches!(load(None), Err(Error::Locked { .. })));
    let wrong = "correct horsf".into();
    assert!(matches!(load(Some(&wrong)), Err(Error::Passphrase { .. })));
    let keys = load(Some(&right)).unwrap().unwrap();
    assert_eq!(value(&keys.open(&one).unwrap(), "a").unwrap(), b"1");
    let file = fs::read_to_string(dir.path().join("master.key")).unwrap();
    assert!(file.starts_with('{'), "{file}");
}

/// Moves the key to and fro between a file, a passphrase and a keyring; says so each time.
fn mover_to_be_killed(dir: &Path) {
    keyring::use_directory();
    let right = "correct horse".into();
    let config = dir.join("place");
    loop {
        let place = fs::read_to_string(&config).unwrap();
        let (from, to, protection) = match place.as_str() {
            "file" => ("file", "keyring", Protection::None),
            "keyring" => ("keyring", "passphrase", Protection::Passphrase(&right, CHEAP)),
            _ => ("passphrase", "file", Protection::None),
        };
        let mut keys = MasterKeys::load(&at(dir, from), Some(&right)).unwrap().unwrap();
        let moved: Result<(), Error> = keys.move_to(at(dir, to), &protection, false, || {
            authsome::paths::write_private(&config, to.as_bytes()).map_err(Error::Path)
        });
        moved.unwrap();
        writeln!(std::io::stdout(), "moved").unwrap();
    }
}

fn at(dir: &Path, place: &str) -> KeySource {
    match place {
        "keyring" => KeySource::Keyring {
            service: dir.join("keyring").display().to_string(),
            user: "home".to_owned(),
        },
        _ => source(dir),
    }
}

#[test]
fn sigkill_while_the_key_is_moved_leaves_it_where_the_configuration_says() {
    if let Some(dir) = child::dir() {
        return mover_to_be_killed(&dir);
    }
    keyring::use_directory();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keyring")).unwrap();
    let id = load(dir.path()).id().to_owned();
    authsome::paths::write_private(&dir.path().join("place"), b"file").unwrap();
    let mut places = BTreeMap::<String, usize>::new();
    for round in 0..40_u64 {
        let name = "vault::rotation::sigkill_while_the_key_is_moved_leaves_it_where_the_configuration_says";
        let mut child = child::start(name, dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop = 1 + RandomState::new().hash_one(round) % 7;
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            seen += u64::from(line.ends_with("moved"));
            if seen == stop {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let place = fs::read_to_string(dir.path().join("place")).unwrap();
        let keys = MasterKeys::load(&at(dir.path(), &place), Some(&"correct horse".into()));
        assert_eq!(keys.unwrap().unwrap().id(), id, "round {round}: {place}");
        *places.entry(place).or_default() += 1;
    }
    assert!(places.len() > 1, "{places:?}");
}

#[test]
fn a_master_key_in_a_keyring_is_exchanged_there() {
    keyring::use_directory();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keyring")).unwrap();
    let source = at(dir.path(), "keyring");
    let [one, _] = vaults(dir.path());
    let mut keys = MasterKeys::load_or_create(&source, &Protection::None, &[]).unwrap();
    let vault = keys.open(&one).unwrap();
    vault.put("a", b"1").unwrap();
    let before = keys.id().to_owned();
    keys.rotate(&[&vault], &[]).unwrap();
    drop(vault);
    let keys = MasterKeys::load(&source, None).unwrap().unwrap();
    assert_ne!(keys.id(), before);
    assert_eq!(value(&keys.open(&one).unwrap(), "a").unwrap(), b"1");
    assert_eq!(fs::read_dir(dir.path().join("keyring")).unwrap().count(), 1);
}

#[test]
fn another_key_in_the_keyring_is_replaced_only_if_that_is_wanted() {
    keyring::use_directory();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keyring")).unwrap();
    let target = at(dir.path(), "keyring");
    MasterKeys::load_or_create(&target, &Protection::None, &[]).unwrap();
    let mut keys = load(dir.path());
    let id = keys.id().to_owned();
    let mut go =
        |replace| keys.move_to::<Error>(target.clone(), &Protection::None, replace, || Ok(()));
    assert!(matches!(go(false), Err(Error::OtherKey { .. })));
    go(true).unwrap();
    assert_eq!(MasterKeys::load(&target, None).unwrap().unwrap().id(), id);
    assert!(!dir.path().join("master.key").exists());
}

/// A keyring that is a directory, named by the service.
mod keyring {
    use std::{any::Any, fs, io, path::PathBuf};

    use keyring::{
        Credential, Error, Result,
        credential::{CredentialApi, CredentialBuilderApi},
    };

    pub(super) fn use_directory() {
        keyring::set_default_credential_builder(Box::new(Builder));
    }

    struct Builder;

    impl CredentialBuilderApi for Builder {
        fn build(&self, _: Option<&str>, service: &str, user: &str) -> Result<Box<Credential>> {
            Ok(Box::new(Entry(PathBuf::from(service).join(user))))
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    #[derive(Debug)]
    struct Entry(PathBuf);

    fn error(error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            Error::NoEntry
        } else {
            Error::PlatformFailure(Box::new(error))
        }
    }

    impl CredentialApi for Entry {
        fn set_secret(&self, secret: &[u8]) -> Result<()> {
            authsome::paths::write_private(&self.0, secret)
                .map_err(|error| Error::PlatformFailure(Box::new(error)))
        }

        fn get_secret(&self) -> Result<Vec<u8>> {
            fs::read(&self.0).map_err(error)
        }

        fn delete_credential(&self) -> Result<()> {
            fs::remove_file(&self.0).map_err(error)
        }

        fn as_any(&self) -> &dyn Any {
            self
        }
    }
}
