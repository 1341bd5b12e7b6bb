//! Durable bytes by name: sled, and what it takes to trust it. The only file that names sled.
//!
//! sled 0.34 has ways to fail that must not reach the program, all seen with a disk that fills up:
//!
//! * After a failed write its memory holds what the disk does not, and every later call fails. So any
//!   failure closes the store, and the next call opens it afresh from what is on the disk.
//! * It panics on some errors. Panics are caught here and become errors.
//! * It can leave a half-written log. So nothing is written unless the file system has room to spare.
//! * A write that fails in one of its threads wakes nobody who waits for it. So a writing call is
//!   watched, and woken when sled has noted an error.
//! * On Linux its flush writes pages but not the file's size. So after each flush the file is synced.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use ::sled::{Config, Db, Mode};

use super::{Error, Result};
use crate::paths;

/// Size of a log segment. sled's own half MiB would be the size of a vault with one key.
const SEGMENT_LEN: usize = 64 * 1024;

/// Memory for decoded pages. A vault is small, and what is hot is cached above.
const CACHE_LEN: u64 = 1024 * 1024;

/// Free bytes that must remain beside what a `put` writes: sled may start two segments and a snapshot.
const PUT_RESERVE: u64 = 1024 * 1024;

/// The same for a deletion; less, so that there is a way back from a full disk.
const DELETE_RESERVE: u64 = 256 * 1024;

/// How often a writing call is looked after.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

/// How often, and after what pause, to try again when the lock is still our own: the threads of a
/// store that was just closed may hold it a little longer.
const OWN_LOCK_TRIES: u32 = 100;
const OWN_LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A store in one directory. One process at a time has it open.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Checked before writing; a test sets it to zero to fill the disk up.
    reserves: Reserves,
    /// `None` after a failure. One lock for all: sled would allow more, but a store that must be
    /// reopened may have no other user, and reads are cached above.
    open: Mutex<Option<Open>>,
}

#[derive(Clone, Copy, Debug)]
struct Reserves {
    put: u64,
    delete: u64,
}

#[derive(Debug)]
struct Open {
    db: Db,
    /// The log, and the directory of what is too large for it: for syncing.
    log: File,
    blobs: File,
}

impl Store {
    /// Opens the store in `dir`, creating it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        Self::with_reserves(dir, Reserves { put: PUT_RESERVE, delete: DELETE_RESERVE })
    }

    fn with_reserves(dir: &Path, reserves: Reserves) -> Result<Self> {
        let fresh = !Self::exists(dir);
        paths::create_private_dir(dir)?;
        let store = Self { dir: dir.to_owned(), reserves, open: Mutex::new(None) };
        if fresh {
            store.require(reserves.put)?;
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
        self.with(|open| Ok(open.db.get(name)?.map(|value| value.to_vec())))
    }

    /// Stores `value`; it is on the disk when this returns `Ok`.
    pub(super) fn put(&self, name: &[u8], value: &[u8]) -> Result<()> {
        self.require(self.reserves.put + 4 * value.len() as u64)?;
        self.with(|open| {
            open.watched(|| {
                open.db.insert(name, value)?;
                open.sync()
            })
        })
    }

    /// Deletes what is stored under `name`; was there something?
    pub(super) fn delete(&self, name: &[u8]) -> Result<bool> {
        self.require(self.reserves.delete)?;
        self.with(|open| {
            open.watched(|| {
                let found = open.db.remove(name)?.is_some();
                open.sync()?;
                Ok(found)
            })
        })
    }

    /// All names and values, in the order of the names.
    pub(super) fn all(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.with(|open| {
            open.db
                .iter()
                .map(|item| item.map(|(name, value)| (name.to_vec(), value.to_vec())))
                .collect()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        // What a panic leaves behind is closed by `with`, not by poisoning.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the open store, opening it first if need be and closing it on any failure.
    fn with<T>(&self, work: impl Fn(&Open) -> ::sled::Result<T>) -> Result<T> {
        let mut slot = self.lock();
        let open = if let Some(open) = slot.take() { open } else { self.start()? };
        match contain(|| work(&open)) {
            Ok(done) => {
                *slot = Some(open);
                Ok(done)
            }
            Err(e) => {
                // Closing may fail or panic for the same reason; the first error tells more.
                let _ = contain(|| {
                    drop(open);
                    Ok(())
                });
                Err(self.failed(e))
            }
        }
    }

    fn start(&self) -> Result<Open> {
        let mut tries = 0;
        loop {
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

    /// Refuses to write unless the file system has this much free for this user.
    fn require(&self, bytes: u64) -> Result<()> {
        let free = rustix::fs::statvfs(&self.dir).map_err(|e| self.failed(e.into()))?;
        if free.f_bavail.saturating_mul(free.f_frsize) < bytes {
            return Err(Error::Full { dir: self.dir.clone() });
        }
        Ok(())
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
        // sled syncs here and panics if it can't; everything acknowledged is on the disk already.
        let open = self.lock().take();
        let _ = contain(|| {
            drop(open);
            Ok(())
        });
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
        Ok(Self { db, log: File::open(dir.join("db"))?, blobs: File::open(dir.join("blobs"))? })
    }

    /// Runs `work`, which may wait for sled's threads, and ends that wait if one of them failed: a
    /// `flush` that finds an error noted returns at once and wakes whoever waits.
    fn watched<T>(&self, work: impl FnOnce() -> ::sled::Result<T>) -> ::sled::Result<T> {
        let (working, watch) = mpsc::channel::<()>();
        thread::scope(|scope| {
            thread::Builder::new().name("vault-watch".to_owned()).spawn_scoped(
                scope,
                move || {
                    while watch.recv_timeout(WATCH_PAUSE) == Err(RecvTimeoutError::Timeout) {
                        if self.db.context.global_error().is_err() {
                            let _ = self.db.flush();
                        }
                    }
                },
            )?;
            let done = work();
            // Before the scope waits for the watcher.
            drop(working);
            done
        })
    }

    fn sync(&self) -> ::sled::Result<()> {
        self.db.flush()?;
        self.log.sync_data()?;
        Ok(self.blobs.sync_all()?)
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
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", path.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
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
    fn an_error_and_a_panic_inside_are_errors_outside_and_the_store_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("s")).unwrap();
        store.put(b"a", b"1").unwrap();
        let full = store.with::<()>(|_| Err(io::Error::from(io::ErrorKind::StorageFull).into()));
        assert!(matches!(full, Err(Error::Full { .. })));
        let panicked = store.with::<()>(|_| panic!("as sled does"));
        assert!(matches!(panicked, Err(Error::Store { .. })));
        assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
    }

    /// A tmpfs of this test's own, in a mount namespace that ends with it. Needs root or user
    /// namespaces.
    #[test]
    fn even_without_the_reserve_a_full_disk_loses_nothing_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let root = rustix::process::geteuid().is_root();
        let output = std::process::Command::new("unshare")
            .args(if root { ["--mount"].as_slice() } else { &["--mount", "--map-root-user"] })
            .args(["sh", "-c", "mount -t tmpfs -o size=3m,mode=700 tmpfs \"$0\" && exec \"$@\""])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "vault::store::tests::writer_without_reserve", "--ignored"])
            .env("AUTHSOME_TEST_DIR", dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "run by even_without_the_reserve_a_full_disk_loses_nothing_acknowledged"]
    fn writer_without_reserve() {
        const NONE: Reserves = Reserves { put: 0, delete: 0 };
        let dir = PathBuf::from(std::env::var_os("AUTHSOME_TEST_DIR").unwrap()).join("s");
        let store = Store::with_reserves(&dir, NONE).unwrap();
        let mut kept: Vec<[u8; 8]> = Vec::new();
        let error = loop {
            let name = kept.len().to_be_bytes();
            match store.put(&name, &[7; 9000]) {
                Ok(()) => kept.push(name),
                Err(e) => break e,
            }
            assert!(kept.len() < 10_000, "the disk never filled up");
        };
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
        drop(store);
        let store = Store::with_reserves(&dir, NONE).unwrap();
        for name in &kept {
            assert_eq!(store.get(name).unwrap().unwrap(), [7; 9000], "{name:?}");
        }
    }
}
