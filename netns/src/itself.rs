//! What a process of ours does to itself, on each system.

use std::{io, path::PathBuf};

/// The program that is running, to be executed again. On Linux it is the same file even where another
/// has taken its place on the disk; elsewhere it is the one that is there now.
///
/// # Errors
/// Only where there is no `/proc`: if the system does not tell.
pub fn ourselves() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// Lets no other process of the user read or trace this one: `PR_SET_DUMPABLE` (prctl(2)); on macOS
/// `PT_DENY_ATTACH` (ptrace(2)), which also ends the process when somebody tries.
///
/// # Errors
/// The system's.
pub fn forbid_tracing() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
    }
    #[cfg(target_os = "macos")]
    crate::darwin::deny_attach()
}

/// Marks every descriptor above 2 close-on-exec: what a shell or editor left open in the caller must not
/// reach the command.
///
/// # Errors
/// If the descriptors cannot be listed.
pub fn close_on_exec_above_stderr() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        crate::sys::close_on_exec_above_stderr()
    }
    #[cfg(target_os = "macos")]
    crate::darwin::close_on_exec_above_stderr()
}
