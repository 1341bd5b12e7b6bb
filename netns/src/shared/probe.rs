//! The proof that the redirect does what it is for, by the guard and before anybody serves.
//!
//! A connection to a documentation address (RFC 5737, RFC 3849) that comes to our own listener has been
//! redirected: nobody has that address. Where there is no route to one, an address of the namespace's
//! own serves, loopback excepted, which is not redirected.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::ifaddrs::getifaddrs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use super::{Error, Wanted};
use crate::probe::{ANSWER, HTTPS, OUTSIDE_V4, OUTSIDE_V6, REFUSAL, intercepted};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Destinations whose connections came to the listener.
    pub redirected: Vec<SocketAddr>,
}

/// Addresses that stand for the outside, as far as there is a route to them.
#[must_use]
pub fn outside() -> Vec<SocketAddr> {
    let all = [OUTSIDE_V4, OUTSIDE_V6].into_iter();
    all.filter(|ip| there_is_a_way(*ip)).map(|ip| SocketAddr::new(ip, HTTPS)).collect()
}

/// Where to knock, of each family that leads somewhere: [`outside`], or addresses of the namespace's own.
#[must_use]
pub fn targets() -> Vec<SocketAddr> {
    [OUTSIDE_V4, OUTSIDE_V6].into_iter().filter_map(target).collect()
}

/// Proves that a connection to `address`, one of [`targets`], is served by the interceptor of this run.
///
/// # Errors
/// It is not.
pub fn arrives(address: SocketAddr, run_id: &str) -> Result<(), Error> {
    intercepted(address, run_id)
        .map_err(|error| Error::NotRedirected { address, reason: error.to_string() })
}

/// Proves that a connection to `address`, one of [`outside`], is refused at once: it is redirected, and
/// nobody serves it. That of an address of one's own would be refused without any rule.
///
/// # Errors
/// It is let out, or somebody answers.
pub fn is_closed(address: SocketAddr) -> Result<(), Error> {
    let reason = match TcpStream::connect_timeout(&address, REFUSAL) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
        Err(error) => error.to_string(),
        Ok(_) => "something answered".to_owned(),
    };
    Err(Error::NotRedirected { address, reason })
}

pub(super) fn prove(
    listener: BorrowedFd<'_>,
    ipv6: bool,
    own: &dyn Fn(Wanted) -> io::Result<OwnedFd>,
) -> Result<Proof, Error> {
    let mut proof = Proof::default();
    let families = [(OUTSIDE_V4, Wanted::TcpV4), (OUTSIDE_V6, Wanted::TcpV6)];
    for (outside, wanted) in families.into_iter().filter(|(ip, _)| ipv6 || ip.is_ipv4()) {
        let Some(address) = target(outside) else { continue };
        datagrams_are_refused(address)?;
        connections_arrive(listener, address, &own(wanted).map_err(Error::Mark)?)?;
        proof.redirected.push(address);
    }
    if proof.redirected.is_empty() { Err(Error::NoNetwork) } else { Ok(proof) }
}

/// Where to knock for this family.
fn target(outside: IpAddr) -> Option<SocketAddr> {
    let ip = if there_is_a_way(outside) { outside } else { own_address(outside.is_ipv4())? };
    Some(SocketAddr::new(ip, HTTPS))
}

/// Connecting a datagram socket sends nothing: it looks for a route.
fn there_is_a_way(ip: IpAddr) -> bool {
    UdpSocket::bind((any(ip), 0)).and_then(|socket| socket.connect((ip, HTTPS))).is_ok()
}

/// The unspecified address of the same family.
fn any(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }
}

fn own_address(ipv4: bool) -> Option<IpAddr> {
    getifaddrs().ok()?.find_map(|interface| {
        let address = interface.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (None, Some(v6)) => IpAddr::V6(v6.ip()),
            (None, None) => return None,
        };
        let local = match ip {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
        };
        (ip.is_ipv4() == ipv4 && !local).then_some(ip)
    })
}

/// First one of our own, which must not come, then one of anybody's, which must.
fn connections_arrive(
    listener: BorrowedFd<'_>,
    address: SocketAddr,
    own: &OwnedFd,
) -> Result<(), Error> {
    let wrong = |error: io::Error| Error::NotRedirected { address, reason: error.to_string() };
    // It may be refused at once, be on its way for long, or find no way: it is not to come here.
    let _ = SockRef::from(own).connect(&address.into());
    let own_at = SockRef::from(own).local_addr().ok().and_then(|at| at.as_socket());
    let domain = Domain::for_address(address);
    let agents = Socket::new(domain, Type::STREAM.nonblocking(), None).map_err(wrong)?;
    match agents.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        Err(error) => return Err(wrong(error)),
    }
    let expected = agents.local_addr().map_err(wrong)?.as_socket();
    let deadline = Instant::now() + ANSWER;
    loop {
        let peer = accept(listener, deadline).map_err(wrong)?;
        if Some(peer) == expected.map(canonical) {
            return Ok(());
        }
        if Some(peer) == own_at.map(canonical) {
            return Err(Error::OwnRedirected { address });
        }
        // Somebody else's, who was too early.
    }
}

/// The peer of the next connection, which is closed again.
fn accept(listener: BorrowedFd<'_>, deadline: Instant) -> io::Result<SocketAddr> {
    let left = deadline.saturating_duration_since(Instant::now());
    if !readable(listener, left)? {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not arrive"));
    }
    let (_, peer) = SockRef::from(&listener).accept()?;
    let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(canonical(peer))
}

fn readable(descriptor: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut waiting = [PollFd::new(&descriptor, PollFlags::IN)];
    Ok(poll(&mut waiting, Some(&limit))? > 0)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Proves that a datagram to `address`, one of [`targets`], does not leave. The rule's refusal is seen at
/// once, as an error of the call that sends or of the one after.
///
/// # Errors
/// It is not refused.
pub fn datagrams_are_refused(address: SocketAddr) -> Result<(), Error> {
    let attempt = || {
        let socket = UdpSocket::bind((any(address.ip()), 0))?;
        socket.set_read_timeout(Some(REFUSAL))?;
        socket.connect(address)?;
        socket.send(&[0])?;
        socket.recv(&mut [0])
    };
    let reason = match attempt() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(());
        }
        Err(error) => error.to_string(),
        Ok(_) => "something answered".to_owned(),
    };
    Err(Error::Datagram { address, reason })
}
