//! The way out: from a [`Target`] to a socket, verified if TLS is wanted.
//!
//! A [`Dialer`] belongs to a run (or to several that were asked for the same thing) and holds no
//! connection. It resolves on the host, never dials an address the agent chose without the address
//! guard's consent, and verifies a certificate for the very name it was given. It knows no HTTP
//! beyond a forward proxy's `CONNECT`. Whatever fails is a [`DialError`]; there is no fallback to an
//! unverified or unguarded connection.

mod config;
mod connect;
mod error;
mod leg;
mod proxy;
mod resolve;
mod sockets;
mod stub;
mod tls;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use config::{AllowRule, DialConfig, ResolveRule};
pub use error::{DialError, TlsFault};
pub use leg::Leg;
pub use proxy::{ProxyError, UpstreamProxy};
use rustls_pki_types::ServerName;
pub use sockets::{SocketSource, Sockets};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::client::TlsStream;

use self::resolve::Resolver;
use super::address;
use crate::gate::Target;

/// Longest wait for a connection, its proxy and its TLS handshake together.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Dials upstream servers for one run.
pub struct Dialer {
    id: u64,
    config: DialConfig,
    resolver: Resolver,
    tls: tls::Configs,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A verified TLS connection to an upstream server.
pub(super) struct Secured {
    /// The connection.
    pub(super) stream: TlsStream<Leg>,
    /// Did it choose HTTP/2?
    pub(super) h2: bool,
}

/// Which protocols are offered to the upstream server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.1.
    Any,
    /// HTTP/1.1 only: upgrades need it.
    Http1,
}

impl Dialer {
    /// Makes a dialer.
    ///
    /// # Errors
    ///
    /// [`DialError::Tls`] if a root certificate in `config` is not one.
    pub fn new(config: DialConfig) -> Result<Self, DialError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let tls = tls::Configs::new(&config.extra_roots)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, config, resolver: Resolver::default(), tls })
    }

    /// Tells dialers apart, so that no connection is shared between runs that trust differently.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A TCP connection to `target`, for splicing.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub async fn tcp(&self, target: &Target) -> Result<Leg, DialError> {
        timeout(DIAL_TIMEOUT, self.leg(target)).await.map_err(|_| DialError::Timeout)?
    }

    /// A TLS connection to `target` whose certificate is valid for the target's name.
    pub(super) async fn tls(&self, target: &Target, offer: Offer) -> Result<Secured, DialError> {
        let work = async {
            let name = ServerName::try_from(target.host.to_string())
                .map_err(|_| DialError::Tls(TlsFault::Name))?;
            let leg = self.leg(target).await?;
            let stream = self
                .tls
                .connector(offer)
                .connect(name, leg)
                .await
                .map_err(|error| DialError::Tls(TlsFault::of(&error)))?;
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok(Secured { stream, h2 })
        };
        timeout(DIAL_TIMEOUT, work).await.map_err(|_| DialError::Timeout)?
    }

    async fn leg(&self, target: &Target) -> Result<Leg, DialError> {
        let sockets = &self.config.sockets;
        if let Some(address) = self.config.rule_for(target) {
            return connect::any(sockets, &[address]).await.map(Leg::Tcp);
        }
        if let Some(proxy) = self.config.proxy.for_target(target) {
            if let Ok(ip) = target.host.parse::<IpAddr>() {
                self.guard(target, ip, false)?;
            }
            let ends = self.resolver.lookup(sockets, &proxy.host, proxy.port).await?;
            let stream = connect::any(sockets, &ends).await.map_err(|_| ProxyError::Unreachable)?;
            return proxy::tunnel(proxy, stream, target, &self.tls).await;
        }
        connect::any(sockets, &self.addresses(target).await?).await.map(Leg::Tcp)
    }

    /// What `target` resolves to, less what the address guard refuses.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, DialError> {
        if let Ok(ip) = target.host.parse::<IpAddr>() {
            self.guard(target, ip, false)?;
            return Ok(vec![SocketAddr::new(ip, target.port)]);
        }
        let found = self.resolver.lookup(&self.config.sockets, &target.host, target.port).await?;
        let mut refused = None;
        let mut usable = Vec::with_capacity(found.len());
        for address in found.iter() {
            match self.guard(target, address.ip(), true) {
                Ok(()) => usable.push(*address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if usable.is_empty() => Err(error),
            _ => Ok(usable),
        }
    }

    fn guard(&self, target: &Target, ip: IpAddr, from_name: bool) -> Result<(), DialError> {
        if self.config.allows(target) {
            return Ok(());
        }
        address::check(ip, from_name).map_err(|why| DialError::Blocked { ip, why })
    }
}

/// A TCP connection to one of this machine's own loopback ports, IPv4 first.
pub(super) async fn host_port(port: u16) -> Result<TcpStream, DialError> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let ends: Arc<[SocketAddr]> =
        Arc::new([(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    timeout(DIAL_TIMEOUT, connect::in_order(&ends)).await.map_err(|_| DialError::Timeout)?
}
