//! What can go wrong in a namespace that is shared, said so that a person can act on it.

use std::{io, net::SocketAddr};

/// The redirect could not be made, or is not what it must be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be everybody's port 443.
    #[error("this is the machine's own network, of which every program would be redirected")]
    NotShared,
    /// A listener could not be bound.
    #[error("cannot listen on port {port}")]
    Listen {
        /// The port; 0: any that is free.
        port: u16,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The rule set was not taken.
    #[error("cannot load the nf_tables rules into this network namespace")]
    Rules(#[source] io::Error),
    /// The rule set could not be read or watched.
    #[error("cannot watch the nf_tables rules of this network namespace")]
    Watch(#[source] io::Error),
    /// Sockets cannot be marked.
    #[error("cannot mark a socket")]
    Mark(#[source] io::Error),
    /// There is nothing that could be reached, and so nothing to prove.
    #[error("this network namespace has no address and no route")]
    NoNetwork,
    /// A connection did not come to our listener.
    #[error("a connection to {address} is not redirected: {reason}")]
    NotRedirected {
        /// Where it went.
        address: SocketAddr,
        /// What happened to it.
        reason: String,
    },
    /// A connection of our own came to our listener.
    #[error("a connection of our own to {address} is redirected too")]
    OwnRedirected {
        /// Where it was to go.
        address: SocketAddr,
    },
    /// QUIC is not refused.
    #[error("a datagram to {address} is not refused: {reason}")]
    Datagram {
        /// Where it went.
        address: SocketAddr,
        /// What happened to it.
        reason: String,
    },
    /// A right could not be given up, or the unprivileged user not be become.
    #[error("cannot {what}")]
    Rights {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Guard and worker lost each other.
    #[error("the sidecar's two processes lost each other")]
    Link(#[source] io::Error),
}

impl Error {
    /// What would mend it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        let refused = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Rules(source) | Self::Mark(source) if refused(source) => Some(
                "give the sidecar's container NET_ADMIN (--cap-add NET_ADMIN), and the agent's none",
            ),
            Self::Rules(source) if source.kind() == io::ErrorKind::NotFound => Some(
                "load the kernel's nft_redir and nft_reject modules on the host (Linux 5.2 or newer)",
            ),
            Self::Rules(_) => {
                Some("modprobe -a nf_tables nft_redir nft_reject_inet nft_ct, on the host")
            }
            Self::Rights { .. } => Some(
                "--cap-add SETUID --cap-add SETGID, or --user with the id that it is started as",
            ),
            Self::NotShared => Some(
                "share an agent's: docker run --network container:NAME; without containers, authsome run",
            ),
            Self::NoNetwork => Some("give the agent's container a network"),
            Self::Listen { .. } => Some("leave --port out, or choose another"),
            Self::Watch(_)
            | Self::Mark(_)
            | Self::NotRedirected { .. }
            | Self::OwnRedirected { .. }
            | Self::Datagram { .. }
            | Self::Link(_) => None,
        }
    }
}
