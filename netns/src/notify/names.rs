//! What a [`super::stand::Stand`] says of itself: what the socket would that it stands for.

use std::{net::SocketAddr, os::fd::OwnedFd};

use nix::libc;
use rustix::{
    io::Errno,
    net::{
        SocketAddrAny, getpeername, getsockname,
        sockopt::{set_ipv6_v6only, socket_domain},
    },
};

use super::{
    address, answer::Answer, mediator::Mediator, receive::write_name, sys::Request, target::Target,
};

impl Mediator {
    /// `getsockname`.
    pub(super) fn own_name(&self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        self.name(target, request, |real| getsockname(real))
    }

    /// `getpeername`.
    pub(super) fn peer_name(&self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        self.name(target, request, |real| getpeername(real)?.ok_or(Errno::NOTCONN))
    }

    fn name(
        &self,
        target: &Target,
        request: &Request,
        which: impl FnOnce(&OwnedFd) -> Result<SocketAddrAny, Errno>,
    ) -> Result<Answer, Errno> {
        let [number, at, length_at, ..] = request.args;
        let made = self.made.as_ref().ok_or(Errno::NOSYS)?;
        let Some(stand) = made.stand(target, number) else { return Ok(Answer::go_on()) };
        let name = which(stand.real())?;
        let name: SocketAddr = name.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
        let name = address::bytes(socket_domain(stand.real())?, name);
        let space = target.read(length_at, 4)?;
        let space = space.first_chunk().map_or(0, |space| u32::from_ne_bytes(*space));
        let length = write_name(target, &name, at, space)?;
        target.write(length_at, &length.to_ne_bytes())?;
        Ok(Ok(()).into())
    }

    /// `setsockopt`, of IP or UDP. The filter has seen that the option changes nothing about where a packet
    /// goes; so of a stand-in, only what decides which addresses it takes is carried out.
    pub(super) fn set_option(&self, target: &Target, request: &Request) -> Result<Answer, Errno> {
        let [number, level, name, at, ..] = request.args;
        let made = self.made.as_ref().ok_or(Errno::NOSYS)?;
        let Some(stand) = made.stand(target, number) else { return Ok(Answer::go_on()) };
        let is = |register: u64, value: i32| {
            register & u64::from(u32::MAX) == u64::from(value.cast_unsigned())
        };
        if is(level, libc::IPPROTO_IPV6) && is(name, libc::IPV6_V6ONLY) {
            let on = target.read(at, 4)?.iter().any(|byte| *byte != 0);
            set_ipv6_v6only(stand.real(), on)?;
        }
        Ok(Ok(()).into())
    }
}
