//! Calls of seccomp(2) that no maintained crate offers.

use std::{
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    ptr,
};

use nix::{libc, sys::signal::SigSet};
use rustix::io::Errno;

/// Puts this thread, and all it starts, under a filter, and returns the descriptor on which the filter
/// asks. Needs `no_new_privs`, and Linux 5.19: once a call is being answered, only a fatal signal interrupts
/// it, so that nothing is done twice.
#[expect(unsafe_code, reason = "seccomp has no safe wrapper with notifications")]
pub(super) fn install(program: &mut [libc::sock_filter]) -> io::Result<OwnedFd> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let set = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program outlives the call, which copies it; its length is what `len` says.
    let got = unsafe { libc::syscall(libc::SYS_seccomp, set, flags, ptr::from_ref(&filter)) };
    let descriptor = RawFd::try_from(got).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, close-on-exec, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Which wait it is; never used again.
    pub(super) id: u64,
    /// The thread, as it is called in our pid namespace; 0: it is in none below ours.
    pub(super) thread: u32,
    /// Number of the system call.
    pub(super) call: libc::c_long,
    /// Its arguments.
    pub(super) args: [u64; 6],
}

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It succeeds with this value.
    Value(i64),
    /// It fails with this error number.
    Error(i32),
    /// The kernel carries it out after all, and looks at the memory once more.
    Continue,
}

/// Waits for the next call. None if the caller was gone before it could be told.
#[expect(unsafe_code, reason = "seccomp's ioctls have no safe wrapper")]
pub(super) fn receive(listener: &OwnedFd) -> io::Result<Option<Request>> {
    let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
    let mut notification = libc::seccomp_notif { id: 0, pid: 0, flags: 0, data };
    let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
    // SAFETY: the structure is zeroed, as the call demands, and has the size that its number says.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut notification) };
    if done == 0 {
        return Ok(Some(Request {
            id: notification.id,
            thread: notification.pid,
            call: notification.data.nr.into(),
            args: notification.data.args,
        }));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EINTR) => Ok(None),
        _ => Err(error),
    }
}

/// Is the call still waiting? If so, its thread was alive at that moment, and what was opened of it
/// before is its own.
#[expect(unsafe_code, reason = "seccomp's ioctls have no safe wrapper")]
pub(super) fn waits(listener: &OwnedFd, id: u64) -> bool {
    let request = libc::SECCOMP_IOCTL_NOTIF_ID_VALID;
    // SAFETY: the call reads a u64, which lives on.
    unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw const id) == 0 }
}

/// Answers a call. One whose thread is gone needs no answer.
#[expect(unsafe_code, reason = "seccomp's ioctls have no safe wrapper")]
pub(super) fn reply(listener: &OwnedFd, id: u64, reply: Reply) {
    let (val, error, flags) = match reply {
        Reply::Value(value) => (value, 0, 0),
        Reply::Error(number) => (0, -number, 0),
        Reply::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
    };
    let flags = u32::try_from(flags).unwrap_or_default();
    let mut response = libc::seccomp_notif_resp { id, val, error, flags };
    let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
    // SAFETY: the structure has the size that the call's number says, and lives on.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw mut response) };
}

/// What `socket(2)` has in its type besides `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
pub(super) const SOCKET_TYPE: u32 = 0xf;

/// Installs a duplicate of `file` in whoever waits, and answers the call with its number (Linux 5.14).
///
/// # Errors
/// `EMFILE`, and `ENOENT` if nobody waits any more.
#[expect(unsafe_code, reason = "seccomp's ioctls have no safe wrapper")]
pub(super) fn give(
    listener: &OwnedFd,
    id: u64,
    file: &OwnedFd,
    close_on_exec: bool,
) -> Result<(), Errno> {
    let addition = libc::seccomp_notif_addfd {
        id,
        flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).unwrap_or_default(),
        srcfd: file.as_raw_fd().cast_unsigned(),
        newfd: 0,
        newfd_flags: if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 },
    };
    let request = libc::SECCOMP_IOCTL_NOTIF_ADDFD;
    // SAFETY: the structure has the size that the call's number says, and lives on.
    if unsafe { libc::ioctl(listener.as_raw_fd(), request, &raw const addition) } < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(())
}

/// Has what is started begin with no signal blocked, and end when the thread that started it does.
#[expect(unsafe_code, reason = "pre_exec has no safe wrapper")]
pub(super) fn tie(command: &mut Command) {
    // SAFETY: between fork and exec only two system calls are made, which allocate nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(SigSet::empty().thread_set_mask()?)
        });
    }
}
