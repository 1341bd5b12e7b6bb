//! Where the sockets of outgoing connections come from.
//!
//! Ordinarily they are this process's own. In a network namespace that is shared with the agent they
//! have to be told from the agent's, or they would be redirected as its are; to mark them takes a right
//! that this process has not, so another makes them.

use std::{
    fmt, io,
    net::{SocketAddr, TcpStream as StdStream},
    os::fd::OwnedFd,
    sync::Arc,
};

use tokio::net::{TcpSocket, TcpStream};

use super::stub;
use crate::gate::BoxFuture;

/// Makes sockets that are neither bound nor connected, and do not block.
pub trait SocketSource: fmt::Debug + Send + Sync {
    /// A socket for a connection to an address of this family.
    fn tcp(&self, ipv6: bool) -> BoxFuture<'_, io::Result<OwnedFd>>;

    /// A socket for datagrams to an address of this family.
    fn udp(&self, ipv6: bool) -> BoxFuture<'_, io::Result<OwnedFd>>;
}

/// This process's own sockets, or those of another.
#[derive(Clone, Debug, Default)]
pub enum Sockets {
    /// This process's own.
    #[default]
    Own,
    /// Another's.
    From {
        /// Whose.
        source: Arc<dyn SocketSource>,
        /// Ask for names by them too: the system's resolver would be answered by ourselves.
        names: bool,
    },
}

impl Sockets {
    /// A connection to `address`.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match self {
            Self::Own => TcpStream::connect(address).await,
            Self::From { source, .. } => {
                let socket = source.tcp(address.is_ipv6()).await?;
                TcpSocket::from_std_stream(StdStream::from(socket)).connect(address).await
            }
        }
    }

    /// The addresses of `host`.
    pub(super) async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::From { source, names: true } => stub::lookup(source, host, port).await,
            Self::Own | Self::From { names: false, .. } => {
                Ok(tokio::net::lookup_host((host, port)).await?.collect())
            }
        }
    }
}
