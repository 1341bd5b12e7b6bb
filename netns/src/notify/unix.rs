//! Local sockets in the file system: found as the command would find them, then used by what was found.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, openat2, readlink, stat},
    io::Errno,
    net::SocketAddrUnix,
};

use super::{bound, target::Target};
use crate::mount_table;

/// Entries below a hidden directory that are looked at.
const ENTRIES: usize = 4096;

/// Sockets that the command must not reach.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    paths: Vec<PathBuf>,
    files: HashSet<(u64, u64)>,
}

impl Hidden {
    /// What lies at or below these paths.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let mut hidden = Self::default();
        for path in paths {
            hidden.note(path);
            if let Ok(path) = path.canonicalize() {
                hidden.paths.extend(mount_table::aliases(&path).unwrap_or_default());
                hidden.paths.push(path);
            }
            hidden.paths.push(path.clone());
        }
        hidden
    }

    /// The path itself, and sockets below it: the command may move one, or give it another link. Those that
    /// are made later are known by their names.
    fn note(&mut self, path: &Path) {
        let mut directories = vec![path.to_owned()];
        if let Ok(found) = stat(path) {
            self.files.insert((found.st_dev, found.st_ino));
        }
        let mut left = ENTRIES;
        while let Some(directory) = directories.pop() {
            let Ok(entries) = fs::read_dir(directory) else { continue };
            for entry in entries.flatten() {
                left -= 1;
                if left == 0 {
                    return;
                }
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if let (true, Ok(found)) = (kind.is_socket(), entry.metadata()) {
                    self.files.insert((found.dev(), found.ino()));
                }
            }
        }
    }

    fn covers(&self, socket: &OwnedFd) -> Result<bool, Errno> {
        let found = fstat(socket)?;
        if self.files.contains(&(found.st_dev, found.st_ino)) {
            return Ok(true);
        }
        let path = readlink(own_path(socket), Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
        // One that was made since then, and moved out of where it was made.
        let names = bound::names(found.st_ino)?;
        Ok(names.into_iter().chain([path]).any(|path| self.is_below(&path)))
    }

    fn is_below(&self, path: &Path) -> bool {
        let real = path
            .parent()
            .and_then(|parent| parent.canonicalize().ok())
            .and_then(|parent| Some(parent.join(path.file_name()?)));
        [Some(path), real.as_deref()]
            .into_iter()
            .flatten()
            .any(|path| self.paths.iter().any(|hidden| path.starts_with(hidden)))
    }
}

/// The address of the socket that `target` calls `name`. It leads to the very file that was looked at, for
/// as long as the descriptor beside it is open.
pub(super) fn find(
    target: &Target,
    name: &[u8],
    hidden: &Hidden,
) -> Result<(SocketAddrUnix, OwnedFd), Errno> {
    let path = Path::new(OsStr::from_bytes(name));
    let start = target.start(path.is_absolute())?;
    // A link to an absolute path begins at the command's root, not at ours.
    let resolve =
        if path.is_absolute() { ResolveFlags::IN_ROOT } else { ResolveFlags::NO_MAGICLINKS };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let socket = openat2(&start, path, flags, Mode::empty(), resolve)?;
    if hidden.covers(&socket)? {
        return Err(Errno::CONNREFUSED);
    }
    let address = SocketAddrUnix::new(own_path(&socket))?;
    Ok((address, socket))
}

fn own_path(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::open;

    use super::*;

    fn opened(path: &Path) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn a_hidden_socket_stays_hidden_wherever_its_file_goes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("hidden")).unwrap();
        let _early = UnixListener::bind(at("hidden/early")).unwrap();
        let hidden = Hidden::new(&[at("hidden")]);
        let _late = UnixListener::bind(at("hidden/late")).unwrap();
        let _other = UnixListener::bind(at("other")).unwrap();
        fs::hard_link(at("hidden/early"), at("link")).unwrap();
        fs::rename(at("hidden"), at("moved")).unwrap();
        for name in ["link", "moved/early", "moved/late"] {
            assert!(hidden.covers(&opened(&at(name))).unwrap(), "{name}");
        }
        assert!(!hidden.covers(&opened(&at("other"))).unwrap());
    }
}
