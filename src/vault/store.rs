//! Durable bytes by name: sled, and what it takes to trust it. The only file that names sled.
//!
//! sled 0.34 has ways to fail that must not reach the program, all seen with a disk that fills up:
//!
//! * After a failed write its memory holds what the disk does not. So any failure closes the store,
//!   and the next call opens it afresh from what is on the disk.
//! * It panics on some errors. Panics are caught here and become errors.
//! * A write that fails in one of its threads may wake nobody who waits for it, in a later write or
//!   when the store is closed. So both happen on threads of their own, with a limit to our patience.
//! * It can leave a half-written log. So nothing is written unless room for it was proved.
//! * To read may be to write: it completes what an earlier write began in its tree. On a full disk that
//!   fails, and takes the store with it. So records are read once, when the store is opened, and held in
//!   memory, sealed as they are.
//! * On Linux its flush writes pages but not the file's size. So after each flush the file is synced.
//! * It takes the file of an unfinished snapshot for a snapshot. One that a killed process left would make
//!   the store a damaged one for good. So they are removed before it looks.
//!
//! A store that neither finishes nor closes is an error of every later call until the process ends;
//! what was acknowledged is on the disk and there for the next one.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use ::sled::{Config, Db, Mode};
use rustix::{fs::FallocateFlags, io::Errno};

use super::{Error, Result};
use crate::paths;

/// Size of a log segment. sled's own half MiB would be the size of a vault with one key.
const SEGMENT_LEN: usize = 64 * 1024;

/// Memory for decoded pages. A vault is small, and what is hot is cached above.
const CACHE_LEN: u64 = 1024 * 1024;

const LIMITS: Limits =
    Limits { put: 1024 * 1024, delete: 256 * 1024, patience: Duration::from_secs(30) };

/// How often, and after what pause, to try again when the lock is still our own: a store that was just
/// closed may hold it a little longer.
const OWN_LOCK_TRIES: u32 = 100;
const OWN_LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What a store may take; a test has its own.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes that must be free beside what a `put` writes: sled may start two segments and a snapshot.
    put: u64,
    /// The same for a deletion; less, so that there is a way back from a full disk.
    delete: u64,
    /// How long a write or closing may take.
    patience: Duration,
}

/// A store in one directory. One process at a time has it open.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    limits: Limits,
    /// `None` after a failure. One lock for all: sled would allow more, but a store that must be
    /// reopened may have no other user, and a read is a look into memory.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    db: Db,
    /// What is in it.
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The log, and the directory of what is too large for it: for syncing.
    log: File,
    blobs: File,
}

impl Store {
    /// Opens the store in `dir`, creating it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Self::with_limits(dir, LIMITS)
    }

    fn with_limits(dir: &Path, limits: Limits) -> Result<Self> {
        let fresh = !Self::exists(dir);
        paths::create_private_dir(dir)?;
        let store = Self { dir: dir.to_owned(), limits, open: Mutex::new(None) };
        if fresh {
            store.require(limits.put)?;
        }
        let open = store.start()?;
        if fresh {
            // The names of the new files and of the directory itself must survive too.
            let sync = |path: &Path| File::open(path).and_then(|dir| dir.sync_all());
            sync(dir)
                .and_then(|()| dir.parent().map_or(Ok(()), sync))
                .map_err(|e| store.failed(e))?;
        }
        *store.lock() = Some(open);
        Ok(store)
    }

    /// Has there ever been a store in `dir`?
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join("db").exists()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn get(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(|open| open.records.get(name).cloned())
    }

    /// All names and values, in the order of the names.
    pub(super) fn all(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read(|open| open.records.clone().into_iter().collect())
    }

    /// Stores `value`; it is on the disk when this returns `Ok`.
    pub(super) fn put(&self, name: &[u8], value: &[u8]) -> Result<()> {
        let (name, value) = (name.to_vec(), value.to_vec());
        self.write(self.limits.put + 4 * value.len() as u64, move |open| {
            open.db.insert(name.as_slice(), value.as_slice())?;
            open.records.insert(name, value);
            Ok(())
        })
    }

    /// Deletes what is stored under `name`; was there something?
    pub(super) fn delete(&self, name: &[u8]) -> Result<bool> {
        let name = name.to_vec();
        self.write(self.limits.delete, move |open| {
            let was_there = open.db.remove(&name)?.is_some();
            open.records.remove(&name);
            Ok(was_there)
        })
    }

    fn read<T>(&self, work: impl FnOnce(&Open) -> T) -> Result<T> {
        let mut slot = self.lock();
        let open = self.take(&mut slot)?;
        match contain(|| Ok(work(&open))) {
            Ok(done) => {
                *slot = Some(open);
                Ok(done)
            }
            Err(e) => {
                self.close(open);
                Err(self.failed(e))
            }
        }
    }

    /// Runs `work` and makes it durable, if there is `room`. Nobody else sees what it did before that.
    fn write<T: Send + 'static>(
        &self,
        room: u64,
        work: impl FnOnce(&mut Open) -> ::sled::Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut slot = self.lock();
        self.require(room)?;
        let mut open = self.take(&mut slot)?;
        let (send, receive) = mpsc::channel();
        thread::Builder::new()
            .name("vault-write".to_owned())
            .spawn(move || {
                let written = contain(|| {
                    let done = work(&mut open)?;
                    open.sync()?;
                    Ok(done)
                });
                // Whoever waited too long is gone; then, and after an error, the store closes here.
                let _ = send.send(written.map(|done| (open, done)));
            })
            .map_err(|e| self.failed(e))?;
        match receive.recv_timeout(self.limits.patience) {
            Ok(Ok((open, done))) => {
                *slot = Some(open);
                Ok(done)
            }
            Ok(Err(e)) => Err(self.failed(e)),
            Err(_) => Err(self.failed(io::ErrorKind::TimedOut.into())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // What a panic leaves behind is an empty slot.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, slot: &mut Option<Open>) -> Result<Open> {
        slot.take().map_or_else(|| self.start(), Ok)
    }

    fn start(&self) -> Result<Open> {
        let mut tries = 0;
        loop {
            self.remove_unfinished();
            match contain(|| Open::start(&self.dir)) {
                Ok(open) => return Ok(open),
                Err(e) if is_lock_refusal(&e) => {
                    let pid = holder(&self.dir.join("db"));
                    // No holder to be seen: it let go since, and may have been us.
                    let another = pid.is_some_and(|pid| pid != std::process::id());
                    if another || tries == OWN_LOCK_TRIES {
                        return Err(Error::Held { dir: self.dir.clone(), pid });
                    }
                    tries += 1;
                    thread::sleep(OWN_LOCK_PAUSE);
                }
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    /// Removes what a killed process left of a snapshot: `snap.NUMBER.generating`.
    fn remove_unfinished(&self) {
        // Somebody who has the store open may be writing one; sled takes the same lock.
        let Ok(log) = File::open(self.dir.join("db")) else { return };
        if log.try_lock().is_err() {
            return;
        }
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().ends_with(".generating") {
                // If it cannot be, opening will not go well either, and say why.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Closes the store as far as patience goes. sled flushes and syncs once more, and panics if it
    /// can't; everything acknowledged is on the disk already.
    fn close(&self, open: Open) {
        let (send, receive) = mpsc::channel::<()>();
        let closing = thread::Builder::new().name("vault-close".to_owned()).spawn(move || {
            let _ = contain(|| {
                drop(open);
                Ok(())
            });
            drop(send);
        });
        if closing.is_ok() {
            // Ends by `send` being dropped, or not at all.
            let _ = receive.recv_timeout(self.limits.patience);
        }
    }

    /// Refuses to write unless this user can have so much more of the file system. Its free space alone
    /// would not tell: there are quotas. So the space is taken, and given back to be written.
    fn require(&self, bytes: u64) -> Result<()> {
        let path = self.dir.join("room");
        let taken = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|file| allocate(&file, bytes));
        // It may not be there, and the next one is truncated anyway.
        let _ = fs::remove_file(&path);
        taken.map_err(|e| self.failed(e))
    }

    fn failed(&self, source: io::Error) -> Error {
        let dir = self.dir.clone();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Error::Full { dir }
        } else {
            Error::Store { dir, source }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let open = self.lock().take();
        if let Some(open) = open {
            self.close(open);
        }
    }
}

impl Open {
    fn start(dir: &Path) -> ::sled::Result<Self> {
        let db = Config::new()
            .path(dir)
            .mode(Mode::LowSpace)
            .segment_size(SEGMENT_LEN)
            .cache_capacity(CACHE_LEN)
            // Every write is flushed by hand; a thread that does so too only hides its errors.
            .flush_every_ms(None)
            .open()?;
        let records = db
            .iter()
            .map(|item| item.map(|(name, value)| (name.to_vec(), value.to_vec())))
            .collect::<::sled::Result<_>>()?;
        let (log, blobs) = (File::open(dir.join("db"))?, File::open(dir.join("blobs"))?);
        Ok(Self { db, records, log, blobs })
    }

    fn sync(&self) -> ::sled::Result<()> {
        self.db.flush()?;
        self.log.sync_data()?;
        Ok(self.blobs.sync_all()?)
    }
}

/// Takes `bytes` of the disk for `file`, or, where the file system can't, looks whether they are free.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let free = rustix::fs::fstatvfs(file)?;
            if free.f_bavail.saturating_mul(free.f_frsize) < bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Runs `work`; an error or a panic of sled comes back as an [`io::Error`].
fn contain<T>(work: impl FnOnce() -> ::sled::Result<T>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(::sled::Error::Io(e))) => Err(e),
        Ok(Err(e)) => Err(io::Error::new(io::ErrorKind::InvalidData, e)),
        Err(_) => Err(io::Error::other("sled panicked")),
    }
}

/// sled has no error of its own for a lock that is held.
fn is_lock_refusal(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// The process with a lock on `path`, from /proc/locks (proc_locks(5)): there a line reads
/// `1: FLOCK ADVISORY WRITE 7416 fd:01:131077 0 EOF`.
fn holder(path: &Path) -> Option<u32> {
    let inode = format!(":{}", path.metadata().ok()?.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "FLOCK").skip(3);
        let pid = words.next()?;
        words.next()?.ends_with(&inode).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_learns_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(&dir.path().join("s")).unwrap();
        assert_eq!(holder(&dir.path().join("s/db")), Some(std::process::id()));
    }

    #[test]
    fn a_closed_store_can_be_opened_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..20_u8 {
            let store = Store::open(&dir.path().join("s")).unwrap();
            store.put(&[round], b"x").unwrap();
            assert_eq!(store.all().unwrap().len(), usize::from(round) + 1);
        }
    }

    #[test]
    fn what_a_killed_process_left_of_a_snapshot_does_not_damage_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        Store::open(&path).unwrap().put(b"a", b"1").unwrap();
        // Written when a store is opened that has something in it.
        drop(Store::open(&path).unwrap());
        let mut files = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let snapshot = files.find(|path| path.to_string_lossy().contains("/snap.")).unwrap();
        let mut unfinished = snapshot.into_os_string();
        unfinished.push(".generating");
        paths::write_private(Path::new(&unfinished), &[7; 9000]).unwrap();
        for _ in 0..2 {
            assert_eq!(Store::open(&path).unwrap().get(b"a").unwrap().unwrap(), b"1");
        }
    }

    #[test]
    fn an_error_and_a_panic_inside_are_errors_outside_and_the_store_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s")).unwrap();
        store.put(b"a", b"1").unwrap();
        let full =
            store.write::<()>(0, |_| Err(io::Error::from(io::ErrorKind::StorageFull).into()));
        assert!(matches!(full, Err(Error::Full { .. })));
        let panicked = store.write::<()>(0, |_| panic!("as sled does"));
        assert!(matches!(panicked, Err(Error::Store { .. })));
        let panicked = store.read::<()>(|_| panic!("as sled does"));
        assert!(matches!(panicked, Err(Error::Store { .. })));
        assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
    }

    /// A tmpfs of this test's own, in a mount namespace that ends with it: the test runs itself there.
    /// Needs root or user namespaces.
    #[test]
    fn even_without_the_reserve_a_full_disk_loses_nothing_acknowledged() {
        if let Some(dir) = std::env::var_os("AUTHSOME_TEST_DIR") {
            return write_without_reserve(&PathBuf::from(dir).join("s"));
        }
        let dir = tempfile::tempdir().unwrap();
        let root = rustix::process::geteuid().is_root();
        let output = std::process::Command::new("unshare")
            .args(if root { ["--mount"].as_slice() } else { &["--mount", "--map-root-user"] })
            .args(["sh", "-c", "mount -t tmpfs -o size=3m,mode=700 tmpfs \"$0\" && exec \"$@\""])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .arg("--exact")
            .arg("vault::store::tests::even_without_the_reserve_a_full_disk_loses_nothing_acknowledged")
            .env("AUTHSOME_TEST_DIR", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    fn write_without_reserve(dir: &Path) {
        const NONE: Limits = Limits { put: 0, delete: 0, patience: Duration::from_secs(1) };
        let store = Store::with_limits(dir, NONE).unwrap();
        let mut kept: Vec<[u8; 8]> = Vec::new();
        // Ends, which is half of what is promised.
        while store.put(&kept.len().to_be_bytes(), &[7; 9000]).is_ok() {
            kept.push(kept.len().to_be_bytes());
            assert!(kept.len() < 10_000, "the disk never filled up");
        }
        // What the next process would find, where there is room.
        let copy = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp").arg("-a").arg(dir).arg(copy.path()).status();
        assert!(copied.unwrap().success());
        let store = Store::open(&copy.path().join("s")).unwrap();
        for name in &kept {
            assert_eq!(store.get(name).unwrap().unwrap(), [7; 9000], "{name:?}");
        }
    }
}
