//! Directories by their descriptors: `/proc/self/fd`, and inotify(7).

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::PathBuf,
};

use rustix::{
    fs::{OFlags, Stat, inotify},
    io::Errno,
};

/// Opens to hold on to, and needs no permission to read.
pub(super) const HOLD: OFlags = OFlags::PATH;

/// Becomes readable when a directory is moved.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        Ok(Self(inotify::init(flags)?))
    }

    /// By the descriptor, not by what may be at its place now.
    pub(super) fn add(&self, directory: &File) -> Result<(), Errno> {
        inotify::add_watch(&self.0, itself(directory), inotify::WatchFlags::MOVE_SELF).map(drop)
    }

    /// Reads what there is, so that it is not readable until there is more.
    pub fn drain(&self) {
        let mut buffer = [0_u8; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|count| count > 0) {}
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn itself(directory: &File) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd()).into()
}

/// Where a directory is now.
pub(super) fn path_of(directory: &File) -> io::Result<PathBuf> {
    fs::read_link(itself(directory))
}

/// The directory that it is in now.
pub(super) fn above(directory: &File) -> io::Result<File> {
    let flags = (HOLD | OFlags::DIRECTORY).bits();
    let path = itself(directory).join("..");
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

pub(super) fn set_permissions(directory: &File, permissions: Permissions) -> io::Result<()> {
    fs::set_permissions(itself(directory), permissions)
}

pub(super) fn device(found: &Stat) -> u64 {
    found.st_dev
}
