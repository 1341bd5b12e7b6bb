//! Holds on to a directory, wherever it is moved.
//!
//! A path says where something was; a descriptor says what it is. An [`Anchor`] has both for a
//! directory and for those above it, can tell when they have come apart, and can bring them together
//! again. It knows nothing of why that matters.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, OFlags, RenameFlags, renameat, renameat_with, statat},
    io::Errno,
};

#[cfg_attr(target_os = "macos", path = "anchor/macos.rs")]
#[cfg_attr(not(target_os = "macos"), path = "anchor/linux.rs")]
mod system;

pub use self::system::Watch;
use self::system::{HOLD, device, path_of};

/// How often a directory that is moved while it is put back is put back.
const ATTEMPTS: usize = 8;

/// A directory with its path.
#[derive(Debug)]
pub struct Anchor {
    /// As it is asked for; links in it are followed.
    path: PathBuf,
    /// The directories above it and itself, from the top, at their places without links.
    held: Vec<Held>,
    number: (u64, u64),
}

#[derive(Debug)]
struct Held {
    place: PathBuf,
    directory: File,
}

impl Anchor {
    /// Takes hold of the directory that is at `path` now.
    ///
    /// # Errors
    /// If there is none, or it is out of reach.
    pub fn new(path: &Path) -> io::Result<Self> {
        let place = path.canonicalize()?;
        let mut held = Vec::new();
        for at in place.ancestors().filter(|at| at.parent().is_some()) {
            let flags = HOLD | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let directory =
                OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(at)?;
            held.push(Held { place: at.to_owned(), directory });
        }
        let number = match held.first() {
            Some(held) => number(&held.directory.metadata()?),
            None => return Err(io::ErrorKind::InvalidInput.into()),
        };
        held.reverse();
        let anchor = Self { path: path.to_owned(), held, number };
        if anchor.is_in_place() { Ok(anchor) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Device and inode number of the directory (stat(2)): as long as it is held, no other has them.
    #[must_use]
    pub fn number(&self) -> (u64, u64) {
        self.number
    }

    /// Does the path still lead to the directory?
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| number(&found) == self.number)
    }

    /// Does the directory exist no more?
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        let last = self.held.last();
        last.is_some_and(|held| held.directory.metadata().is_ok_and(|found| found.nlink() == 0))
    }

    /// Where the directory is now.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn place(&self) -> io::Result<PathBuf> {
        self.held.last().map_or_else(|| Err(io::ErrorKind::NotFound.into()), Held::now)
    }

    /// Moves back whatever of the directory and those above it has been moved. What lies at its place
    /// goes where it was: nothing is lost.
    ///
    /// # Errors
    /// If it is not in its place in the end.
    pub fn put_back(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            outcome = self.put_back_once();
            if self.is_in_place() {
                return Ok(());
            }
        }
        outcome?;
        Err(io::Error::other("something else is there"))
    }

    fn put_back_once(&self) -> io::Result<()> {
        let root = open_directory(Path::new("/"))?;
        let above = std::iter::once(&root).chain(self.held.iter().map(|held| &held.directory));
        self.held.iter().zip(above).try_for_each(|(held, above)| held.put_back(above))
    }

    /// Becomes readable when the directory or one above it is moved.
    ///
    /// # Errors
    /// If the directory itself cannot be watched.
    pub fn watch(&self) -> io::Result<Watch> {
        let watch = Watch::new()?;
        for (above, held) in self.held.iter().rev().enumerate() {
            match watch.add(&held.directory) {
                // One above that we may not read; its move is noticed later.
                Err(Errno::ACCESS) if above > 0 => {}
                other => other?,
            }
        }
        Ok(watch)
    }
}

impl Held {
    fn now(&self) -> io::Result<PathBuf> {
        path_of(&self.directory)
    }

    /// `above` is the directory that it belongs into. All is done by descriptors: neither what its path
    /// has become nor a directory on the way that cannot be entered keeps us from it.
    fn put_back(&self, above: &File) -> io::Result<()> {
        let Some(name) = self.place.file_name() else { return Ok(()) };
        let own = number(&self.directory.metadata()?);
        match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if (device(&found), found.st_ino) == own => return Ok(()),
            Err(Errno::ACCESS) => make_enterable(above)?,
            Ok(_) | Err(_) => {}
        }
        let from = system::above(&self.directory)?;
        let now = self.now()?;
        let Some(now) = now.file_name() else { return Err(io::ErrorKind::NotFound.into()) };
        match renameat_with(&from, now, above, name, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            // A directory of the user's that they may not enter or write to.
            Err(Errno::ACCESS) => {
                make_enterable(&from)?;
                make_enterable(above)?;
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            // A file system without these flags, such as NFS; then only an empty place is taken.
            Err(Errno::INVAL | Errno::NOSYS) => return Ok(renameat(&from, now, above, name)?),
            other => return Ok(other?),
        }
        match renameat_with(&from, now, above, name, RenameFlags::EXCHANGE) {
            // What is at its place has it inside: out of that first.
            Err(Errno::INVAL) => {
                let mut beside = OsString::from(".");
                beside.push(name);
                beside.push(format!("-{:x}", own.1));
                renameat_with(&from, now, above, &beside, RenameFlags::NOREPLACE)?;
                Ok(renameat_with(above, &beside, above, name, RenameFlags::EXCHANGE)?)
            }
            other => Ok(other?),
        }
    }
}

/// A directory to look things up in.
fn open_directory(path: &Path) -> io::Result<File> {
    let flags = (HOLD | OFlags::DIRECTORY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// Lets the owner of a directory, whom we must be, enter it and write to it.
fn make_enterable(directory: &File) -> io::Result<()> {
    let mode = directory.metadata()?.mode() | 0o700;
    system::set_permissions(directory, Permissions::from_mode(mode & 0o7777))
}

fn number(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, PathBuf, Anchor) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("above/home");
        fs::create_dir_all(&path).unwrap();
        crate::paths::write_private(&path.join("key"), b"1").unwrap();
        let anchor = Anchor::new(&path).unwrap();
        (root, path, anchor)
    }

    #[test]
    fn a_moved_directory_is_found_and_put_back() {
        let (root, path, anchor) = scene();
        let (watch, away) = (anchor.watch().unwrap(), root.path().join("away"));
        assert!(anchor.is_in_place());

        fs::rename(&path, &away).unwrap();

        assert!(!anchor.is_in_place());
        assert_eq!(anchor.place().unwrap(), away.canonicalize().unwrap());
        let mut told = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut told, None), Ok(1));
        anchor.put_back().unwrap();
        assert!(path.join("key").exists() && !away.exists());
    }

    #[test]
    fn what_took_its_place_changes_places_with_it() {
        let (root, path, anchor) = scene();
        let away = root.path().join("away");
        fs::rename(&path, &away).unwrap();
        fs::create_dir(&path).unwrap();
        crate::paths::write_private(&path.join("decoy"), b"2").unwrap();
        assert!(!anchor.is_in_place());

        anchor.put_back().unwrap();

        assert!(path.join("key").exists() && away.join("decoy").exists());
    }

    #[test]
    fn neither_a_closed_directory_nor_a_decoy_round_it_keeps_it_away() {
        let (root, path, anchor) = scene();
        let (cage, away) = (root.path().join("cage"), root.path().join("away"));
        fs::create_dir(&cage).unwrap();
        fs::rename(&path, cage.join("home")).unwrap();
        fs::set_permissions(&cage, Permissions::from_mode(0o000)).unwrap();
        anchor.put_back().unwrap();
        assert!(path.join("key").exists());

        fs::rename(&path, &away).unwrap();
        fs::create_dir_all(path.join("inner")).unwrap();
        fs::rename(&away, path.join("inner/home")).unwrap();
        anchor.put_back().unwrap();
        assert!(path.join("key").exists());
    }

    #[test]
    fn a_directory_above_is_put_back_too() {
        let (root, path, anchor) = scene();
        fs::rename(root.path().join("above"), root.path().join("elsewhere")).unwrap();
        fs::rename(root.path().join("elsewhere/home"), root.path().join("home")).unwrap();

        anchor.put_back().unwrap();

        assert!(path.join("key").exists());
    }

    #[test]
    fn one_that_cannot_be_put_back_is_an_error_and_one_that_is_gone_is_known() {
        let (root, path, anchor) = scene();
        fs::remove_dir_all(&path).unwrap();
        assert!(anchor.is_deleted() && anchor.put_back().is_err());
        drop(root);
    }

    #[test]
    fn a_link_that_leads_to_it_is_as_good_as_its_place() {
        let (root, path, anchor) = scene();
        let away = root.path().join("away");
        fs::rename(&path, &away).unwrap();
        std::os::unix::fs::symlink(&away, &path).unwrap();
        assert!(anchor.is_in_place());
    }
}
