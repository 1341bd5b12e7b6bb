//! Directories by their descriptors: `F_GETPATH` (fcntl(2)), and kqueue(2). Type-checked, never run.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd},
        unix::{ffi::OsStringExt as _, fs::OpenOptionsExt as _},
    },
    path::PathBuf,
};

use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use rustix::{
    fs::{OFlags, Stat},
    io::Errno,
};

/// There is no opening without a right to read.
pub(super) const HOLD: OFlags = OFlags::empty();

/// Becomes readable when a directory is moved.
#[derive(Debug)]
pub struct Watch(Kqueue);

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Kqueue::new()?))
    }

    /// By the descriptor, not by what may be at its place now.
    pub(super) fn add(&self, directory: &File) -> Result<(), Errno> {
        let event = KEvent::new(
            directory.as_raw_fd().cast_unsigned() as usize,
            EventFilter::EVFILT_VNODE,
            EvFlags::EV_ADD | EvFlags::EV_CLEAR,
            FilterFlag::NOTE_RENAME,
            0,
            0,
        );
        self.0
            .kevent(&[event], &mut [], None)
            .map(drop)
            .map_err(|error| Errno::from_raw_os_error(error as i32))
    }

    /// Takes what there is, so that it is not readable until there is more.
    pub fn drain(&self) {
        let (filter, now) =
            (EventFilter::EVFILT_VNODE, nix::libc::timespec { tv_sec: 0, tv_nsec: 0 });
        let mut told = [KEvent::new(0, filter, EvFlags::empty(), FilterFlag::empty(), 0, 0); 16];
        while self.0.kevent(&[], &mut told, Some(now)).is_ok_and(|count| count > 0) {}
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where a directory is now.
pub(super) fn path_of(directory: &File) -> io::Result<PathBuf> {
    let path = rustix::fs::getpath(directory)?;
    Ok(OsString::from_vec(path.into_bytes()).into())
}

/// The directory that it is in now.
pub(super) fn above(directory: &File) -> io::Result<File> {
    let path = path_of(directory)?;
    let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
    OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed()).open(above)
}

pub(super) fn set_permissions(directory: &File, permissions: Permissions) -> io::Result<()> {
    directory.set_permissions(permissions)
}

/// As `MetadataExt::dev` has it.
pub(super) fn device(found: &Stat) -> u64 {
    i64::from(found.st_dev).cast_unsigned()
}
