//! An agent's connections to port 443 redirected by macOS' packet filter, pf(4).
//!
//! There are no network namespaces on macOS. What tells one process tree from all others is a group that
//! no one else has: [`gid`] picks one for each run, the kernel hands it on to children, and a process that
//! is not root cannot leave it. Rules in an anchor of our own ([`plan`]) bounce the group's connections
//! to `lo0`, where they are redirected to a listener on 127.0.0.1. Their destination is lost on the way;
//! TLS names it again, so nothing else gets through.
//!
//! Only root may change the filter, so a helper (the same binary, [`HELPER_ARGUMENT`]) does that and nothing
//! else: no TLS, no secret, no network. It keeps a journal of what it has changed ([`journal`], [`steps`])
//! and undoes exactly that; where it was killed, the next one does.
//!
//! What it must never do: load the main rule set (`pfctl -f` without an anchor loses every virtual
//! machine's network), disable pf, flush all. [`call`] can't say any of it.
//!
//! How it fails: closed. Before the agent is started a probe of the group must have arrived at the listener,
//! and one of another group must not have ([`Error::Probe`]). All that is pure is tested on every system;
//! the rest has been type-checked, and never run on a Mac.

pub(crate) mod call;
mod error;
pub(crate) mod failure;
pub(crate) mod gid;
pub(crate) mod journal;
pub(crate) mod layout;
pub(crate) mod parse;
pub(crate) mod pcb;
pub(crate) mod plan;
pub(crate) mod steps;
pub(crate) mod verdict;

#[cfg(target_os = "macos")]
mod helper;
#[cfg(target_os = "macos")]
mod message;
#[cfg(target_os = "macos")]
mod probe;
#[cfg(target_os = "macos")]
mod session;
#[cfg(target_os = "macos")]
mod stage;
#[cfg(target_os = "macos")]
mod system;

#[cfg(target_os = "macos")]
pub(crate) use self::probe::prove_confined;
pub use self::{error::Error, gid::is_of_a_run};
#[cfg(target_os = "macos")]
pub use self::{
    helper::{HELPER_ARGUMENT, helper_main},
    probe::{PROBE_ARGUMENT, PROBE_QUESTION, probe_main},
    session::{Event, Session, Spec},
    stage::{STAGE_ARGUMENT, stage_main},
};
