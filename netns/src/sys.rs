//! The three calls that no maintained crate offers safely. The only `unsafe` of the crate.

use std::{io, ptr};

use nix::libc;

/// Marks every descriptor above 2 close-on-exec: what a shell or editor left open in the caller
/// must not reach the command. `close_range(2)`; before Linux 5.11 one `fcntl(2)` each.
#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    let first: libc::c_uint = 3;
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes three integers and no pointer; it closes nothing, it only sets a flag.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if done == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<libc::c_int>().ok()) else {
            continue;
        };
        if fd > 2 {
            // SAFETY: sets a flag of a descriptor by number; it neither closes nor reads it.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Joins a new, anonymous session keyring (`keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`). A kernel
/// without keyrings, or a container that forbids them, has none to leak: that is no error.
#[expect(unsafe_code, reason = "keyctl has no safe wrapper")]
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    let operation = libc::KEYCTL_JOIN_SESSION_KEYRING;
    // SAFETY: a null name asks for an anonymous keyring; no other pointer is passed.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, operation, ptr::null::<libc::c_char>()) };
    if key >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Gives SIGCHLD its default disposition. A caller may have been started with it ignored, which
/// survives exec and would hide every death from init.
#[expect(unsafe_code, reason = "signal has no safe wrapper")]
pub(crate) fn default_child_signal() {
    // SAFETY: SIG_DFL is no function of ours, so nothing runs in a signal's context.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}
