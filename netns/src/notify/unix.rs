//! Local sockets in the file system: found as the command would find them, then used by what was found.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, fstat, openat2, readlink, stat},
    io::Errno,
    net::SocketAddrUnix,
};

use super::target::Target;

/// Sockets that the command must not reach.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    paths: Vec<PathBuf>,
    files: Vec<(u64, u64)>,
}

impl Hidden {
    /// What lies at or below these paths.
    pub(super) fn new(paths: &[PathBuf]) -> Self {
        let mut hidden = Self::default();
        for path in paths {
            if let Ok(found) = stat(path) {
                hidden.files.push((found.st_dev, found.st_ino));
            }
            hidden.paths.extend(path.canonicalize().ok());
            hidden.paths.push(path.clone());
        }
        hidden
    }

    fn covers(&self, socket: &OwnedFd) -> Result<bool, Errno> {
        let found = fstat(socket)?;
        if self.files.contains(&(found.st_dev, found.st_ino)) {
            return Ok(true);
        }
        let path = readlink(own_path(socket), Vec::new())?;
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        Ok(self.paths.iter().any(|hidden| path.starts_with(hidden)))
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
