//! The calls of macOS that no maintained crate offers safely: all `unsafe` of the crate on that system.
//!
//! Type-checked on Linux, never run there. Structures are those of the public SDK as the libc crate has
//! them; the one of pf(4), which the SDK lacks, is in [`crate::pf`] with its size and number asserted.

mod caller;
mod device;
mod hidden;

use std::{ffi::CString, io, os::fd::RawFd, ptr};

use nix::libc;

pub(crate) use self::{caller::end_group, device::Device};
pub use self::{
    caller::{Peer, peers},
    hidden::default_hidden,
};

/// `PT_DENY_ATTACH` (ptrace(2)).
#[expect(unsafe_code, reason = "this request of ptrace has no safe wrapper")]
pub(crate) fn deny_attach() -> io::Result<()> {
    // SAFETY: the request takes no pid, and neither reads nor writes through the null address.
    let done = unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, ptr::null_mut(), 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// See [`crate::close_on_exec_above_stderr`]. `/dev/fd` lists a process's own descriptors (fd(4)).
#[expect(unsafe_code, reason = "fcntl by number has no safe wrapper")]
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    for entry in std::fs::read_dir("/dev/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if fd > 2 {
            // SAFETY: sets a flag of a descriptor by number; it neither closes nor reads it.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Takes on all groups of a user, beside `gid`, as a login does (initgroups(3)): setgroups(2) would cut
/// them off after sixteen. Needs root, and a process that has not forked since it was executed.
///
/// # Errors
/// The system's; a name with a null character.
#[expect(unsafe_code, reason = "nix has no initgroups for macOS")]
pub fn initgroups(user: &str, gid: u32) -> io::Result<()> {
    let user = CString::new(user)?;
    // SAFETY: the name is a string that ends in a null byte and outlives the call.
    let done = unsafe { libc::initgroups(user.as_ptr(), gid.cast_signed()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
