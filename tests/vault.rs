//! The vault against what happens to processes and disks.

#[path = "vault/rotation.rs"]
mod rotation;

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use authsome::{
    paths,
    vault::{self, Error, KeySource, SledVault, Vault},
};
use secrecy::ExposeSecret;

use crate::child;

fn open(dir: &Path) -> Result<SledVault, Error> {
    vault::open(&dir.join("vault"), &KeySource::File(dir.join("master.key")), &[])
}

fn value(vault: &SledVault, key: &str) -> Option<Vec<u8>> {
    vault.get(key).unwrap().map(|value| value.expose_secret().to_vec())
}

/// Puts, replaces and deletes for ever, saying after each operation that it was acknowledged.
fn writer_to_be_killed(dir: &Path) {
    let vault = open(dir).unwrap();
    let mut out = std::io::stdout();
    let first = vault.list("n/").unwrap().len();
    for n in first.. {
        let key = format!("n/{n}");
        vault.put(&key, &n.to_be_bytes().repeat(50)).unwrap();
        writeln!(out, "put {n}").unwrap();
        vault.put("counter", n.to_string().as_bytes()).unwrap();
        writeln!(out, "count {n}").unwrap();
        vault.put("gone", b"x").unwrap();
        vault.delete("gone").unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    if let Some(dir) = child::dir() {
        return writer_to_be_killed(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut puts = BTreeMap::new();
    let mut count = None;
    for round in 0..6_u64 {
        let mut writer = child::start("vault::what_was_acknowledged_survives_sigkill", dir.path());
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let stop = 1 + RandomState::new().hash_one(round) % 60;
        let mut seen = 0;
        // After the kill the pipe still holds what was said before it.
        while let Some(Ok(line)) = lines.next() {
            if let Some(n) = line.strip_prefix("put ") {
                let n: usize = n.parse().unwrap();
                puts.insert(n, n.to_be_bytes().repeat(50));
            } else if let Some(n) = line.strip_prefix("count ") {
                count = Some(n.parse::<usize>().unwrap());
            }
            seen += 1;
            if seen == stop {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();

        let vault = open(dir.path()).unwrap();
        for (n, expected) in &puts {
            assert_eq!(value(&vault, &format!("n/{n}")).as_ref(), Some(expected), "n/{n}");
        }
        if let Some(count) = count {
            let found = String::from_utf8(value(&vault, "counter").unwrap()).unwrap();
            assert!(found.parse::<usize>().unwrap() >= count, "{found} < {count}");
        }
        assert!(vault.verify().unwrap().damaged.is_empty());
    }
    assert!(!puts.is_empty());
}

fn holder(dir: &Path) {
    let _vault = open(dir).unwrap();
    writeln!(std::io::stdout(), "open").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_vault_another_process_has_names_that_process() {
    if let Some(dir) = child::dir() {
        return holder(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut holder =
        child::start("vault::a_vault_another_process_has_names_that_process", dir.path());
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("open")));
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Held { pid: Some(pid), .. } if pid == holder.id()), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    open(dir.path()).unwrap();
}

fn opener_with_private_umask(dir: &Path) {
    paths::private_umask();
    open(dir).unwrap().put("a", &[7; vault::VALUE_MAX]).unwrap();
}

#[test]
fn with_the_private_umask_every_file_is_the_owners_alone() {
    if let Some(dir) = child::dir() {
        return opener_with_private_umask(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut opener =
        child::start("vault::with_the_private_umask_every_file_is_the_owners_alone", dir.path());
    assert!(opener.wait().unwrap().success());
    let mut files = vec![dir.path().join("vault"), dir.path().join("master.key")];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        let found = fs::metadata(&path).unwrap();
        if found.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let mode = found.permissions().mode() & 0o777;
        assert_eq!(mode, if found.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn under_any_umask_the_directory_keeps_others_out() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap();
    let mode = fs::metadata(dir.path().join("vault")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn writer_on_a_full_disk(dir: &Path) {
    let vault = open(dir).unwrap();
    vault.put("kept", b"1").unwrap();
    vault.put("doomed", b"2").unwrap();
    let filler = child::fill(dir);
    let error = vault.put("kept", b"lost").unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.hint().unwrap().contains("vault"));
    assert_eq!(value(&vault, "kept").unwrap(), b"1");
    drop(vault);
    // Opening writes a snapshot: without room it fails, and harms nothing.
    let error = open(dir).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    fs::remove_file(filler).unwrap();
    let vault = open(dir).unwrap();
    assert_eq!(value(&vault, "kept").unwrap(), b"1");
    vault.put("kept", b"3").unwrap();
    assert!(vault.delete("doomed").unwrap());
    drop(vault);
    let vault = open(dir).unwrap();
    assert_eq!(vault.list("").unwrap(), ["kept"]);
    assert_eq!(value(&vault, "kept").unwrap(), b"3");
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    if let Some(dir) = child::dir() {
        return writer_on_a_full_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    child::run_on_small_disk(
        "vault::a_full_disk_refuses_writes_and_loses_nothing",
        dir.path(),
        "4m",
    );
}

fn opener_on_a_full_disk(dir: &Path) {
    paths::write_private(&dir.join("master.key"), "ab".repeat(32).as_bytes()).unwrap();
    let filler = child::fill(dir);
    let error = open(dir).unwrap_err();
    assert!(matches!(error, Error::Full { .. } | Error::Path(_)), "{error}");
    fs::remove_file(filler).unwrap();
    open(dir).unwrap();
}

#[test]
fn a_disk_full_from_the_start_is_said_to_be_full() {
    if let Some(dir) = child::dir() {
        return opener_on_a_full_disk(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    child::run_on_small_disk(
        "vault::a_disk_full_from_the_start_is_said_to_be_full",
        dir.path(),
        "4m",
    );
}

#[test]
fn a_changed_byte_in_the_store_never_gives_a_wrong_value() {
    let dir = tempfile::tempdir().unwrap();
    {
        let vault = open(dir.path()).unwrap();
        for n in 0..20 {
            vault.put(&format!("k{n}"), format!("value {n}").as_bytes()).unwrap();
        }
    }
    let log = dir.path().join("vault/db");
    let bytes = fs::read(&log).unwrap();
    for step in 1..24 {
        let mut changed = bytes.clone();
        let at = step * bytes.len() / 24;
        changed[at] ^= 0x10;
        paths::write_private(&log, &changed).unwrap();
        let Ok(vault) = open(dir.path()) else { continue };
        for n in 0..20 {
            if let Ok(Some(found)) = vault.get(&format!("k{n}")) {
                assert_eq!(found.expose_secret(), format!("value {n}").as_bytes(), "byte {at}");
            }
        }
    }
}
