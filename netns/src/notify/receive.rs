//! What a socket receives that has asked the run's name server under another's address.
//!
//! A resolver that does not connect its socket (musl's) takes an answer only from the address that it asked.
//! Ours comes from the loopback; so for such a socket the call is carried out here, and says what was
//! expected. All other calls go on: receiving leads nowhere.

use std::{net::SocketAddr, os::fd::OwnedFd, sync::Arc};

use nix::libc;
use rustix::{
    fs::fstat,
    io::Errno,
    net::{AddressFamily, RecvFlags, recvfrom, sockopt::socket_domain},
};

use super::{
    address,
    answer::{Answer, counted},
    mediator::Mediator,
    packet::Places,
    sys::{Reply, Request, waits},
    target::Target,
};

/// No answer of the name server is longer.
const LONGEST: usize = 4096;
/// Sockets that are remembered, at most. They are short-lived: the rest is forgotten.
const MOST: usize = 4096;

/// Something that was received.
struct Received {
    data: Vec<u8>,
    from: Vec<u8>,
}

impl Mediator {
    /// Remembers which name server a socket has asked.
    pub(super) fn note_asked(&mut self, socket: &OwnedFd, server: SocketAddr) -> Result<(), Errno> {
        if self.asked.len() >= MOST {
            self.asked.clear();
        }
        self.asked.insert(fstat(socket)?.st_ino, server);
        Ok(())
    }

    /// `recvfrom`, with a place for the address.
    pub(super) fn receive_from(&self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, _, _, flags, ..] = request.args;
        self.receive(target, request, number, flags, deliver)
    }

    /// `recvmsg`.
    pub(super) fn receive_message(
        &self,
        target: &Target,
        request: &Request,
    ) -> Result<Answer, Errno> {
        let [number, _, flags, ..] = request.args;
        self.receive(target, request, number, flags, deliver_message)
    }

    fn receive(
        &self,
        target: &Target,
        request: &Request,
        number: u64,
        flags: u64,
        deliver: Deliver,
    ) -> Result<Answer, Errno> {
        let has = |flag: i32| flags & u64::from(flag.cast_unsigned()) != 0;
        let kept = if has(libc::MSG_PEEK) { RecvFlags::PEEK } else { RecvFlags::empty() };
        if let Some(made) = &self.made {
            let Some(stand) = made.stand(target, number) else { return Ok(Answer::go_on()) };
            let naming = self.naming(stand.real())?;
            return match stand.receive(kept) {
                Ok((data, from)) => {
                    let count = deliver(target, request, &naming.received(data, from))?;
                    Ok(Answer::count(count))
                }
                // The kernel would wait, but not know from whom it is.
                Err(Errno::AGAIN) if !has(libc::MSG_DONTWAIT) && stand.is_patient()? => {
                    let (listener, request) = (Arc::clone(&self.listener), *request);
                    Ok(Answer::Later(Box::new(move || {
                        let received = stand.wait(kept, || waits(&listener, request.id)).and_then(
                            |(data, from)| {
                                let target = Target::open(&request)?;
                                if !waits(&listener, request.id) {
                                    return Err(Errno::SRCH);
                                }
                                deliver(&target, &request, &naming.received(data, from))
                            },
                        );
                        match received {
                            Ok(count) => counted(count),
                            Err(error) => Reply::Error(error.raw_os_error()),
                        }
                    })))
                }
                Err(error) => Err(error),
            };
        }
        if self.asked.is_empty() {
            return Ok(Answer::go_on());
        }
        let socket = target.descriptor(number)?;
        let naming = self.naming(&socket)?;
        if naming.asked.is_none() {
            return Ok(Answer::go_on());
        }
        let mut data = vec![0; LONGEST];
        let (length, from) =
            match recvfrom(&socket, data.as_mut_slice(), kept | RecvFlags::DONTWAIT) {
                Ok((length, _, from)) => (length, from),
                // The kernel waits better than we do.
                Err(Errno::AGAIN) => return Ok(Answer::go_on()),
                Err(error) => return Err(error),
            };
        data.truncate(length);
        let from: SocketAddr = from.ok_or(Errno::IO)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        Ok(Answer::count(deliver(target, request, &naming.received(data, from))?))
    }

    fn naming(&self, socket: &OwnedFd) -> Result<Naming, Errno> {
        let family = socket_domain(socket)?;
        let asked = self.asked.get(&fstat(socket)?.st_ino).copied();
        Ok(Naming { family, ours: self.ours(socket, family, |family| family.dns_udp)?, asked })
    }
}

/// Puts what was received where a call wants it; how much of it.
type Deliver = fn(&Target, &Request, &Received) -> Result<usize, Errno>;

/// From whom a socket is told that it has received.
struct Naming {
    family: AddressFamily,
    /// Where our name server is.
    ours: SocketAddr,
    /// Whom the socket has asked.
    asked: Option<SocketAddr>,
}

impl Naming {
    fn received(&self, data: Vec<u8>, from: SocketAddr) -> Received {
        let from = self.asked.filter(|_| from == self.ours).unwrap_or(from);
        Received { data, from: address::bytes(self.family, from) }
    }
}

fn deliver(target: &Target, request: &Request, received: &Received) -> Result<usize, Errno> {
    let [_, at, room, _, name, name_length] = request.args;
    let length = received.data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
    target.write(at, received.data.get(..length).unwrap_or_default())?;
    let space = target.read(name_length, 4)?;
    let space = space.first_chunk().map_or(0, |space| u32::from_ne_bytes(*space));
    let space = write_name(target, &received.from, name, space)?;
    target.write(name_length, &space.to_ne_bytes())?;
    Ok(length)
}

fn deliver_message(
    target: &Target,
    request: &Request,
    received: &Received,
) -> Result<usize, Errno> {
    let [_, header, ..] = request.args;
    let places = Places::read(target, header)?;
    let mut rest = received.data.as_slice();
    for (at, length) in places.pieces {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        target.write(at, piece)?;
        rest = after;
    }
    if places.name != 0 {
        let length = write_name(target, &received.from, places.name, places.name_length)?;
        target.write(header.wrapping_add(8), &length.to_ne_bytes())?;
    }
    // No control data, and whether all of it had room (recv(2)).
    target.write(header.wrapping_add(40), &0_u64.to_ne_bytes())?;
    let flags = if rest.is_empty() { 0 } else { libc::MSG_TRUNC };
    target.write(header.wrapping_add(48), &flags.to_ne_bytes())?;
    Ok(received.data.len() - rest.len())
}

/// Writes the address into `space` bytes, and returns how long it is.
pub(super) fn write_name(target: &Target, name: &[u8], at: u64, space: u32) -> Result<u32, Errno> {
    let length = name.len().min(usize::try_from(space).unwrap_or_default());
    target.write(at, name.get(..length).unwrap_or_default())?;
    Ok(u32::try_from(name.len()).unwrap_or_default())
}
