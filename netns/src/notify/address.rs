//! Socket addresses as they lie in a process' memory (ip(7), ipv6(7), unix(7), netlink(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc;
use rustix::net::AddressFamily;

/// No address that is understood here is longer: `sockaddr_storage`.
pub(super) const LONGEST: u64 = 128;

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `AF_UNSPEC`: undoes a connection.
    Unspecified,
    /// IPv4, or IPv6; a mapped IPv4 address as IPv4.
    Inet(SocketAddr),
    /// A local socket in the file system.
    Path(Vec<u8>),
    /// A local socket that is no file, or has no name.
    Abstract,
    /// Netlink: the kernel itself if both are zero.
    Netlink {
        /// Whose port.
        port: u32,
        /// Which multicast groups.
        groups: u32,
    },
    /// Any other family.
    Other,
}

impl Address {
    /// Reads an address; none if it is too short for its family.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        Some(match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_UNSPEC => Self::Unspecified,
            libc::AF_INET => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
                Self::Inet(SocketAddr::new(ip.into(), u16::from_be_bytes(*port)))
            }
            libc::AF_INET6 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                // Behind the flow label.
                let ip = Ipv6Addr::from(*rest.get(4..)?.first_chunk::<16>()?);
                let ip = IpAddr::V6(ip).to_canonical();
                Self::Inet(SocketAddr::new(ip, u16::from_be_bytes(*port)))
            }
            libc::AF_UNIX => match rest.split(|byte| *byte == 0).next() {
                Some(path) if !path.is_empty() => Self::Path(path.to_vec()),
                _ => Self::Abstract,
            },
            libc::AF_NETLINK => {
                let (port, rest) = rest.get(2..)?.split_first_chunk::<4>()?;
                let groups = rest.first_chunk::<4>()?;
                let (port, groups) = (u32::from_ne_bytes(*port), u32::from_ne_bytes(*groups));
                Self::Netlink { port, groups }
            }
            _ => Self::Other,
        })
    }
}

/// An address as a socket of `family` is told of it.
pub(super) fn bytes(family: AddressFamily, address: SocketAddr) -> Vec<u8> {
    let number = |family: i32| u16::try_from(family).unwrap_or_default().to_ne_bytes();
    let port = address.port().to_be_bytes();
    match (family, address.ip()) {
        (AddressFamily::INET, IpAddr::V4(ip)) => {
            [&number(libc::AF_INET)[..], &port, &ip.octets(), &[0; 8]].concat()
        }
        (_, IpAddr::V4(ip)) => {
            let ip = ip.to_ipv6_mapped().octets();
            [&number(libc::AF_INET6)[..], &port, &[0; 4], &ip, &[0; 4]].concat()
        }
        (_, IpAddr::V6(ip)) => {
            [&number(libc::AF_INET6)[..], &port, &[0; 4], &ip.octets(), &[0; 4]].concat()
        }
    }
}

/// Does an address mean this machine itself? The unspecified one does, to those who connect.
pub(super) fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// An address as a socket of IPv6 has it.
pub(super) fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddrV6::new(ip, address.port(), 0, 0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(port: u16, ip: [u8; 4]) -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET).unwrap().to_ne_bytes();
        [&family[..], &port.to_be_bytes(), &ip, &[0; 8]].concat()
    }

    #[test]
    fn an_ipv4_address_is_read() {
        let address = Address::parse(&inet(443, [192, 0, 2, 1])).unwrap();
        assert_eq!(address, Address::Inet("192.0.2.1:443".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let family = u16::try_from(libc::AF_INET6).unwrap().to_ne_bytes();
        let ip = "::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets();
        let bytes = [&family[..], &80_u16.to_be_bytes(), &[0; 4], &ip, &[0; 4]].concat();
        let address = Address::parse(&bytes).unwrap();
        assert_eq!(address, Address::Inet("192.0.2.1:80".parse().unwrap()));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (family, text) in [
            (AddressFamily::INET, "192.0.2.1:53"),
            (AddressFamily::INET6, "192.0.2.1:53"),
            (AddressFamily::INET6, "[2001:db8::1]:53"),
        ] {
            let address = text.parse().unwrap();
            assert_eq!(Address::parse(&bytes(family, address)), Some(Address::Inet(address)));
        }
    }

    #[test]
    fn a_truncated_address_is_none() {
        let whole = inet(443, [192, 0, 2, 1]);
        for length in 0..8 {
            assert_eq!(Address::parse(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_local_name_ends_at_its_first_zero() {
        let name = |rest: &[u8]| {
            Address::parse(&[&u16::try_from(libc::AF_UNIX).unwrap().to_ne_bytes(), rest].concat())
        };
        assert_eq!(name(b"/run/x\0rest"), Some(Address::Path(b"/run/x".to_vec())));
        assert_eq!(name(b"\0abstract"), Some(Address::Abstract));
        assert_eq!(name(b""), Some(Address::Abstract));
    }
}
