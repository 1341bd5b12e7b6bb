//! Which process of a run made a connection.
//!
//! The kernel is asked twice: by an exact address pair for the agent's own socket (sock_diag(7), over a
//! netlink socket that was made inside the run's network namespace), which gives the socket's inode
//! number; then `/proc` for the process of that namespace that holds this inode (proc_pid_fd(5)). One
//! thread does it for all runs, while the connection is already being served; whoever records what came
//! of the connection is called back when the answer is there.
//!
//! A fork hands its sockets on, so several processes can hold one. The one that connected is the
//! ancestor of all others, and is named as long as it holds the socket itself. Where it has let go of
//! it, one of those that still hold it is named.
//!
//! The same thread says what is listened on in a run's network namespace.
//!
//! On macOS there is no such socket: there who connects is asked for before the connection is served, since
//! it is not taken from others ([`mod@member`]).
//!
//! Knows nothing of runs, gates or logs. How it fails: with no process named, never with a guess. That
//! is so where the process is gone, or has closed the connection, before it was looked for; where it
//! cannot be looked into (it is not dumpable, prctl(2), or not the user's); and where more connect at once than can
//! be looked for. It tells a reader of the log which tool did something; it keeps no program from
//! handing its socket to another (`SCM_RIGHTS`), and so decides nothing.

mod caller;
#[cfg(target_os = "linux")]
mod diag;
#[cfg_attr(target_os = "macos", path = "finder_macos.rs")]
mod finder;
#[cfg(target_os = "linux")]
mod holder;
#[cfg(target_os = "linux")]
mod listening;
mod member;
#[cfg(target_os = "linux")]
mod search;

use std::sync::Arc;

pub use caller::Caller;
pub use finder::{Callers, Finder, Namespace};
pub use member::member;

/// A process as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id outside the namespace, in the daemon's own.
    pub pid: u32,
    /// Path of the program it runs, as it is called where it runs; ` (deleted)` follows if the file is
    /// gone (proc_pid_exe(5)). Where there is no telling, its name in brackets, as ps(1) has it.
    /// Chosen by whoever made the file: may hold any character.
    pub executable: Arc<str>,
}
