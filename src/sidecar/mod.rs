//! A run in a network namespace that is not ours: that of an agent's container, which we share.
//!
//! ```text
//! guard    pid 1 of our container: rules and marked sockets (netns::shared), nothing else
//! worker   the daemon and its one run, in the foreground, without any right
//! ```
//!
//! The guard watches, and leaves the rules in place when it has to end: then nothing of the agent's gets
//! to port 443 at all. What the worker needs of it are sockets that are not redirected ([`Marked`]). The
//! worker opens its run through the daemon's own socket, as `authsome run` does, so that there is one
//! way to serve a run and not two.
//!
//! What is shared with the agent is the network namespace: loopback addresses and abstract sockets are
//! the agent's as much as ours, and none of them is trusted. Files reach it by one directory ([`share`]),
//! which holds no secret.

mod ca;
mod enter;
mod guard;
mod marked;
mod open;
mod ready;
mod share;

pub use self::{
    ca::{certificate, has_served},
    enter::enter,
    guard::{Plan, become_user, guard},
    marked::Marked,
    open::{Opened, Opening, open, variables},
    ready::{guard_of, is_ready},
    share::{Place, exports, lines, written},
};
