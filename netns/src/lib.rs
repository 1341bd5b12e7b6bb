//! Starts a command in a namespace where every connection lands on our listeners.
//!
//! It knows nothing of credentials, TLS or HTTP: a [`Spec`] is a command, ports, and paths to cover; what
//! comes back are listening sockets. Namespaces are Linux's; on macOS, `pf` does with the packet filter
//! what can be done without them, and `seatbelt` writes sandbox profiles.
//!
//! Three processes of the caller's own binary take part, all in the caller's process group, so that
//! the terminal's signals reach the command as they would without us:
//!
//! ```text
//! caller   Sandbox: begin -> complete -> probe -> release -> wait_event, in the host's namespaces
//! helper   `__netns`: makes the namespaces, routes, sockets and mounts; then waits for init
//! init     forked from it, pid 1 inside: probes, drops every right, starts the command, reaps
//! ```
//!
//! The network inside is one interface, `lo`, and two routes that make every address local. So a
//! listener on port 443 *is* every server's port 443, and the local address of an accepted socket is
//! the address that was dialled. Nothing is left on the host: whoever dies first, the kernel takes
//! the rest away (`PR_SET_PDEATHSIG`, pid namespace, end of the control socket).
//!
//! Where there can be no namespace, [`notify`] keeps a command by a filter over its system calls.
//!
//! How it fails: closed. Any step that cannot be done ends the attempt with an [`Error`] that names
//! the step and, where something can be done about it, carries a hint. The command is started only
//! by [`Sandbox::release`].
//!
//! A network namespace that is not ours, as containers share one, is another matter: see [`shared`].

#![deny(unsafe_code)]

mod beginning;
mod cause;
mod check;
#[cfg(target_os = "macos")]
pub mod confined;
mod control;
#[cfg(target_os = "macos")]
pub mod darwin;
mod error;
mod giver;
mod helper;
mod hidden;
mod init;
mod itself;
mod keyring;
mod link;
mod listen;
mod machine;
mod merge;
mod message;
mod mount_table;
mod mounts;
mod names;
mod nft;
#[cfg(target_os = "linux")]
mod notify;
mod outcome;
#[cfg(any(target_os = "macos", test))]
pub mod pf;
mod pids;
mod pins;
mod privileges;
mod probe;
mod redirect;
mod refusals;
mod sandbox;
#[cfg(any(target_os = "macos", test))]
pub mod seatbelt;
#[cfg(target_os = "linux")]
pub mod shared;
mod signals;
mod spec;
mod sys;
mod terminal;
mod text;

#[cfg(target_os = "linux")]
pub use self::{
    beginning::Beginning,
    cause::Cause,
    check::{Check, check, restrictions},
    error::{Error, ProbeError, Step},
    helper::{HELPER_ARGUMENT, helper_main},
    hidden::default_hidden,
    keyring::{SessionKey, finds_key},
    machine::container,
    names::use_built_in_name_services,
    notify::{Mediating, Mediation, NOTIFY_ARGUMENT, notify_main},
    sandbox::{Event, Listener, Prepared, Sandbox},
    sys::type_blank,
};
pub use self::{
    itself::{close_on_exec_above_stderr, forbid_tracing, ourselves},
    outcome::{ExitStatus, ListenerKind, ProbeReport},
    spec::{Credentials, DirectoryId, File, Network, Overlay, Spec},
};
