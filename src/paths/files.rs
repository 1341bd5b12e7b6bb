//! Directories (0700) and files (0600) that are made with those modes: a `chmod` afterwards leaves a
//! gap. Works under any umask, knows nothing of what is stored, refuses what others could have touched.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{geteuid, umask},
};

use super::{Error, Result};

/// Lets no file or socket of this process be made for anybody else, whoever makes it (sled uses the
/// default modes). The umask belongs to the whole process: to be called once, before any thread.
pub fn private_umask() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Creates a directory 0700, with missing parents alike; one that exists must be private already.
///
/// # Errors
/// [`Error::WrongKind`], [`Error::Owner`], [`Error::Open`], [`Error::Io`].
pub fn create_private_dir(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            Error::WrongKind { path: path.to_owned(), wanted: "directory" }
        } else {
            Error::Io { action: "create", path: path.to_owned(), source }
        }
    })?;
    check_private_dir(path, geteuid().as_raw())
}

pub(super) fn check_private_dir(path: &Path, uid: u32) -> Result<()> {
    let io = |source| Error::Io { action: "look at", path: path.to_owned(), source };
    let link = fs::symlink_metadata(path).map_err(io)?;
    // Whoever owns a link decides where it leads; root could do anything anyway.
    if link.is_symlink() && link.uid() != uid && link.uid() != 0 {
        return Err(Error::Owner { path: path.to_owned(), owner: link.uid(), wanted: uid });
    }
    let found = fs::metadata(path).map_err(io)?;
    if !found.is_dir() {
        return Err(Error::WrongKind { path: path.to_owned(), wanted: "directory" });
    }
    check_access(path, &found, uid, 0o700)
}

/// Refuses an open file that is not a regular file of this user's alone. Looking at the descriptor
/// and not at the path leaves no moment for an exchange.
///
/// # Errors
/// [`Error::WrongKind`], [`Error::Owner`], [`Error::Open`], [`Error::Io`].
pub fn check_private_file(file: &File, path: &Path) -> Result<()> {
    let found = file.metadata().map_err(|source| Error::Io {
        action: "look at",
        path: path.to_owned(),
        source,
    })?;
    if !found.is_file() {
        return Err(Error::WrongKind { path: path.to_owned(), wanted: "regular file" });
    }
    check_access(path, &found, geteuid().as_raw(), 0o600)
}

fn check_access(path: &Path, found: &Metadata, uid: u32, wanted: u32) -> Result<()> {
    if found.uid() != uid {
        return Err(Error::Owner { path: path.to_owned(), owner: found.uid(), wanted: uid });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Open { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

/// Opens a private file for reading; `None` if there is none.
///
/// # Errors
/// As [`check_private_file`]. A symbolic link is not followed.
pub fn open_private(path: &Path) -> Result<Option<File>> {
    // O_NONBLOCK: a fifo put there must not hold us up; it is refused below.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    match opened {
        Ok(file) => {
            check_private_file(&file, path)?;
            Ok(Some(file))
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { action: "open", path: path.to_owned(), source }),
    }
}

/// Opens a private file for reading and appending, creating it 0600 if it is missing.
///
/// # Errors
/// As [`check_private_file`]. A symbolic link is not followed.
pub fn append_private(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.cast_signed())
        .open(path)
        .map_err(|source| Error::Io { action: "open", path: path.to_owned(), source })?;
    check_private_file(&file, path)?;
    Ok(file)
}

/// Replaces a file's contents: after a crash the old contents are there or the new, never a part.
///
/// # Errors
/// [`Error::Io`]; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    place(path, bytes, |temporary| fs::rename(temporary, path))
}

/// Creates a file with these contents, whole or not at all. Of two that try, one wins.
///
/// # Errors
/// [`Error::Io`] with [`io::ErrorKind::AlreadyExists`] if something is there.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<()> {
    // link(2) refuses an existing name, rename(2) would replace it.
    place(path, bytes, |temporary| {
        fs::hard_link(temporary, path)?;
        fs::remove_file(temporary)
    })
}

/// Writes a temporary file beside `path`, makes it durable, and lets `put` give it its name.
fn place(path: &Path, bytes: &[u8], put: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
    let io = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io(io::ErrorKind::InvalidInput.into()));
    };
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|e| io(io::Error::other(e)))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", hex::encode(salt)));
    let temporary = directory.join(temporary);

    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        put(&temporary)?;
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // Nothing to do about a file that can't be removed; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_link_to_a_private_directory_is_followed_and_to_an_open_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        create_private_dir(&target).unwrap();
        symlink(&target, &link).unwrap();
        create_private_dir(&link).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(create_private_dir(&link), Err(Error::Open { .. })));
    }

    #[test]
    fn a_file_in_the_homes_place_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = create_private_dir(file.path()).unwrap_err();
        assert!(matches!(error, Error::WrongKind { wanted: "directory", .. }), "{error}");
    }

    #[test]
    fn writing_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn creating_never_replaces_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create_private(&path, b"one").unwrap();
        let error = create_private(&path, b"two").unwrap_err();
        assert!(matches!(&error, Error::Io { source, .. }
            if source.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn appending_makes_a_private_file_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("log"), dir.path().join("link"));
        append_private(&path).unwrap().write_all(b"x").unwrap();
        assert_eq!(mode(&path), 0o600);
        symlink(&path, &link).unwrap();
        assert!(append_private(&link).is_err());
        assert!(open_private(&link).is_err());
    }

    #[test]
    fn a_file_open_to_others_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private(&path, b"key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = open_private(&path).unwrap_err();
        assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", path.display()));
    }
}
