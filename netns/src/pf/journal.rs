//! What has been changed, on disk before it is changed: a helper that is killed cannot tell the next.
//!
//! It lies in `/var/run`, which a start of the system empties, as it does the filter.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What is to be undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// The group of whoever may still be running.
    pub(crate) gid: u32,
    /// `lo0` was skipped, and is to be again.
    pub(crate) loopback_was_skipped: bool,
    /// The token that keeps the filter enabled.
    pub(crate) token: Option<u64>,
}

/// Where a journal is kept.
pub(crate) trait Store {
    /// The journal that was left, if one was.
    fn load(&self) -> io::Result<Option<Journal>>;
    /// Replaces it, durably.
    fn save(&mut self, journal: &Journal) -> io::Result<()>;
    /// Everything has been undone.
    fn clear(&mut self) -> io::Result<()>;
}

/// A directory with the journal and the lock.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Makes it, 0700, where it is missing. One that others could have touched is refused.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let found = fs::symlink_metadata(path)?;
        let private = found.is_dir() && found.mode() & 0o077 == 0;
        if !private || found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self(path.to_owned()))
    }

    /// The file that whoever changes the filter has locked; none if somebody else has.
    pub(crate) fn lock(&self) -> io::Result<Option<File>> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.0.join("pf.lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join("pf.journal")
    }
}

impl Store for Directory {
    fn load(&self) -> io::Result<Option<Journal>> {
        match fs::read(self.file()) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, journal: &Journal) -> io::Result<()> {
        let next = self.0.join("pf.journal.next");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec(journal)?)?;
        file.sync_all()?;
        fs::rename(&next, self.file())?;
        File::open(&self.0)?.sync_all()
    }

    fn clear(&mut self) -> io::Result<()> {
        match fs::remove_file(self.file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => File::open(&self.0)?.sync_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn journal() -> Journal {
        Journal { gid: 1_627_394_759, loopback_was_skipped: true, token: Some(u64::MAX) }
    }

    #[test]
    fn what_is_saved_is_what_the_next_helper_finds() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("authsome");
        let mut store = Directory::new(&path).unwrap();
        assert_eq!(store.load().unwrap(), None);
        store.save(&journal()).unwrap();
        assert_eq!(Directory::new(&path).unwrap().load().unwrap(), Some(journal()));
        store.clear().unwrap();
        store.clear().unwrap();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let text = r#"{"gid":1627394759,"loopback_was_skipped":true,"token":18446744073709551615}"#;
        assert_eq!(serde_json::to_string(&journal()).unwrap(), text);
        assert_eq!(serde_json::from_str::<Journal>(text).unwrap(), journal());
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_an_error_and_not_none() {
        let place = tempfile::tempdir().unwrap();
        let store = Directory::new(&place.path().join("authsome")).unwrap();
        File::create(store.file()).unwrap().write_all(b"{\"gid\":1").unwrap();
        assert!(store.load().is_err());
    }

    #[test]
    fn a_directory_that_others_could_have_touched_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Directory::new(place.path()).is_err());
    }

    #[test]
    fn one_at_a_time_has_the_lock() {
        let place = tempfile::tempdir().unwrap();
        let store = Directory::new(&place.path().join("authsome")).unwrap();
        let held = store.lock().unwrap();
        assert!(held.is_some() && store.lock().unwrap().is_none());
        drop(held);
        assert!(store.lock().unwrap().is_some());
    }
}
