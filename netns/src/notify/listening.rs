//! The supervisor's own sockets on the loopback, and the one over which connections are handed on.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        setsockopt,
        sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo},
    },
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::{listen::Bound, message::ListenerKind};

/// How long a connection to ourselves may take. It needs no other process.
const MEETING: Duration = Duration::from_secs(2);

/// Sockets of one family.
#[derive(Debug)]
pub(super) struct Family {
    /// Where the command's connections go.
    pub(super) meeting: TcpListener,
    /// Its address.
    pub(super) at: SocketAddr,
    /// Where queries go over UDP.
    pub(super) dns_udp: SocketAddr,
    /// Where queries go over TCP.
    pub(super) dns_tcp: SocketAddr,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Listening {
    /// IPv4, which is always there.
    pub(super) v4: Family,
    /// IPv6, where the machine has it.
    pub(super) v6: Option<Family>,
    /// Connections leave through this.
    pub(super) hand: OwnedFd,
}

impl Listening {
    /// Makes them, and those for whoever serves.
    pub(super) fn bind() -> io::Result<(Self, Vec<Bound>)> {
        let mut bound = Vec::new();
        let v4 = Family::bind(Ipv4Addr::LOCALHOST.into(), &mut bound)?;
        let v6 = match Family::bind(Ipv6Addr::LOCALHOST.into(), &mut bound) {
            Ok(family) => Some(family),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                ) =>
            {
                None
            }
            // EAFNOSUPPORT has no kind.
            Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => None,
            Err(error) => return Err(error),
        };
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (hand, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        bound.push((ListenerKind::Handed, theirs));
        Ok((Self { v4, v6, hand }, bound))
    }
}

impl Family {
    fn bind(ip: IpAddr, bound: &mut Vec<Bound>) -> io::Result<Self> {
        let any = SocketAddr::new(ip, 0);
        let meeting = TcpListener::bind(any)?;
        meeting.set_nonblocking(true)?;
        let (dns_udp, dns_tcp) = (UdpSocket::bind(any)?, TcpListener::bind(any)?);
        if ip.is_ipv4() {
            setsockopt(&dns_udp, Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&dns_udp, Ipv6RecvPacketInfo, &true)?;
        }
        let family = Self {
            at: meeting.local_addr()?,
            meeting,
            dns_udp: dns_udp.local_addr()?,
            dns_tcp: dns_tcp.local_addr()?,
        };
        bound.push((ListenerKind::DnsUdp, dns_udp.into()));
        bound.push((ListenerKind::DnsTcp, dns_tcp.into()));
        Ok(family)
    }

    /// Sends away whoever has knocked: nobody is expected yet, and a full queue would keep the next one out.
    pub(super) fn send_away(&self) -> io::Result<()> {
        loop {
            match self.meeting.accept() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The other end of a connection that was made from `own`. Whoever else knocks is sent away.
    pub(super) fn meet(&self, own: SocketAddr) -> io::Result<OwnedFd> {
        let wanted = (own.ip().to_canonical(), own.port());
        loop {
            match self.meeting.accept() {
                Ok((stream, peer)) if (peer.ip().to_canonical(), peer.port()) == wanted => {
                    return Ok(stream.into());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut waiting = [PollFd::new(self.meeting.as_fd(), PollFlags::POLLIN)];
                    let limit = PollTimeout::try_from(MEETING).unwrap_or(PollTimeout::ZERO);
                    if poll(&mut waiting, limit)? == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                // One that was aborted before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn only_the_connection_that_is_expected_is_met() {
        let (listening, bound) = Listening::bind().unwrap();
        let stranger = TcpStream::connect(listening.v4.at).unwrap();
        let own = TcpStream::connect(listening.v4.at).unwrap();
        let met = TcpStream::from(listening.v4.meet(own.local_addr().unwrap()).unwrap());
        assert_eq!(met.peer_addr().unwrap(), own.local_addr().unwrap());
        assert_ne!(met.peer_addr().unwrap(), stranger.local_addr().unwrap());
        assert!(bound.iter().any(|(kind, _)| *kind == ListenerKind::Handed));
    }
}
