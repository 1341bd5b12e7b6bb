//! A redirect in a network namespace that is not ours: the one that containers of a pod share.
//!
//! There, addresses cannot all be made local: others live in it. So an nf_tables table sends what is
//! for port 443 to our listener, and our own connections are told from the others' by a mark on their
//! sockets, which takes `CAP_NET_ADMIN` in the user namespace that the network belongs to (socket(7)).
//!
//! Two processes take part, so that the one that reads what the network sends has no right left:
//!
//! ```text
//! guard    Redirect: install -> prove -> (spawn the worker) -> GuardEnd: hands out marked sockets
//! worker   WorkerEnd::take gives up every right; the interceptor runs here
//! ```
//!
//! How it fails: closed. The table stays when either process dies, and what it redirects then meets no
//! listener. Only [`Redirect::remove`] opens the way again. Knows nothing of containers, TLS or HTTP.

mod error;
mod link;
mod probe;
mod redirect;
mod rights;
mod rules;
mod table;

pub use self::{
    error::Error,
    link::{GuardEnd, Heard, Wanted, WorkerEnd},
    probe::{Proof, arrives, datagrams_are_refused, is_closed, outside, targets},
    redirect::{Options, Redirect, check_place},
    rights::{User, keep_network_rights, no_right_is_left},
    table::Table,
};

/// First argument of a process that must call [`WorkerEnd::take`].
pub const WORKER_ARGUMENT: &str = "__sidecar";
