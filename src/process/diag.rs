//! Asking the kernel which inode a TCP socket has (sock_diag(7), `linux/inet_diag.h`).
//!
//! One question is one message, answered before send(2) returns, so nothing here waits. The socket is
//! shared with those that had it before us: an answer that is not to our question is skipped.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// Header and `struct inet_diag_req_v2`.
const QUESTION: u32 = 16 + 56;
/// `struct inet_diag_msg`.
const ANSWER: usize = 72;
/// More than an answer with what the kernel adds to it unasked.
const BUFFER: usize = 4096;
/// Answers to others' questions that are skipped. There is at most one from each earlier daemon.
const SKIPPED: usize = 64;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
/// `lo`: the namespace has no other, and a socket bound to it is found by no other number.
const LOOPBACK: u32 = 1;
/// "Whichever socket it is" (`INET_DIAG_NOCOOKIE`).
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// A `NETLINK_SOCK_DIAG` socket of a namespace.
#[derive(Debug)]
pub(super) struct Diag {
    socket: OwnedFd,
    sequence: AtomicU32,
}

impl Diag {
    pub(super) fn new(socket: OwnedFd) -> Self {
        // An earlier daemon's answers are told from ours by number; its pid is not ours.
        Self { socket, sequence: AtomicU32::new(std::process::id().rotate_left(16)) }
    }

    /// What to send to and to read from.
    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The number of the next question.
    pub(super) fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// Inode of the socket that is connected from `own` to `peer`; none if there is no such socket, or
    /// no process that holds it.
    pub(super) fn inode(&self, own: SocketAddr, peer: SocketAddr) -> Option<u64> {
        let sequence = self.next_sequence();
        let sent = send(&self.socket, &question(sequence, own, peer), SendFlags::DONTWAIT);
        if let Err(error) = sent {
            tracing::debug!(%error, "the kernel was not asked whose a connection is");
            return None;
        }
        let mut buffer = [0_u8; BUFFER];
        for _ in 0..SKIPPED {
            match recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let message = buffer.get(..length).unwrap_or_default();
                    if sequence_of(message) == Some(sequence) {
                        return inode(message, own, peer);
                    }
                }
                // Answers were lost for want of room: ours may still be there.
                Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

/// A question for exactly one socket.
fn question(sequence: u32, own: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let (own_ip, peer_ip) = (own.ip().to_canonical(), peer.ip().to_canonical());
    let family = if own_ip.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut bytes = Vec::with_capacity(80);
    bytes.extend(QUESTION.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    // In any state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(own.port().to_be_bytes());
    bytes.extend(peer.port().to_be_bytes());
    bytes.extend(sixteen(own_ip));
    bytes.extend(sixteen(peer_ip));
    bytes.extend(LOOPBACK.to_ne_bytes());
    bytes.extend(NO_COOKIE);
    bytes
}

/// An IPv4 address takes the first four bytes.
fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn sequence_of(message: &[u8]) -> Option<u32> {
    let (bytes, _) = message.get(8..)?.split_first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// The inode in an answer, if it is about this very connection. The kernel falls back to a listener
/// where there is none, and gives no inode to a socket that all have closed.
fn inode(message: &[u8], own: SocketAddr, peer: SocketAddr) -> Option<u64> {
    let (length, _) = message.split_first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let (kind, _) = message.get(4..)?.split_first_chunk()?;
    if u16::from_ne_bytes(*kind) != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let answer = message.get(HEADER..length)?.first_chunk::<ANSWER>()?;
    let (&[family, state, ..], rest) = answer.split_first_chunk::<4>()?;
    let (&[a, b, c, d], rest) = rest.split_first_chunk()?;
    let (from, rest) = rest.split_first_chunk::<16>()?;
    let (to, _) = rest.split_first_chunk::<16>()?;
    let is = |port: [u8; 2], address: &[u8; 16], wanted: SocketAddr| {
        u16::from_be_bytes(port) == wanted.port()
            && ip(family, address).is_some_and(|ip| ip == wanted.ip().to_canonical())
    };
    if state == TCP_LISTEN || !is([a, b], from, own) || !is([c, d], to, peer) {
        return None;
    }
    let inode = u32::from_ne_bytes(*answer.last_chunk()?);
    (inode != 0).then_some(inode.into())
}

fn ip(family: u8, &address: &[u8; 16]) -> Option<IpAddr> {
    let [a, b, c, d, ..] = address;
    match family {
        AF_INET => Some([a, b, c, d].into()),
        // A socket for IPv6 that is connected to an IPv4 address says so in its own way.
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(address)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::fs::MetadataExt,
    };

    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

    use super::*;

    pub(in crate::process) fn diag() -> Diag {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
        Diag::new(socket.unwrap())
    }

    fn inode_of(stream: &TcpStream) -> u64 {
        let socket = rustix::io::dup(stream).unwrap();
        std::fs::File::from(socket).metadata().unwrap().ino()
    }

    /// An answer as the kernel writes it.
    fn answer(own: SocketAddr, peer: SocketAddr, state: u8, inode: u32) -> Vec<u8> {
        let asked = question(7, own, peer);
        let mut bytes = asked[..HEADER].to_vec();
        bytes[..4].copy_from_slice(&u32::try_from(HEADER + ANSWER).unwrap().to_ne_bytes());
        bytes.extend([asked[HEADER], state, 0, 0]);
        bytes.extend(&asked[HEADER + 8..]);
        bytes.extend([0; 16]);
        bytes.extend(inode.to_ne_bytes());
        bytes
    }

    fn ends() -> (SocketAddr, SocketAddr) {
        ("1.2.3.4:40000".parse().unwrap(), "5.6.7.8:443".parse().unwrap())
    }

    #[test]
    fn the_kernel_knows_each_end_of_a_connection() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (near, far) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let accepted = listener.accept().unwrap().0;
            let diag = diag();
            assert_eq!(diag.inode(near, far), Some(inode_of(&stream)), "{any}");
            assert_eq!(diag.inode(far, near), Some(inode_of(&accepted)), "{any}");
        }
    }

    #[test]
    fn a_socket_for_ipv6_that_is_connected_to_ipv4_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(format!("[::ffff:127.0.0.1]:{port}")).unwrap();
        let own = listener.accept().unwrap().1;
        let (near, far) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert!(near.is_ipv6());
        assert_eq!(diag().inode(near, far), Some(inode_of(&stream)));
        assert_eq!(diag().inode(own, listener.local_addr().unwrap()), Some(inode_of(&stream)));
    }

    #[test]
    fn a_connection_that_is_not_there_has_no_inode() {
        let (own, peer) = ends();
        assert_eq!(diag().inode(own, peer), None);
    }

    #[test]
    fn a_closed_connection_has_no_inode() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        drop(stream);
        assert_eq!(diag().inode(near, far), None);
    }

    #[test]
    fn a_listener_is_not_taken_for_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_, peer) = ends();
        assert_eq!(diag().inode(listener.local_addr().unwrap(), peer), None);
    }

    #[test]
    fn an_answer_to_somebody_elses_question_is_skipped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let diag = diag();
        send(&diag.socket, &question(1, far, near), SendFlags::empty()).unwrap();
        assert_eq!(diag.inode(near, far), Some(inode_of(&stream)));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let (own, peer) = ends();
        let message = answer(own, peer, 1, 4242);
        assert_eq!(sequence_of(&message), Some(7));
        assert_eq!(inode(&message, own, peer), Some(4242));
        assert_eq!(inode(&answer(own, peer, TCP_LISTEN, 4242), own, peer), None);
        assert_eq!(inode(&answer(own, peer, 1, 0), own, peer), None);
        assert_eq!(inode(&message, peer, own), None);
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let (own, peer) = ends();
        let message = answer(own, peer, 1, 4242);
        for length in 0..message.len() {
            assert_eq!(inode(&message[..length], own, peer), None, "{length}");
        }
    }

    #[test]
    fn no_change_of_a_byte_makes_it_another_connections_answer() {
        let (own, peer) = ends();
        let message = answer(own, peer, 1, 4242);
        for at in 0..message.len() - 4 {
            for bit in 0..8 {
                let mut changed = message.clone();
                changed[at] ^= 1 << bit;
                let read = inode(&changed, own, peer);
                assert!(matches!(read, None | Some(4242)), "{at}: {read:?}");
            }
        }
    }
}
