//! The namespace's listening sockets, and the one that knows of all others.

#![cfg(target_os = "linux")]

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
};

use nix::sys::socket::{
    setsockopt,
    sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    error::{Failure, InStep, Step},
    message::ListenerKind,
};

/// Connections that may wait for the daemon; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Where names are asked for.
const DNS: u16 = 53;

/// A socket and what it is for.
pub(crate) type Bound = (ListenerKind, OwnedFd);

/// Binds the sockets of a run. With `ipv6` they are dual stack.
pub(crate) fn bind_all(tcp: &[u16], host: &[u16], ipv6: bool) -> Result<Vec<Bound>, Failure> {
    let mut bound = Vec::with_capacity(tcp.len() + 2 * host.len() + 2);
    let mut ports = tcp.to_vec();
    ports.sort_unstable();
    ports.dedup();
    for port in ports.into_iter().filter(|port| *port != DNS) {
        let shared = host.contains(&port);
        let socket = tcp_listener(any(ipv6), port, shared).in_step(Step::Listen { port })?;
        bound.push((ListenerKind::Tcp { port }, socket.into()));
    }
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for &port in host {
        for address in loopback.into_iter().filter(|address| ipv6 || address.is_ipv4()) {
            let socket = tcp_listener(address, port, true).in_step(Step::Listen { port })?;
            bound.push((ListenerKind::HostPort { port }, socket.into()));
        }
    }
    let dns = tcp_listener(any(ipv6), DNS, false).in_step(Step::Listen { port: DNS })?;
    bound.push((ListenerKind::DnsTcp, dns.into()));
    let dns = dns_socket(DNS, ipv6).in_step(Step::Listen { port: DNS })?;
    bound.push((ListenerKind::DnsUdp, dns.into()));
    Ok(bound)
}

/// A listener on a free port, for redirected connections.
pub(crate) fn bind_redirected(ipv6: bool) -> io::Result<(u16, OwnedFd)> {
    bind_tcp(0, ipv6)
}

/// A listener on this port of every address; 0: one that is free. Its port, and itself.
pub(crate) fn bind_tcp(port: u16, ipv6: bool) -> io::Result<(u16, OwnedFd)> {
    let socket = tcp_listener(any(ipv6), port, false)?;
    Ok((port_of(&socket)?, socket.into()))
}

/// A socket for queries on a port that is free. Its port, and itself.
pub(crate) fn bind_dns(ipv6: bool) -> io::Result<(u16, OwnedFd)> {
    let socket = dns_socket(0, ipv6)?;
    Ok((port_of(&socket)?, socket.into()))
}

fn port_of(socket: &Socket) -> io::Result<u16> {
    Ok(socket.local_addr()?.as_socket().map_or(0, |address| address.port()))
}

/// A socket that can be asked which socket of this namespace has which inode number (sock_diag(7)).
/// Its answers are for whoever holds it, wherever that is; it cannot change anything.
pub(crate) fn diag_socket() -> io::Result<Bound> {
    let network = std::fs::metadata("/proc/self/ns/net")?.ino();
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::NETLINK,
        rustix::net::SocketType::RAW,
        rustix::net::SocketFlags::CLOEXEC,
        Some(rustix::net::netlink::SOCK_DIAG),
    )?;
    Ok((ListenerKind::SocketDiag { network }, socket))
}

fn any(ipv6: bool) -> IpAddr {
    if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// `shared`: the port has one listener for every address and one for the loopback address. The
/// kernel prefers the more specific one, but lets both be bound only with `SO_REUSEPORT`.
fn tcp_listener(address: IpAddr, port: u16, shared: bool) -> io::Result<Socket> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The reply to a query must come from the address that was asked, so that address is wanted with
/// each datagram (`IPV6_PKTINFO` of RFC 3542; `IP_PKTINFO` of ip(7), which a dual-stack socket
/// delivers for IPv4).
fn dns_socket(port: u16, ipv6: bool) -> io::Result<Socket> {
    let address = any(ipv6);
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    setsockopt(&socket, Ipv4PacketInfo, &true)?;
    if ipv6 {
        setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        // An address that is local by a route only is no source address otherwise (ipv6(7)).
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    Ok(socket)
}

fn socket(address: IpAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(SocketAddr::new(address, 0)), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.is_unspecified())?;
    }
    Ok(socket)
}
