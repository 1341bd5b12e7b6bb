//! Ports of the host's loopback, and which of them may be an agent's.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
};

use rustix::io::Errno;

use crate::protocol::publish::{DASHBOARD_PORT, FIRST_PORT};

/// Listens at the host's loopback addresses, and at no other: at both or at neither, so that no name for
/// them leads to one server over IPv4 and to another over IPv6.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] where the port is taken at one of them.
pub(super) fn listen(port: u16) -> io::Result<Vec<OwnedFd>> {
    let mut listeners = vec![OwnedFd::from(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?)];
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(listener) => listeners.push(listener.into()),
        Err(error) if without_ipv6(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(listeners)
}

/// A machine without IPv6, or whose loopback has none.
fn without_ipv6(error: &io::Error) -> bool {
    let missing = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| missing.contains(&code))
}

/// The ports of `listening` to publish: those at the loopback addresses or at all, but for `ours`.
pub(super) fn publishable(listening: &[SocketAddr], ours: &BTreeSet<u16>) -> BTreeSet<u16> {
    listening
        .iter()
        .filter(|address| is_localhost(address.ip().to_canonical()))
        .map(SocketAddr::port)
        .filter(|port| *port >= FIRST_PORT && *port != DASHBOARD_PORT && !ours.contains(port))
        .collect()
}

/// Is a server at this address reached at `localhost`? Every address is local to an agent: what it binds
/// to another one is meant for itself.
fn is_localhost(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_at_localhost_are_published_and_never_ours() {
        let listening = [
            "127.0.0.1:5173",
            "[::1]:5174",
            "0.0.0.0:5175",
            "[::]:5176",
            "[::ffff:127.0.0.1]:5177",
            "127.0.0.2:6000",
            "192.0.2.1:6001",
            "[2001:db8::1]:6002",
            "127.0.0.1:7998",
            "127.0.0.1:80",
            "127.0.0.1:1023",
            "[::]:41111",
        ];
        let listening = listening.map(|text| text.parse().unwrap());
        let found = publishable(&listening, &BTreeSet::from([41111]));
        assert_eq!(found, BTreeSet::from([5173, 5174, 5175, 5176, 5177]));
    }

    #[test]
    fn a_port_that_is_taken_over_one_protocol_is_taken() {
        for any in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let other = TcpListener::bind(any).unwrap();
            let port = other.local_addr().unwrap().port();
            assert_eq!(listen(port).unwrap_err().kind(), io::ErrorKind::AddrInUse, "{any}");
            drop(other);
            listen(port).unwrap();
        }
    }

    #[test]
    fn nothing_but_the_loopback_is_listened_on() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for descriptor in listen(port).unwrap() {
            let address = TcpListener::from(descriptor).local_addr().unwrap();
            assert!(address.ip().is_loopback(), "{address}");
        }
    }
}
