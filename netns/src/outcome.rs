//! What comes back from an enclosure, whatever kind it is and whatever system it is on.

use serde::{Deserialize, Serialize};

/// What a socket of the namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerKind {
    /// TCP; the local address of an accepted socket is the address that was dialled.
    Tcp {
        /// Port it listens on.
        port: u16,
    },
    /// TCP behind the catch-all redirect; the address that was dialled is `SO_ORIGINAL_DST`
    /// (`IP6T_SO_ORIGINAL_DST` for IPv6).
    Redirected,
    /// TCP on a loopback address of the namespace. There is one for each family.
    HostPort {
        /// Port it listens on.
        port: u16,
    },
    /// UDP port 53, dual stack, with `IPV6_RECVPKTINFO` and `IP_PKTINFO` set.
    DnsUdp,
    /// TCP port 53, dual stack.
    DnsTcp,
    /// No listener: connections themselves, already accepted. Each message of this `SOCK_SEQPACKET` socket is
    /// one (`SCM_RIGHTS`) and, as text, the address and port that was dialled. One on the loopback is a port of
    /// the host's that was opened to the command.
    Handed,
    /// No listener: a netlink socket that answers questions about the sockets of the namespace
    /// (sock_diag(7)).
    SocketDiag {
        /// The network namespace's inode number, as in `net:[4026531840]` (namespaces(7)). It is no
        /// other's for as long as one of these sockets is open.
        network: u64,
    },
    /// No listener: gives out sockets of the namespace, if [`Network::give_sockets`](crate::Network). A
    /// message of one byte, `4` or `6`, with a descriptor of a Unix socket beside it is answered over that
    /// descriptor: the same byte, and beside it a TCP socket of that family, blocking and unconnected. It is
    /// closed instead where there is none.
    SocketGiver,
    /// TCP on a port of 127.0.0.1, where pf(4) redirects the connections of one group of processes. The
    /// address that was dialled is lost: only a TLS name tells where to. Others who connect are refused.
    Pf {
        /// The effective gid of who may connect.
        gid: u32,
    },
    /// TCP on a port of 127.0.0.1 that takes `CONNECT` (RFC 9110 §9.3.6) from whoever knows the run's id.
    Connect,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By itself.
    Exited {
        /// Its exit code.
        code: u8,
    },
    /// By a signal.
    Signaled {
        /// The signal's number.
        signal: u8,
    },
}

impl ExitStatus {
    /// Exit code as a shell would give it: 128+n for a signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited { code } => code,
            Self::Signaled { signal } => 128_u8.saturating_add(signal),
        }
    }
}

/// What the probe has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Destinations whose connections arrived at the interceptor.
    pub intercepted: Vec<std::net::SocketAddr>,
    /// The address that the probe's name was given.
    pub name: Option<std::net::Ipv4Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_becomes_128_plus_its_number() {
        assert_eq!(ExitStatus::Signaled { signal: 15 }.code(), 143);
    }
}
