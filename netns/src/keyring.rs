//! Keys in the kernel's keyrings (keyrings(7)), for whoever wants to see that a command does not find
//! those of its caller.
//!
//! A kernel without keyrings, or a container that forbids them, has none to find: every call then fails.

#![cfg(target_os = "linux")]

use std::{ffi::CString, io};

use crate::sys;

/// A key of type `user` in this process's session keyring; dropped, it is unlinked again.
#[derive(Debug)]
pub struct SessionKey {
    serial: i32,
}

impl SessionKey {
    /// Adds one. Its description can be read by every process of the user: no secret.
    ///
    /// # Errors
    /// The kernel's refusal: no keyrings (`ENOSYS`), not here (`EPERM`), too many (`EDQUOT`).
    pub fn add(description: &str) -> io::Result<Self> {
        let description = CString::new(description)?;
        sys::add_session_key(&description).map(|serial| Self { serial })
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        // It goes with the session at the latest.
        let _ = sys::unlink_session_key(self.serial);
    }
}

/// Is there a key of type `user` with this description in a keyring that this process possesses?
///
/// # Errors
/// The kernel's refusal to look.
pub fn finds_key(description: &str) -> io::Result<bool> {
    sys::finds_key(&CString::new(description)?)
}
