//! Logs to do something to.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use authsome::{
    audit::{
        AuditLog, Event, Kind, Options, PublicKey, Settings, SignedHead, Signer, Signing, read,
        read::Fault,
    },
    paths,
};
use ed25519_dalek::{Signer as _, SigningKey};

pub(crate) fn event(n: usize) -> Event {
    let mut event = Event::new(Kind::Request);
    event.run = Some("0123456789abcdef".into());
    event.host = Some("api.example.com".into());
    event.path = Some(format!("/items/{n}").into());
    event.status = Some(200);
    event
}

/// A log of `count` lines that nobody signed, in a directory that goes with the first of the pair.
pub(crate) fn log(count: usize) -> (tempfile::TempDir, PathBuf) {
    log_with(count, Options::default())
}

/// A log of `count` events.
pub(crate) fn log_with(count: usize, options: Options) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let log = AuditLog::open(&path, options).unwrap();
    // Each event by itself, so that files are as small as they are to be.
    for n in 0..count {
        log.append(event(n)).unwrap();
    }
    drop(log);
    (dir, path)
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn rewrite(path: &Path, lines: &[String]) {
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    paths::write_private(path, text.as_bytes()).unwrap();
}

pub(crate) fn first_problem(path: &Path) -> Option<u64> {
    read::verify(path).unwrap().first_problem.map(|problem| problem.line)
}

pub(crate) fn fault(path: &Path) -> Option<Fault> {
    read::verify(path).unwrap().first_problem.map(|problem| problem.fault)
}

/// A key as the vault has one.
#[derive(Debug)]
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }
}

impl Signer for Key {
    fn public_key(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

pub(crate) fn signed_by(seed: u8, remembered: Option<SignedHead>) -> Options {
    let signing = Some(Signing { signer: Arc::new(Key::new(seed)), remembered });
    Options { signing, ..Options::default() }
}

pub(crate) fn signed() -> Options {
    signed_by(1, None)
}

/// Small files, of which `keep` are kept.
pub(crate) fn in_files(max_size: u64, keep: Option<usize>) -> Options {
    Options { settings: Settings { max_size, keep, ..Settings::default() }, ..signed() }
}

/// The full files, oldest first.
pub(crate) fn full_files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with("audit.0") && name.ends_with(".log")
        })
        .collect();
    files.sort();
    files
}
