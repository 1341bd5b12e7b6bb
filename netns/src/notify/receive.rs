//! What a socket receives that has asked the run's name server under another's address.
//!
//! A resolver that does not connect its socket (musl's) takes an answer only from the address that it asked.
//! Ours comes from the loopback; so for such a socket the call is carried out here, and says what was
//! expected. All other calls go on: receiving leads nowhere.

use std::{net::SocketAddr, os::fd::OwnedFd};

use nix::libc;
use rustix::{
    fs::fstat,
    io::Errno,
    net::{RecvFlags, recvfrom, sockopt::socket_domain},
};

use super::{
    address, answer::Answer, mediator::Mediator, packet::Places, sys::Request, target::Target,
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
        let [number, at, room, flags, name, name_length] = request.args;
        let Some(received) = self.receive(target, number, flags)? else {
            return Ok(Answer::go_on());
        };
        let length = received.data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        target.write(at, received.data.get(..length).unwrap_or_default())?;
        let space = target.read(name_length, 4)?;
        let space = space.first_chunk().map_or(0, |space| u32::from_ne_bytes(*space));
        target.write(name_length, &write_name(target, &received, name, space)?.to_ne_bytes())?;
        Ok(Answer::count(length))
    }

    /// `recvmsg`.
    pub(super) fn receive_message(
        &self,
        target: &Target,
        request: &Request,
    ) -> Result<Answer, Errno> {
        let [number, header, flags, ..] = request.args;
        let Some(received) = self.receive(target, number, flags)? else {
            return Ok(Answer::go_on());
        };
        let places = Places::read(target, header)?;
        let mut rest = received.data.as_slice();
        for (at, length) in places.pieces {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            target.write(at, piece)?;
            rest = after;
        }
        if places.name != 0 {
            let length = write_name(target, &received, places.name, places.name_length)?;
            target.write(header.wrapping_add(8), &length.to_ne_bytes())?;
        }
        // No control data, and whether all of it had room (recv(2)).
        target.write(header.wrapping_add(40), &0_u64.to_ne_bytes())?;
        let flags = if rest.is_empty() { 0 } else { libc::MSG_TRUNC };
        target.write(header.wrapping_add(48), &flags.to_ne_bytes())?;
        Ok(Answer::count(received.data.len() - rest.len()))
    }

    /// An answer of the name server's; none if there is none, or the socket is another.
    fn receive(&self, target: &Target, number: u64, flags: u64) -> Result<Option<Received>, Errno> {
        if self.asked.is_empty() {
            return Ok(None);
        }
        let socket = target.descriptor(number)?;
        let Some(server) = self.asked.get(&fstat(&socket)?.st_ino) else { return Ok(None) };
        let peek = flags & u64::from(libc::MSG_PEEK.cast_unsigned()) != 0;
        let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
        let mut data = vec![0; LONGEST];
        let (length, from) =
            match recvfrom(&socket, data.as_mut_slice(), flags | RecvFlags::DONTWAIT) {
                Ok((length, _, from)) => (length, from),
                // The kernel waits better than we do.
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error),
            };
        data.truncate(length);
        let from: SocketAddr = from.ok_or(Errno::IO)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        let family = socket_domain(&socket)?;
        let ours = self.ours(&socket, family, |family| family.dns_udp)?;
        let from = if from == ours { *server } else { from };
        Ok(Some(Received { data, from: address::bytes(family, from) }))
    }
}

/// Writes the address into `space` bytes, and returns how long it is.
fn write_name(target: &Target, received: &Received, at: u64, space: u32) -> Result<u32, Errno> {
    let length = received.from.len().min(usize::try_from(space).unwrap_or_default());
    target.write(at, received.from.get(..length).unwrap_or_default())?;
    Ok(u32::try_from(received.from.len()).unwrap_or_default())
}
