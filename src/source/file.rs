//! Files that hold one value, as container engines and Kubernetes mount them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::{Error, MAX_VALUE, Result};

/// Anybody may write to it (stat(2)).
const OTHERS_WRITE: u32 = 0o002;

/// The path below its directory's own name, without symbolic links: what is covered later is then what
/// is read. The last part may be a link; Kubernetes replaces what it leads to.
pub(super) fn anchored(path: &Path) -> Result<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(unfit(path, "is no file"));
    };
    let parent =
        fs::canonicalize(parent).map_err(|source| Error::Io { path: parent.to_owned(), source })?;
    Ok(parent.join(name))
}

/// The file's bytes, and one more where it is too long.
///
/// A link is followed only within the file's directory: that is what is hidden from agents. A second
/// name (a hard link) may lie outside of it. A file that anybody may write to is nobody's secret, and
/// anybody could choose whose account is used.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = open(path)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(unfit(path, "is not a regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(unfit(
            path,
            "has a second name (a hard link), which is not hidden from agents",
        ));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(unfit(path, "can be written by anybody: chmod o-w"));
    }
    // Large enough from the start, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE + 1));
    file.take(MAX_VALUE as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn open(path: &Path) -> Result<File> {
    match open_once(path) {
        // Replaced between finding and opening it. Once is a coincidence.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            open_once(path)
        }
        other => other,
    }
}

fn open_once(path: &Path) -> Result<File> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let parent = path.parent().ok_or_else(|| unfit(path, "is no file"))?;
    if fs::canonicalize(parent).map_err(io)? != parent {
        return Err(unfit(path, "lies behind a link that was not there before"));
    }
    let target = fs::canonicalize(path).map_err(io)?;
    if !target.starts_with(parent) {
        let what = "leads out of its directory: name the file that it leads to";
        return Err(unfit(path, what));
    }
    // Does not wait for who writes into a pipe.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(&target).map_err(io)
}

fn unfit(path: &Path, what: &'static str) -> Error {
    Error::Unfit { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        crate::paths::write_private(&path.join("key"), b"hunter2\n").unwrap();
        (directory, path)
    }

    fn refused(path: &Path) -> String {
        let error = read(path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        error.to_string()
    }

    #[test]
    fn a_file_is_read_as_it_is_now() {
        let (_kept, at) = directory();
        assert_eq!(&**read(&at.join("key")).unwrap(), b"hunter2\n");
        crate::paths::write_private(&at.join("key"), b"rotated").unwrap();
        assert_eq!(&**read(&at.join("key")).unwrap(), b"rotated");
    }

    #[test]
    fn links_within_the_directory_are_followed_as_kubernetes_has_them() {
        let (_kept, at) = directory();
        fs::create_dir(at.join("..2026")).unwrap();
        fs::rename(at.join("key"), at.join("..2026/key")).unwrap();
        symlink("..2026", at.join("..data")).unwrap();
        symlink("..data/key", at.join("key")).unwrap();
        assert_eq!(&**read(&at.join("key")).unwrap(), b"hunter2\n");
    }

    #[test]
    fn a_link_that_leads_out_of_the_directory_is_refused() {
        let (_kept, at) = directory();
        let (_other, elsewhere) = directory();
        fs::remove_file(at.join("key")).unwrap();
        symlink(elsewhere.join("key"), at.join("key")).unwrap();
        assert!(refused(&at.join("key")).contains("leads out"));
    }

    #[test]
    fn a_second_name_is_refused() {
        let (_kept, at) = directory();
        fs::hard_link(at.join("key"), at.join("other")).unwrap();
        assert!(refused(&at.join("key")).contains("second name"));
    }

    #[test]
    fn a_file_that_anybody_may_write_to_is_refused() {
        let (_kept, at) = directory();
        fs::set_permissions(at.join("key"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(refused(&at.join("key")).contains("anybody"));
    }

    #[test]
    fn neither_a_directory_nor_a_pipe_is_waited_for() {
        let (_kept, at) = directory();
        fs::create_dir(at.join("sub")).unwrap();
        nix::unistd::mkfifo(&at.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["sub", "pipe"] {
            assert!(refused(&at.join(name)).contains("regular"), "{name}");
        }
    }

    #[test]
    fn no_more_is_read_than_it_takes_to_see_that_it_is_too_long() {
        let (_kept, at) = directory();
        crate::paths::write_private(&at.join("key"), &vec![b'x'; MAX_VALUE * 3]).unwrap();
        assert_eq!(read(&at.join("key")).unwrap().len(), MAX_VALUE + 1);
    }

    #[test]
    fn the_directory_is_named_without_links() {
        let (_kept, at) = directory();
        symlink(&at, at.join("way")).unwrap();
        assert_eq!(anchored(&at.join("way/key")).unwrap(), at.join("key"));
        assert!(read(&at.join("way/key")).is_err());
        assert!(anchored(&at.join("missing/key")).is_err());
    }
}
