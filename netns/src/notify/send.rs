//! Sends that name a destination, or could: carried out on the command's own socket, with what was read.
//!
//! Streams and local sockets go where they are connected to, whatever the message says. A datagram of IP goes
//! to the run's name server or to the command itself, without control data: it could name an interface.

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::{
    fs::{OFlags, fcntl_getfl},
    io::Errno,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
        SocketType, sendmsg, sendmsg_addr,
        sockopt::{socket_domain, socket_type},
    },
};

use super::{
    address::Address,
    answer::{Answer, counted},
    mediator::Mediator,
    packet::{HEADER_OF_MANY, Packet},
    places::Transport,
    sys::{Reply, Request, waits},
    target::Target,
    unix,
};

/// Flags that a send may keep.
const KEPT: SendFlags = SendFlags::MORE
    .union(SendFlags::OOB)
    .union(SendFlags::EOR)
    .union(SendFlags::CONFIRM)
    .union(SendFlags::DONTROUTE);
/// Descriptors in one message; the kernel takes 253 (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;
/// Messages in one call; the kernel's own limit (`UIO_MAXIOV`).
const MOST_MESSAGES: u64 = 1024;
/// How often a send that waits for room looks whether anybody still waits for it, in milliseconds.
const LOOK: u16 = 500;

/// Where a send goes.
enum Way {
    /// Where the socket is connected to.
    Connected,
    /// To an address.
    Inet(SocketAddr),
    /// To a local socket, which stays open until then.
    Unix(SocketAddrUnix, #[expect(dead_code, reason = "kept open: the address names it")] OwnedFd),
}

/// A send that is decided about.
struct Sending {
    socket: OwnedFd,
    way: Way,
    data: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    flags: SendFlags,
}

impl Mediator {
    /// `sendto`, with an address.
    pub(super) fn send_to(&mut self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, _, _, flags, ..] = request.args;
        if self.harmless(target, number) {
            return Ok(Answer::go_on());
        }
        let packet = Packet::plain(target, &request.args)?;
        self.send(target, request, number, packet, flags)
    }

    /// `sendmsg`.
    pub(super) fn send_message(
        &mut self,
        target: &Target,
        request: &Request,
    ) -> Result<Answer, Errno> {
        let [number, at, flags, ..] = request.args;
        if self.harmless(target, number) {
            return Ok(Answer::go_on());
        }
        let packet = Packet::read(target, at)?;
        self.send(target, request, number, packet, flags)
    }

    /// `sendmmsg`: as many as can be sent at once, and the first even if that takes time.
    pub(super) fn send_messages(
        &mut self,
        target: &Target,
        request: &Request,
    ) -> Result<Answer, Errno> {
        let [number, at, count, flags, ..] = request.args;
        if self.harmless(target, number) {
            return Ok(Answer::go_on());
        }
        let count = (count & u64::from(u32::MAX)).min(MOST_MESSAGES);
        let mut sent = 0;
        for index in 0..count {
            let at = at.wrapping_add(index * HEADER_OF_MANY);
            let one = Packet::read(target, at)
                .and_then(|packet| self.sending(target, number, packet, flags))
                .and_then(|sending| sending.attempt());
            match one {
                Ok(length) => {
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    // Behind the header (sendmmsg(2)).
                    target.write(at.wrapping_add(56), &length.to_ne_bytes())?;
                    sent += 1;
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::count(sent))
    }

    /// May the kernel send? Where no socket of the command's can reach more than it is connected to, whatever
    /// is put in this one's place; a stand-in's addresses are looked at here.
    fn harmless(&self, target: &Target, number: u64) -> bool {
        self.made.as_ref().is_some_and(|made| made.stand(target, number).is_none())
    }

    fn send(
        &mut self,
        target: &Target,
        request: &Request,
        number: u64,
        packet: Packet,
        flags: u64,
    ) -> Result<Answer, Errno> {
        let sending = self.sending(target, number, packet, flags)?;
        let patient = !has(flags, libc::MSG_DONTWAIT)
            && !fcntl_getfl(&sending.socket)?.contains(OFlags::NONBLOCK);
        match sending.attempt() {
            Err(Errno::AGAIN) if patient => {
                let (listener, id) = (Arc::clone(&self.listener), request.id);
                Ok(Answer::Later(Box::new(move || sending.wait(&listener, id))))
            }
            sent => Ok(Answer::count(sent?)),
        }
    }

    fn sending(
        &mut self,
        target: &Target,
        number: u64,
        packet: Packet,
        flags: u64,
    ) -> Result<Sending, Errno> {
        let socket = self.descriptor(target, number)?;
        let (family, kind) = (socket_domain(&socket)?, socket_type(&socket)?);
        let stream = kind == SocketType::STREAM;
        let Packet { to, data, whole, descriptors } = packet;
        if !whole && !stream {
            return Err(Errno::MSGSIZE);
        }
        let inet = family == AddressFamily::INET || family == AddressFamily::INET6;
        let way = match to {
            None => Way::Connected,
            // TCP does not look at it.
            Some(_) if inet && stream => Way::Connected,
            Some(Address::Inet(wanted)) if inet => {
                let peer = self.datagram(&socket, family, wanted)?;
                if wanted.port() == super::connect::DNS {
                    self.note_asked(&socket, wanted)?;
                }
                Way::Inet(peer)
            }
            Some(Address::Path(_)) if stream => return Err(Errno::ISCONN),
            Some(Address::Path(name)) if family == AddressFamily::UNIX => {
                let (address, file) = unix::find(target, &name, &self.hidden)?;
                Way::Unix(address, file)
            }
            Some(Address::Netlink { port: 0, groups: 0 }) if family == AddressFamily::NETLINK => {
                Way::Connected
            }
            Some(_) => return Err(Errno::CONNREFUSED),
        };
        let descriptors = if family == AddressFamily::UNIX { descriptors } else { Vec::new() };
        let flags =
            SendFlags::from_bits_retain(u32::try_from(flags & u64::from(u32::MAX)).unwrap_or(0));
        let flags = flags.intersection(KEPT) | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(Sending { socket, way, data, descriptors, flags })
    }

    /// Where a datagram may go: to the run's name server for port 53, to the command's own sockets on the
    /// loopback, nowhere else. A socket without an address gets one here, so that nobody outside can send to it.
    pub(super) fn datagram(
        &mut self,
        socket: &OwnedFd,
        family: AddressFamily,
        wanted: SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        self.settle(socket, family)?;
        if wanted.port() == super::connect::DNS {
            return self.ours(socket, family, |family| family.dns_udp);
        }
        if !super::address::is_local(wanted.ip()) {
            return Err(Errno::CONNREFUSED);
        }
        let at = self.places.find(Transport::Udp, wanted).ok_or(Errno::CONNREFUSED)?;
        let peer = super::connect::for_family(family, at)?;
        // Whoever gets this can answer.
        self.places.note(socket)?;
        Ok(peer)
    }
}

impl Sending {
    fn attempt(&self) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors))
        {
            return Err(Errno::TOOMANYREFS);
        }
        let pieces = [IoSlice::new(&self.data)];
        match &self.way {
            Way::Connected => sendmsg(&self.socket, &pieces, &mut ancillary, self.flags),
            Way::Inet(address) => {
                sendmsg_addr(&self.socket, address, &pieces, &mut ancillary, self.flags)
            }
            Way::Unix(address, _) => {
                sendmsg_addr(&self.socket, address, &pieces, &mut ancillary, self.flags)
            }
        }
    }

    /// Until there is room, or nobody waits any more.
    fn wait(&self, listener: &OwnedFd, id: u64) -> Reply {
        loop {
            let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
            // What goes wrong with the socket, the next attempt tells.
            let _ = poll(&mut waiting, PollTimeout::from(LOOK));
            match self.attempt() {
                Err(Errno::AGAIN) if waits(listener, id) => {}
                Ok(count) => return counted(count),
                Err(error) => return Reply::Error(error.raw_os_error()),
            }
        }
    }
}

fn has(flags: u64, flag: i32) -> bool {
    flags & u64::from(flag.cast_unsigned()) != 0
}
