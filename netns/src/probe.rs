//! The proof, inside the namespace and before the command exists, that everything lands on our
//! listeners and nothing gets out.
//!
//! Documentation addresses (RFC 5737, RFC 3849) stand for the outside: nothing of this machine has
//! them, so an answer that names the run can only come from its interceptor.

#![cfg(target_os = "linux")]

use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use crate::{error::ProbeError, message::ProbeReport};

/// For each answer of the interceptor or the responder.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// The kernel refuses a datagram before `send` returns; a second is an age.
pub(crate) const REFUSAL: Duration = Duration::from_secs(1);
/// No answer is longer.
const LONGEST: u64 = 1024;

pub(crate) const OUTSIDE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const OUTSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53);
const NAME: [&str; 3] = ["probe", "authsome", "invalid"];
pub(crate) const HTTPS: u16 = 443;
/// A port that nothing claims: discard.
const UNCLAIMED: u16 = 9;

/// Proves it, or says what is wrong.
pub(crate) fn run(run_id: &str, catch_all: bool, ipv6: bool) -> Result<ProbeReport, ProbeError> {
    only_loopback()?;
    datagrams_are_refused()?;
    connections_and_names(run_id, catch_all, ipv6)
}

/// That connections arrive at the interceptor, and names are resolved by the run's responder.
pub(crate) fn connections_and_names(
    run_id: &str,
    catch_all: bool,
    ipv6: bool,
) -> Result<ProbeReport, ProbeError> {
    let mut targets = vec![SocketAddr::new(OUTSIDE_V4, HTTPS)];
    if ipv6 {
        targets.push(SocketAddr::new(OUTSIDE_V6, HTTPS));
    }
    if catch_all {
        targets.push(SocketAddr::new(OUTSIDE_V4, UNCLAIMED));
    }
    for &address in &targets {
        intercepted(address, run_id)
            .map_err(|error| ProbeError::NotIntercepted { address, reason: error.to_string() })?;
    }
    let failed = |transport: &str, error: &io::Error| ProbeError::NoName {
        transport: transport.to_owned(),
        reason: error.to_string(),
    };
    let name = resolve_by_udp().map_err(|error| failed("UDP", &error))?;
    resolve_by_tcp().map_err(|error| failed("TCP", &error))?;
    Ok(ProbeReport { intercepted: targets, name: Some(name) })
}

/// A connection to `address` arrives at the interceptor of this run.
pub(crate) fn intercepted(address: SocketAddr, run_id: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let expected = format!("authsome-probe {run_id} {}\n", address.ip());
    let mut answer = Vec::new();
    (&mut stream).take(LONGEST).read_to_end(&mut answer)?;
    if answer != expected.as_bytes() {
        return Err(io::Error::other("something else answered"));
    }
    Ok(())
}

/// Fallback tunnel devices that the kernel adds by itself are down, and stay so.
fn only_loopback() -> Result<(), ProbeError> {
    let unknown = |error: nix::Error| ProbeError::Interface { name: error.to_string() };
    for interface in getifaddrs().map_err(unknown)? {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        if up && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            return Err(ProbeError::Interface { name: interface.interface_name });
        }
    }
    Ok(())
}

/// QUIC must fail at once, so that clients fall back to TCP.
pub(crate) fn datagrams_are_refused() -> Result<(), ProbeError> {
    let address = SocketAddr::new(OUTSIDE_V4, HTTPS);
    let attempt = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(REFUSAL))?;
        socket.connect(address)?;
        socket.send(&[0])?;
        socket.recv(&mut [0])
    };
    let reason = match attempt() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
        Err(error) => error.to_string(),
        Ok(_) => "something answered".to_owned(),
    };
    Err(ProbeError::Datagram { address, reason })
}

fn resolve_by_udp() -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    // Connected, so that only an answer from the address that was asked counts.
    socket.connect(RESOLVER)?;
    let id = query_id();
    socket.send(&query(id))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    address_in(answer.get(..length).unwrap_or_default(), id)
}

fn resolve_by_tcp() -> io::Result<Ipv4Addr> {
    let mut stream = TcpStream::connect_timeout(&RESOLVER, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let id = query_id();
    let query = query(id);
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    address_in(&answer, id)
}

fn query_id() -> [u8; 2] {
    let [a, b, ..] = RandomState::new().hash_one(NAME).to_ne_bytes();
    [a, b]
}

/// A query for the A record of the probe's name (RFC 1035, section 4.1).
fn query(id: [u8; 2]) -> Vec<u8> {
    let mut query = id.to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in NAME {
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// The synthetic address (198.18.0.0/15, RFC 2544) in an answer to our query.
fn address_in(answer: &[u8], id: [u8; 2]) -> io::Result<Ipv4Addr> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let address = first_address(answer, id).ok_or_else(|| wrong("no address in the answer"))?;
    let [first, second, ..] = address.octets();
    if (first, second & 0xfe) != (198, 18) {
        return Err(wrong("the address is not one of the responder's"));
    }
    Ok(address)
}

fn first_address(answer: &[u8], id: [u8; 2]) -> Option<Ipv4Addr> {
    let (header, mut rest) = answer.split_first_chunk::<12>()?;
    let [id0, id1, flags, code, 0, 1, records0, records1, ..] = *header else { return None };
    if [id0, id1] != id || flags & 0x80 == 0 || code & 0x0f != 0 {
        return None;
    }
    rest = after_name(rest)?.get(4..)?;
    for _ in 0..u16::from_be_bytes([records0, records1]) {
        let (fixed, data) = after_name(rest)?.split_first_chunk::<10>()?;
        let [kind0, kind1, class0, class1, _, _, _, _, length0, length1] = *fixed;
        let length = usize::from(u16::from_be_bytes([length0, length1]));
        let (data, after) = data.split_at_checked(length)?;
        if [kind0, kind1, class0, class1] == [0, 1, 0, 1] {
            return Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        rest = after;
    }
    None
}

/// What follows a name, which ends with an empty label or a pointer.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            _ => bytes = rest.get(usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 2] = [7, 9];

    fn answer(address: [u8; 4]) -> Vec<u8> {
        let mut answer = query(ID);
        answer[2] = 0x81;
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
        answer
    }

    #[test]
    fn a_synthetic_address_is_found() {
        let address = address_in(&answer([198, 19, 0, 1]), ID).unwrap();
        assert_eq!(address, Ipv4Addr::new(198, 19, 0, 1));
    }

    #[test]
    fn another_address_is_no_proof() {
        assert!(address_in(&answer([192, 0, 2, 1]), ID).is_err());
    }

    #[test]
    fn the_answer_to_another_query_is_no_proof() {
        assert!(address_in(&answer([198, 18, 0, 1]), [7, 8]).is_err());
    }

    #[test]
    fn no_prefix_of_an_answer_passes() {
        let whole = answer([198, 18, 0, 1]);
        for length in 0..whole.len() {
            assert!(address_in(&whole[..length], ID).is_err(), "{length}");
        }
    }
}
