//! `connect`, `bind` and `listen`, carried out on the command's own socket.
//!
//! A connection goes to a listener of ours, and its other end is handed on with the destination. What the
//! command offers itself, it offers on the loopback only: a listener that the network reaches would be a way
//! in, and so a way out.

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::{Errno, fcntl_dupfd_cloexec},
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, bind,
        connect, connect_unspec, getpeername, getsockname, listen, sendmsg,
        sockopt::{ipv6_v6only, socket_domain, socket_type},
    },
};

use super::{
    address::{Address, is_local, mapped},
    answer::{Answer, done},
    listening::Family,
    made::Past,
    mediator::Mediator,
    packet,
    places::Transport,
    sys::{Reply, Request},
    target::Target,
    unix,
};

/// Where names are asked for.
pub(super) const DNS: u16 = 53;

impl Mediator {
    /// `connect`.
    pub(super) fn connect(&mut self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, at, length, ..] = request.args;
        let socket = self.descriptor(target, number)?;
        let address = packet::address(target, at, length)?;
        let (family, kind) = (socket_domain(&socket)?, socket_type(&socket)?);
        match (address, family) {
            (Address::Unspecified, _) => Ok(connect_unspec(&socket).into()),
            (Address::Inet(wanted), AddressFamily::INET | AddressFamily::INET6) => {
                if kind == SocketType::STREAM {
                    let answer =
                        self.connect_stream(fcntl_dupfd_cloexec(&socket, 0)?, family, wanted)?;
                    Ok(self.let_go(socket, answer))
                } else {
                    let peer = self.datagram(&socket, family, wanted)?;
                    Ok(connect(&socket, &peer).into())
                }
            }
            (Address::Path(name), AddressFamily::UNIX) => {
                let (address, file) = unix::find(target, &name, &self.hidden)?;
                let at_once = fcntl_getfl(&socket)?.contains(OFlags::NONBLOCK);
                let connecting = fcntl_dupfd_cloexec(&socket, 0)?;
                let action = move || {
                    let result = connect(&connecting, &address);
                    drop(file);
                    done(result)
                };
                let answer =
                    if at_once { Answer::Now(action()) } else { Answer::Later(Box::new(action)) };
                Ok(self.let_go(socket, answer))
            }
            // One that has no file cannot be told from those of other programs.
            (Address::Abstract, AddressFamily::UNIX) => Err(Errno::CONNREFUSED),
            _ => Err(Errno::AFNOSUPPORT),
        }
    }

    /// Keeps no duplicate of a socket that has been connected, where one is kept.
    fn let_go(&self, socket: OwnedFd, answer: Answer) -> Answer {
        let Some(made) = self.made.clone() else { return answer };
        let finish = move |reply: Reply| {
            let under_way = Reply::Error(Errno::INPROGRESS.raw_os_error());
            if reply == Reply::Value(0) || reply == under_way {
                made.let_go(&socket, Past::Connected);
            }
            reply
        };
        match answer {
            Answer::Now(reply) => Answer::Now(finish(reply)),
            Answer::Later(action) => Answer::Later(Box::new(move || finish(action()))),
            Answer::Given => Answer::Given,
        }
    }

    fn connect_stream(
        &self,
        socket: OwnedFd,
        family: AddressFamily,
        wanted: SocketAddr,
    ) -> Result<Answer, Errno> {
        if wanted.port() == 0 {
            return Err(Errno::CONNREFUSED);
        }
        if wanted.port() == DNS {
            let peer = self.ours(&socket, family, |family| family.dns_tcp)?;
            return Ok(connect(&socket, &peer).into());
        }
        if is_local(wanted.ip()) && !self.host_ports.contains(&wanted.port()) {
            let at = self.places.find(Transport::Tcp, wanted).ok_or(Errno::CONNREFUSED)?;
            let peer = for_family(family, at)?;
            // Its queue may be full.
            return Ok(if fcntl_getfl(&socket)?.contains(OFlags::NONBLOCK) {
                connect(&socket, &peer).into()
            } else {
                Answer::Later(Box::new(move || done(connect(&socket, &peer))))
            });
        }
        let peer = self.ours(&socket, family, |family| family.at)?;
        let meeting = match (&self.listening.v6, peer.ip().to_canonical()) {
            (Some(v6), IpAddr::V6(_)) => v6,
            _ => &self.listening.v4,
        };
        if getpeername(&socket).is_ok() {
            // It asks how its connection is doing: the kernel says that it is there.
            return Ok(connect(&socket, &peer).into());
        }
        meeting.send_away().map_err(|_| Errno::CONNREFUSED)?;
        let connected = connect(&socket, &peer);
        if !matches!(connected, Ok(()) | Err(Errno::INPROGRESS)) {
            return Ok(connected.into());
        }
        // From here on the socket is connected to us, and to nobody else until it is handed on.
        let own: SocketAddr = getsockname(&socket)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        let other_end = meeting.meet(own).map_err(|_| Errno::CONNREFUSED)?;
        self.hand_on(&other_end, wanted)?;
        Ok(connected.into())
    }

    fn hand_on(&self, connection: &OwnedFd, wanted: SocketAddr) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [connection.as_fd()];
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Errno::NOBUFS);
        }
        let text = wanted.to_string();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.listening.hand, &[IoSlice::new(text.as_bytes())], &mut ancillary, flags)
            // Whoever serves has more waiting than it can take.
            .map_err(|_| Errno::CONNREFUSED)?;
        Ok(())
    }

    /// One of our own addresses that this socket can reach.
    pub(super) fn ours(
        &self,
        socket: &OwnedFd,
        family: AddressFamily,
        which: impl Fn(&Family) -> SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        let v4 = which(&self.listening.v4);
        if family == AddressFamily::INET {
            return Ok(v4);
        }
        let own: Option<SocketAddr> = getsockname(socket).ok().and_then(|own| own.try_into().ok());
        let is_v4 = own.is_some_and(|own| own.ip().to_canonical().is_ipv4());
        match &self.listening.v6 {
            Some(v6) if !is_v4 => Ok(which(v6)),
            _ => Ok(mapped(v4)),
        }
    }

    /// `bind`: on the loopback, wherever the command wants it.
    pub(super) fn bind(&mut self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, at, length, ..] = request.args;
        let socket = match self.descriptor(target, number) {
            // One for netlink, or one that is somewhere already.
            Err(Errno::ACCESS | Errno::ISCONN) if self.made.is_some() => return Ok(Answer::go_on()),
            socket => socket?,
        };
        let family = socket_domain(&socket)?;
        if family != AddressFamily::INET && family != AddressFamily::INET6 {
            // Reaches no network. Were another socket put in its place meanwhile, it would get an address that
            // does not let it listen (see below).
            return Ok(Answer::go_on());
        }
        let Address::Inet(wanted) = packet::address(target, at, length)? else {
            return Err(Errno::AFNOSUPPORT);
        };
        let own = own_address(&socket, family, wanted)?;
        match (bind(&socket, &own), &self.made) {
            // It may be taken by a duplicate of ours.
            (Err(Errno::ADDRINUSE), Some(made)) => {
                made.collect();
                bind(&socket, &own)?;
            }
            (bound, _) => bound?,
        }
        if socket_type(&socket)? == SocketType::DGRAM {
            self.places.note(&socket)?;
        }
        Ok(Ok(()).into())
    }

    /// `listen`: only where [`Self::bind`] put it.
    pub(super) fn listen(&mut self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, backlog, ..] = request.args;
        if let Some(made) = &self.made
            && made.past(target, number) == Some(Past::Listens)
        {
            return Ok(Ok(()).into());
        }
        let socket = self.descriptor(target, number)?;
        let family = socket_domain(&socket)?;
        if family == AddressFamily::INET || family == AddressFamily::INET6 {
            self.settle(&socket, family)?;
            self.places.note(&socket)?;
        }
        let backlog = u32::try_from(backlog & u64::from(u32::MAX)).unwrap_or_default();
        listen(&socket, backlog.cast_signed())?;
        if let Some(made) = &self.made {
            made.let_go(&socket, Past::Listens);
        }
        Ok(Ok(()).into())
    }

    /// Gives a socket of IP that has no address one on the loopback, and refuses one that is elsewhere.
    pub(super) fn settle(&self, socket: &OwnedFd, family: AddressFamily) -> Result<(), Errno> {
        let own: SocketAddr = getsockname(socket)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        let ip = own.ip().to_canonical();
        if ip.is_loopback() {
            Ok(())
        } else if ip.is_unspecified() && own.port() == 0 {
            bind(socket, &own_address(socket, family, own)?)
        } else {
            Err(Errno::ACCESS)
        }
    }
}

/// Where a socket is bound that is to be bound to `wanted`. One that would take both families takes IPv4's
/// loopback: our own connections find it there by either name.
fn own_address(
    socket: &OwnedFd,
    family: AddressFamily,
    wanted: SocketAddr,
) -> Result<SocketAddr, Errno> {
    let (ip, port) = (wanted.ip(), wanted.port());
    if !is_local(ip) {
        return Err(Errno::ADDRNOTAVAIL);
    }
    if family == AddressFamily::INET {
        let ip = if ip.is_loopback() { ip } else { Ipv4Addr::LOCALHOST.into() };
        return Ok(SocketAddr::new(ip, port));
    }
    let ip = match ip {
        IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(ip),
        IpAddr::V6(_) if ipv6_v6only(socket)? => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(ip),
        IpAddr::V4(_) | IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
    };
    Ok(mapped(SocketAddr::new(ip, port)))
}

/// An address as a socket of `family` has it.
pub(super) fn for_family(family: AddressFamily, at: SocketAddr) -> Result<SocketAddr, Errno> {
    let plain = SocketAddr::new(at.ip().to_canonical(), at.port());
    match (family, plain) {
        (AddressFamily::INET, SocketAddr::V4(_)) => Ok(plain),
        (AddressFamily::INET6, _) => Ok(mapped(plain)),
        _ => Err(Errno::CONNREFUSED),
    }
}
