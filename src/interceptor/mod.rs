//! Accepts the agent's connections and moves bytes; knows no provider, no vault and no policy.
//!
//! A [`Run`]'s listening sockets are handed to [`Workers`]. For each accepted connection the
//! interceptor finds out which name it is for ([`accept`]), asks the run's [`Gate`] what may happen to
//! it, and splices it, closes it, or terminates TLS with a certificate of the run's [`RunCa`] and
//! serves HTTP on it ([`serve`]). Each request is checked against the connection's name, authorized,
//! changed, and sent to a server that was verified for that same name ([`request`], [`upstream`]); the
//! answer is scanned for secrets on its way back ([`response`]).
//!
//! What must hold: the name a verdict was given for is the name that is resolved, dialled and verified;
//! the address the agent dialled never decides anything. A secret is in here only as the value of a
//! [`Change`](crate::gate::Change). Whatever goes wrong before a verdict is a refusal. A panic, were
//! there one, ends one connection. Every wait before a body has a limit named at the top of its file;
//! bodies and tunnels have none.
//!
//! A connection lives in the worker thread that accepted it, with that worker's upstream connections.
//! There is no lock on a request's way.

mod accept;
pub mod address;
mod authority;
mod bounced;
pub mod ca;
mod clear;
mod connect;
pub mod dialer;
pub mod dns;
mod drain;
mod exchange;
mod fetch;
mod handed;
mod head;
pub mod inject;
mod inside;
mod linger;
pub mod names;
mod peek;
pub mod placed;
mod presence;
mod probe;
mod problem;
mod published;
mod record;
mod renew;
mod request;
mod response;
mod scan;
mod serve;
mod ssh;
pub mod strict;
mod tunnel;
mod upgrade;
mod upstream;
mod workers;

use std::{fmt, sync::Arc};

pub use ca::{CA_SUBJECT_HASH, RunCa};
pub use dialer::{
    AllowRule, DialConfig, Dialer, ResolveRule, SocketSource, Sockets, UpstreamProxy,
};
pub use fetch::{FetchError, fetch, fetch_plainly};
pub use inside::Inside;
pub use names::NameTable;
pub use workers::{RunHandle, Workers};

use crate::{gate::Gate, process::Callers};

/// One `authsome run`, as the interceptor sees it.
pub struct Run {
    /// Its id.
    pub id: String,
    /// Decides and remembers.
    pub gate: Arc<dyn Gate>,
    /// Makes the certificates its agent trusts.
    pub ca: Arc<RunCa>,
    /// Which name each synthetic address stands for.
    pub names: Arc<NameTable>,
    /// The way out.
    pub dialer: Arc<Dialer>,
    /// Knows which of its processes made a connection.
    pub callers: Callers,
    /// The way to what its agent listens on.
    pub inside: Inside,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TCP on this port; accepted sockets' local address is the address the agent dialled.
    Tcp(u16),
    /// TCP behind a redirect; the address the agent dialled is `SO_ORIGINAL_DST`. Whoever dials the
    /// listener itself is not served.
    Redirected,
    /// Connections that were accepted already, each with the address the agent dialled.
    Handed,
    /// TCP on the loopback, where the packet filter of macOS redirects port 443 of a group's processes to.
    /// The address that was dialled is lost: only a TLS name tells it.
    Pf {
        /// The group; whoever else connects is not served.
        gid: u32,
    },
    /// TCP on the loopback, for clients that ask a proxy to connect and give the run's id as password.
    Connect,
    /// TCP on the namespace's loopback, for this port of the host's loopback.
    HostPort(u16),
    /// TCP on the host's loopback, for this port of the namespace's loopback.
    Published(u16),
    /// UDP on port 53.
    DnsUdp,
    /// TCP on port 53.
    DnsTcp,
}
