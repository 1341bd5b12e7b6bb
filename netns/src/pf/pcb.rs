//! Finding a TCP connection in what the kernel tells of all of them (`net.inet.tcp.pcblist_n`).
//!
//! The list is a header and then, for each connection, several records; each begins with its length and
//! its kind, and the next one begins at a multiple of eight. Two kinds matter: the addresses, and the
//! socket with its owner, which follows them. The records are packed to four bytes (`netinet/in_pcb.h`
//! and `sys/socketvar.h` of the published kernels); whatever is shorter than it has to be is skipped, so
//! that a changed layout finds nobody, and nobody is refused.

use std::net::{Ipv4Addr, SocketAddrV4};

/// `XSO_SOCKET`.
const SOCKET: u32 = 0x001;
/// `XSO_INPCB`.
const ADDRESSES: u32 = 0x010;
/// `INP_IPV4`.
const IPV4: u8 = 1;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user who made it.
    pub(crate) uid: u32,
    /// The process that used it last.
    pub(crate) pid: i32,
}

/// The owners of sockets at `own` that are connected to this port somewhere. There can be several: one
/// local port serves connections to several places.
pub(crate) fn owners(list: &[u8], own: SocketAddrV4, port: u16) -> Vec<Owner> {
    let mut found = false;
    let mut owners = Vec::new();
    for record in Records::new(list).into_iter().flatten() {
        match record.kind {
            ADDRESSES => found = is_between(record.bytes, own, port) == Some(true),
            SOCKET if found => owners.extend(owner(record.bytes)),
            _ => {}
        }
    }
    owners
}

fn owner(socket: &[u8]) -> Option<Owner> {
    Some(Owner { uid: word(socket, 64)?, pid: word(socket, 68)?.cast_signed() })
}

/// Is it a connection from there to the port?
fn is_between(record: &[u8], own: SocketAddrV4, foreign: u16) -> Option<bool> {
    let family = *record.get(44)?;
    let local = SocketAddrV4::new(address(record, 64)?, port(record, 18)?);
    Some(family & IPV4 != 0 && local == own && port(record, 16)? == foreign)
}

/// An IPv4 address in the last four bytes of a sixteen byte field.
fn address(record: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = record.get(at + 12..at + 16)?.try_into().ok()?;
    Some(bytes.into())
}

/// In network order.
fn port(record: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(record.get(at..at + 2)?.try_into().ok()?))
}

/// In the machine's order.
fn word(record: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?))
}

struct Record<'a> {
    kind: u32,
    bytes: &'a [u8],
}

struct Records<'a>(&'a [u8]);

impl<'a> Records<'a> {
    /// Behind the header (`struct xinpgen`), which begins with its length too.
    fn new(list: &'a [u8]) -> Option<Self> {
        let header = usize::try_from(word(list, 0)?).ok()?;
        list.get(header.next_multiple_of(ALIGNMENT)..).map(Self)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let length = usize::try_from(word(self.0, 0)?).ok()?;
        let kind = word(self.0, 4)?;
        // The list ends with the header once more, whose second word is a count.
        let bytes = self.0.get(..length).filter(|_| length >= 8)?;
        self.0 = self.0.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Record { kind, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 7), 50_000);
    const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 443);

    /// A record of this kind, every other byte of which says nothing of use.
    fn record(kind: u32, length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0xee; length];
        let head = [u32::try_from(length).unwrap().to_ne_bytes(), kind.to_ne_bytes()].concat();
        for (at, value) in [(0, head.as_slice())].iter().chain(fields) {
            bytes[*at..at + value.len()].copy_from_slice(value);
        }
        bytes.resize(length.next_multiple_of(ALIGNMENT), 0xdd);
        bytes
    }

    fn connection(own: SocketAddrV4, peer: SocketAddrV4, uid: u32, pid: i32) -> Vec<u8> {
        let addresses = record(
            ADDRESSES,
            104,
            &[
                (16, &peer.port().to_be_bytes()),
                (18, &own.port().to_be_bytes()),
                (44, &[IPV4]),
                (60, &peer.ip().octets()),
                (76, &own.ip().octets()),
            ],
        );
        let socket = record(SOCKET, 108, &[(64, &uid.to_ne_bytes()), (68, &pid.to_ne_bytes())]);
        // What a TCP connection has at its end is no multiple of eight.
        [addresses, socket, record(0x020, 204, &[])].concat()
    }

    fn list(connections: &[Vec<u8>]) -> Vec<u8> {
        let header = record(3, 24, &[]);
        [header.as_slice(), &connections.concat(), &header].concat()
    }

    #[test]
    fn a_connection_is_found_among_others() {
        let other = connection(SocketAddrV4::new(*OWN.ip(), 50_001), PEER, 7, 8);
        let list = list(&[other, connection(OWN, PEER, 501, 4711)]);
        assert_eq!(owners(&list, OWN, 443), [Owner { uid: 501, pid: 4711 }]);
    }

    #[test]
    fn all_that_share_a_local_port_are_found() {
        let elsewhere = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 443);
        let list = list(&[connection(OWN, PEER, 501, 1), connection(OWN, elsewhere, 502, 2)]);
        assert_eq!(owners(&list, OWN, 443).len(), 2);
    }

    #[test]
    fn one_that_is_not_there_has_no_owner() {
        let list = list(&[connection(OWN, PEER, 501, 4711)]);
        assert_eq!(owners(&list, PEER, 443), []);
        assert_eq!(owners(&list, OWN, 49_152), []);
    }

    #[test]
    fn a_list_that_is_cut_off_anywhere_names_nobody_wrong() {
        let list = list(&[connection(OWN, PEER, 501, 4711)]);
        for end in 0..list.len() {
            let found = owners(&list[..end], OWN, 443);
            assert!(found.iter().all(|owner| owner.pid == 4711), "{end}");
        }
    }
}
