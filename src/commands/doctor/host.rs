//! What is opened on the host to be out of a run's reach, and whether anything arrived there.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    os::{linux::net::SocketAddrExt as _, unix::net as unix},
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use crate::doctor::Finding;

/// What is opened on the host, to be out of reach.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) loopback: Vec<TcpListener>,
    pub(super) own: Vec<UdpSocket>,
    pub(super) named: Option<(String, unix::UnixListener)>,
    pub(super) key: Option<(String, netns::SessionKey)>,
}

impl Host {
    pub(super) fn open() -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
            .into_iter()
            .filter_map(|ip| TcpListener::bind((ip, 0)).ok())
            .filter(|listener| listener.set_nonblocking(true).is_ok())
            .collect();
        let own = addresses()
            .into_iter()
            .filter_map(|ip| UdpSocket::bind((ip, 0)).ok())
            .filter(|socket| socket.set_nonblocking(true).is_ok())
            .collect();
        // A name that no other doctor of this machine has.
        let name = format!("authsome-doctor-{}", std::process::id());
        let named = unix::SocketAddr::from_abstract_name(&name)
            .and_then(|address| unix::UnixListener::bind_addr(&address))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .ok()
            .map(|listener| (name.clone(), listener));
        let key = netns::SessionKey::add(&name).ok().map(|key| (name, key));
        Self { loopback, own, named, key }
    }

    /// Whether something came that was sent in the run.
    pub(super) fn nothing_arrived(&self) -> Finding {
        let mut arrived: Vec<String> = Vec::new();
        arrived.extend(self.loopback.iter().filter_map(|listener| {
            listener.accept().ok().map(|_| "a connection to the host's loopback".to_owned())
        }));
        arrived.extend(self.own.iter().filter_map(|socket| {
            let (_, from) = socket.recv_from(&mut [0]).ok()?;
            Some(format!("a datagram from {}", from.ip()))
        }));
        arrived.extend(self.named.iter().filter_map(|(_, listener)| {
            listener.accept().ok().map(|_| "a connection to an abstract socket".to_owned())
        }));
        let mend = "do not run agents here; report this with the output of authsome doctor --json";
        Finding::unless("direct egress", &arrived, "nothing arrived on the host", mend)
    }
}

/// The machine's addresses, loopback and link-local ones left out.
fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut found: Vec<IpAddr> = interfaces
        .filter(|interface| !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|ip| match ip {
            IpAddr::V4(ip) => !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}
