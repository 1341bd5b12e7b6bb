//! Which sockets on the loopback are the command's own: those it was given a name or a queue by us.
//!
//! A socket is known by its inode number; where it is, the kernel's table says (proc_net_tcp(5)) at the
//! moment it is asked for. So a port that another program has taken over meanwhile is not the command's.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

use rustix::{fs::fstat, io::Errno};

/// Sockets that are remembered, at most.
const MOST: usize = 65_536;
/// The kernel's tables.
const TCP: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
const UDP: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];
/// A TCP socket that listens.
const LISTENING: &str = "0A";
/// A UDP socket without a peer.
const UNCONNECTED: &str = "07";
/// A UDP socket with one.
const CONNECTED: &str = "01";

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Listening sockets.
    Tcp,
    /// Sockets that receive datagrams.
    Udp,
}

/// The command's own places.
#[derive(Debug, Default)]
pub(super) struct Places(HashSet<u64>);

impl Places {
    /// Remembers a socket as the command's.
    pub(super) fn note(&mut self, socket: &OwnedFd) -> Result<(), Errno> {
        if self.0.len() >= MOST {
            self.forget_the_gone();
        }
        if self.0.len() >= MOST {
            return Err(Errno::NOBUFS);
        }
        self.0.insert(fstat(socket)?.st_ino);
        Ok(())
    }

    /// Where the command itself is reached under `wanted`, if it is.
    pub(super) fn find(&self, transport: Transport, wanted: SocketAddr) -> Option<SocketAddr> {
        if self.0.is_empty() {
            return None;
        }
        let tables = match transport {
            Transport::Tcp => TCP,
            Transport::Udp => UDP,
        };
        // A family that the kernel does not have.
        let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
        let lines: Vec<_> = tables
            .flat_map(|table| {
                table.lines().filter_map(|line| entry(transport, line)).collect::<Vec<_>>()
            })
            .filter(|(at, _)| at.port() == wanted.port())
            .collect();
        let (own, others): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|(_, inode)| self.0.contains(inode));
        let exact = own.iter().find(|(at, _)| at.ip().to_canonical() == wanted.ip());
        let (at, _) = exact.or_else(|| own.first())?;
        // Two programs may share a place (`SO_REUSEPORT`): the kernel would choose.
        (!others.iter().any(|(other, _)| share(at.ip(), other.ip()))).then_some(*at)
    }

    fn forget_the_gone(&mut self) {
        let tables = [TCP, UDP].concat();
        let there: HashSet<u64> = tables
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| table.lines().filter_map(inode).collect::<Vec<_>>())
            .collect();
        self.0.retain(|inode| there.contains(inode));
    }
}

/// Where a socket is that can be reached, and its inode number.
fn entry(transport: Transport, line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let at = place(fields.next()?)?;
    let state = fields.nth(1)?;
    let right = match transport {
        Transport::Tcp => state == LISTENING,
        Transport::Udp => state == UNCONNECTED || state == CONNECTED,
    };
    right.then_some((at, inode(line)?))
}

/// May what is sent to a socket at `own` come to one at `other`?
fn share(own: IpAddr, other: IpAddr) -> bool {
    let (own, other) = (own.to_canonical(), other.to_canonical());
    own == other || other.is_unspecified()
}

/// The tenth field of a line.
fn inode(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().nth(9)?.parse().ok()
}

/// An address of the kernel's tables: words of memory in hexadecimal, and the port.
fn place(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::with_capacity(16);
    let mut rest = ip;
    while let Some((word, after)) = rest.split_at_checked(8) {
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
        rest = after;
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_listener_is_found_once_it_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut places = Places::default();
        assert_eq!(places.find(Transport::Tcp, at), None);
        let listener = OwnedFd::from(listener);
        places.note(&listener).unwrap();
        assert_eq!(places.find(Transport::Tcp, at), Some(at));
        assert_eq!(places.find(Transport::Udp, at), None);
        drop(listener);
        assert_eq!(places.find(Transport::Tcp, at), None);
    }

    #[test]
    fn a_place_that_is_shared_with_another_is_not_the_commands() {
        let sharing = |at: SocketAddr| {
            let kind = socket2::Type::DGRAM;
            let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&at.into()).unwrap();
            socket
        };
        let first = sharing("127.0.0.1:0".parse().unwrap());
        let at = first.local_addr().unwrap().as_socket().unwrap();
        let (first, second) = (OwnedFd::from(first), OwnedFd::from(sharing(at)));
        let mut places = Places::default();
        places.note(&first).unwrap();
        assert_eq!(places.find(Transport::Udp, at), None);
        places.note(&second).unwrap();
        assert_eq!(places.find(Transport::Udp, at), Some(at));
    }

    #[test]
    fn sockets_that_are_gone_are_forgotten_and_others_are_not() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = there.local_addr().unwrap();
        let there = OwnedFd::from(there);
        let mut places = Places::default();
        places.note(&there).unwrap();
        let gone = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        places.note(&gone).unwrap();
        drop(gone);
        places.forget_the_gone();
        assert_eq!(places.0.len(), 1);
        assert_eq!(places.find(Transport::Udp, at), Some(at));
    }

    #[test]
    fn a_port_that_another_has_taken_over_is_not_the_commands() {
        let own = UdpSocket::bind("[::1]:0").unwrap();
        let at = own.local_addr().unwrap();
        let own = OwnedFd::from(own);
        let mut places = Places::default();
        places.note(&own).unwrap();
        assert_eq!(places.find(Transport::Udp, at), Some(at));
        drop(own);
        let _other = UdpSocket::bind(at).unwrap();
        assert_eq!(places.find(Transport::Udp, at), None);
    }
}
