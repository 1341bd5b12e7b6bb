//! What a namespace listens on: every TCP listener's address, asked of the kernel in one dump for each
//! family (sock_diag(7), netlink(7)).
//!
//! Whoever asks is the only one who reads the socket meanwhile. A dump that cannot be read to its end
//! is none: half of it would look as if listeners had gone.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

use super::diag::Diag;

/// As long as the kernel's longest piece of a dump.
const BUFFER: usize = 32 << 10;
/// Pieces of a dump that are read, and of earlier ones that are skipped: some ten thousand listeners.
const PIECES: usize = 64;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const QUESTION: u32 = 16 + 56;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// A set of states with one in it: `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;

/// Where TCP is listened, as the listeners are bound.
///
/// # Errors
/// The kernel's, and [`io::ErrorKind::Interrupted`] where there is no end to its answer.
pub(super) fn listening(diag: &Diag) -> io::Result<Vec<SocketAddr>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        drain(diag);
        let sequence = diag.next_sequence();
        send(diag.socket(), &question(sequence, family), SendFlags::DONTWAIT)?;
        read(diag, sequence, &mut found)?;
    }
    Ok(found)
}

/// Takes away what is left of a dump that nobody read to its end: until then there is no other.
fn drain(diag: &Diag) {
    let mut buffer = [0_u8; BUFFER];
    for _ in 0..PIECES {
        match recv(diag.socket(), &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}

fn read(diag: &Diag, sequence: u32, found: &mut Vec<SocketAddr>) -> io::Result<()> {
    let mut buffer = [0_u8; BUFFER];
    for _ in 0..PIECES {
        // The kernel has the next piece ready before the one before it is handed out.
        let length = match recv(diag.socket(), &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok((length, _)) => length,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some(message) = Message::take(&mut rest) {
            match message.kind {
                _ if message.sequence != sequence => {}
                MESSAGE_DONE => return Ok(()),
                MESSAGE_ERROR => return Err(message.error()),
                SOCK_DIAG_BY_FAMILY => found.extend(bound(message.body)),
                _ => {}
            }
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

/// For all listeners of a family.
fn question(sequence: u32, family: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80);
    bytes.extend(QUESTION.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    // Whatever its addresses are.
    bytes.resize(usize::try_from(QUESTION).unwrap_or_default(), 0);
    bytes
}

/// One message of several in a piece.
struct Message<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the first message off `bytes`; none at their end, or where they make no sense.
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<16>()?;
        let [a, b, c, d, kind0, kind1, _, _, e, f, g, h, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = bytes.get(16..length)?;
        *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, sequence) = ([kind0, kind1], [e, f, g, h]);
        Some(Self { kind: u16::from_ne_bytes(kind), sequence: u32::from_ne_bytes(sequence), body })
    }

    fn error(&self) -> io::Error {
        let code = self.body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
        io::Error::from_raw_os_error(code.saturating_neg())
    }
}

/// The address in a `struct inet_diag_msg`.
fn bound(body: &[u8]) -> Option<SocketAddr> {
    let (&[family, _, _, _, port0, port1, _, _], rest) = body.split_first_chunk::<8>()?;
    let address = *rest.first_chunk::<16>()?;
    let [a, b, c, d, ..] = address;
    let ip = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([port0, port1])))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::process::diag::tests::diag;

    fn listens(diag: &Diag, address: SocketAddr) -> bool {
        listening(diag).unwrap().contains(&address)
    }

    #[test]
    fn a_listener_is_listed_for_as_long_as_it_is_one() {
        let diag = diag();
        for any in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(any).unwrap();
            let address = listener.local_addr().unwrap();
            assert!(listens(&diag, address), "{any}");
            drop(listener);
            assert!(!listens(&diag, address), "{any}");
        }
    }

    #[test]
    fn a_connection_is_no_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!listens(&diag(), stream.local_addr().unwrap()));
    }

    #[test]
    fn more_listeners_than_fit_into_one_piece_are_listed() {
        let all: Vec<_> = (0..400).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let found = listening(&diag()).unwrap();
        assert!(all.iter().all(|one| found.contains(&one.local_addr().unwrap())));
    }

    #[test]
    fn what_an_earlier_asker_left_unread_is_skipped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let diag = diag();
        let earlier = question(diag.next_sequence().wrapping_sub(9), AF_INET);
        send(diag.socket(), &earlier, SendFlags::empty()).unwrap();
        assert!(listens(&diag, listener.local_addr().unwrap()));
    }

    #[test]
    fn no_prefix_of_a_message_has_an_address() {
        let mut body = vec![AF_INET, 10, 0, 0, 0x1f, 0x90, 0, 0, 127, 0, 0, 1];
        body.resize(72, 0);
        assert_eq!(bound(&body), Some("127.0.0.1:8080".parse().unwrap()));
        for length in 0..24 {
            assert_eq!(bound(&body[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_message_that_is_cut_short_is_none() {
        let whole = question(7, AF_INET);
        let mut bytes = whole.as_slice();
        let message = Message::take(&mut bytes).unwrap();
        assert_eq!((message.kind, message.sequence), (SOCK_DIAG_BY_FAMILY, 7));
        assert!(bytes.is_empty());
        for length in 0..whole.len() {
            assert!(Message::take(&mut &whole[..length]).is_none(), "{length}");
        }
    }
}
