//! The thread that waits for an answer: its memory, its descriptors, its view of the file system.
//!
//! Everything is opened before the kernel is asked whether the thread still waits; so what is open belongs
//! to it, and not to one that got its number.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::PathBuf,
};

use nix::libc;
use rustix::{
    fs::{Mode, OFlags, open, readlink},
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::sys::Request;

/// A descriptor for a thread that leads no group (`PIDFD_THREAD`, Linux 6.9).
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());

/// A thread that waits.
pub(super) struct Target {
    thread: u32,
    process: OwnedFd,
    memory: File,
}

impl Target {
    /// Opens what is needed of the thread of a request. Whether it still waits is to be asked afterwards.
    pub(super) fn open(request: &Request) -> Result<Self, Errno> {
        let thread = request.thread;
        let process = pidfd(thread)?;
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{thread}/mem"))
            .map_err(|error| errno(&error))?;
        Ok(Self { thread, process, memory })
    }

    /// Copies out of its memory.
    pub(super) fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; length];
        self.memory.read_exact_at(&mut bytes, address).map_err(|_| Errno::FAULT)?;
        Ok(bytes)
    }

    /// Copies into its memory.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.memory.write_all_at(bytes, address).map_err(|_| Errno::FAULT)
    }

    /// A duplicate of one of its descriptors: the same open file, whatever becomes of the number.
    pub(super) fn descriptor(&self, number: u64) -> Result<OwnedFd, Errno> {
        // An int: the kernel looks at the lower half of the register.
        let number = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        pidfd_getfd(&self.process, number.cast_signed(), PidfdGetfdFlags::empty())
    }

    /// The inode number of a socket of its.
    ///
    /// # Errors
    /// `EBADF`, `ENOTSOCK`.
    pub(super) fn inode(&self, number: u64) -> Result<u64, Errno> {
        let number = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let path = format!("/proc/{}/fd/{}", self.thread, number.cast_signed());
        let link = readlink(path, Vec::new()).map_err(|_| Errno::BADF)?;
        link.to_str().ok().and_then(socket_inode).ok_or(Errno::NOTSOCK)
    }

    /// Where a name begins for it: its root, or its working directory.
    pub(super) fn start(&self, absolute: bool) -> Result<OwnedFd, Errno> {
        let place = if absolute { "root" } else { "cwd" };
        let path = PathBuf::from(format!("/proc/{}/{place}", self.thread));
        open(path, OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY, Mode::empty())
    }
}

/// The inode number in what `/proc/PID/fd` says of a socket.
pub(super) fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Can the supervisor take descriptors? A container's own filter may forbid it.
///
/// # Errors
/// It may not even look for them.
pub(super) fn can_duplicate() -> io::Result<bool> {
    let process = pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    match pidfd_getfd(&process, process.as_raw_fd(), PidfdGetfdFlags::empty()) {
        Ok(_) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn pidfd(thread: u32) -> Result<OwnedFd, Errno> {
    let pid = |number: u32| Pid::from_raw(number.cast_signed()).ok_or(Errno::SRCH);
    match pidfd_open(pid(thread)?, PIDFD_THREAD) {
        // An older kernel: by the thread's group, which shares its descriptors but for rare exceptions.
        Err(Errno::INVAL) => pidfd_open(pid(group(thread)?)?, PidfdFlags::empty()),
        other => other,
    }
}

fn group(thread: u32) -> Result<u32, Errno> {
    std::fs::read_to_string(format!("/proc/{thread}/status"))
        .map_err(|error| errno(&error))?
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
        .ok_or(Errno::SRCH)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
