//! What the daemon needs of the system that is not the same on all of them.
//!
//! Signals as something to wait for, and a name for a home's path that is no file in the home.

#[cfg_attr(target_os = "macos", path = "system/macos.rs")]
#[cfg_attr(not(target_os = "macos"), path = "system/linux.rs")]
mod imp;

pub(super) use imp::{Signals, bind_name, connect_name};
