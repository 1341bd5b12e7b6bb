//! The redirect itself: listeners, rules, and the guard's watch over them.

use std::{
    io,
    num::NonZeroU32,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Socket, Type};

use super::{
    error::Error,
    link::Wanted,
    probe::{self, Proof},
    rules::{Rules, TABLE},
};
use crate::{listen, message::ListenerKind, nft};

/// What is to be redirected.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Marks our own sockets. Nobody else can set it; it is chosen anew at each start all the same.
    pub mark: NonZeroU32,
    /// The port that is redirected to; 0: one that is free.
    pub port: u16,
    /// Answer all names ourselves: port 53 is redirected too.
    pub names: bool,
    /// Refuse whatever else would leave the namespace, names and answers to what came in excepted.
    pub strict: bool,
}

/// A redirect that is in place. It stays when this is dropped: see [`Redirect::remove`].
#[derive(Debug)]
pub struct Redirect {
    rules: Rules,
    ipv6: bool,
    listeners: Vec<(ListenerKind, OwnedFd)>,
    changes: OwnedFd,
    /// The rules as the kernel told them when they were new.
    told: Vec<u8>,
}

impl Redirect {
    /// Binds the listeners and puts the rules in place, in one step that replaces those of a guard that
    /// was here before. Nobody serves the listeners yet: what is redirected waits.
    ///
    /// # Errors
    /// Nothing was changed then.
    pub fn install(options: &Options) -> Result<Self, Error> {
        check_place()?;
        let listen = |source| Error::Listen { port: options.port, source };
        let ipv6 = has_ipv6();
        let (port, listener) = listen::bind_tcp(options.port, ipv6).map_err(listen)?;
        let mut listeners = vec![(ListenerKind::Redirected, listener)];
        let mut names = None;
        if options.names {
            let (tcp, by_tcp) = listen::bind_tcp(0, ipv6).map_err(listen)?;
            let (udp, by_udp) = listen::bind_dns(ipv6).map_err(listen)?;
            listeners.push((ListenerKind::DnsTcp, by_tcp));
            listeners.push((ListenerKind::DnsUdp, by_udp));
            names = Some((udp, tcp));
        }
        let rules = Rules { mark: options.mark, port, names, strict: options.strict };
        // Before the rules: a kernel that refuses marks must not be left with them.
        socket(Wanted::TcpV4, options.mark).map_err(Error::Mark)?;
        let changes = nft::changes().map_err(Error::Watch)?;
        rules.batch().commit().map_err(Error::Rules)?;
        let told = nft::dump(TABLE).map_err(Error::Watch)?;
        Ok(Self { rules, ipv6, listeners, changes, told })
    }

    /// Proves that connections are redirected, datagrams refused, and our own let through. Nobody may
    /// accept on the listeners meanwhile.
    ///
    /// # Errors
    /// What is not as it must be. The rules stay.
    pub fn prove(&self) -> Result<Proof, Error> {
        let listener = self.listeners.iter().find(|(kind, _)| *kind == ListenerKind::Redirected);
        let Some((_, listener)) = listener else { return Err(Error::NoNetwork) };
        probe::prove(listener.as_fd(), self.ipv6, &|wanted| socket(wanted, self.rules.mark))
    }

    /// The listeners, and what each is for.
    #[must_use]
    pub fn listeners(&self) -> &[(ListenerKind, OwnedFd)] {
        &self.listeners
    }

    /// The port that connections are redirected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.rules.port
    }

    /// A socket of our own, not connected.
    ///
    /// # Errors
    /// The system's.
    pub fn socket(&self, wanted: Wanted) -> io::Result<OwnedFd> {
        socket(wanted, self.rules.mark)
    }

    /// Becomes readable when rules change in this namespace, ours or others'.
    #[must_use]
    pub fn changes(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }

    /// Looks whether the rules are still there as they were, and puts them back if not. True if they
    /// had to be.
    ///
    /// # Errors
    /// They could not be read, or not be put back.
    pub fn check(&mut self) -> Result<bool, Error> {
        // What changed does not matter, and if too much did for the socket's buffer, still less.
        let mut buffer = [0_u8; 4096];
        while !matches!(
            recv(&self.changes, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC),
            Err(rustix::io::Errno::AGAIN)
        ) {}
        if nft::dump(TABLE).is_ok_and(|now| now == self.told) {
            return Ok(false);
        }
        self.rules.batch().commit().map_err(Error::Rules)?;
        self.told = nft::dump(TABLE).map_err(Error::Watch)?;
        Ok(true)
    }

    /// Takes the rules away: port 443 is as open as it was without us.
    ///
    /// # Errors
    /// The rules are still there.
    pub fn remove(self) -> Result<(), Error> {
        nft::Batch::delete(TABLE).commit().map_err(Error::Rules)
    }
}

/// Refuses the network namespace that the machine started with. Some settings are for all of them, and
/// shown in that one only (`net_core_table` of the kernel's `net/core/sysctl_net_core.c`).
///
/// # Errors
/// [`Error::NotShared`].
pub fn check_place() -> Result<(), Error> {
    let shown = std::path::Path::new("/proc/sys/net/core/netdev_budget").exists();
    if shown { Err(Error::NotShared) } else { Ok(()) }
}

fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::STREAM, None).is_ok()
        && std::net::TcpListener::bind(("::", 0)).is_ok()
}

fn socket(wanted: Wanted, mark: NonZeroU32) -> io::Result<OwnedFd> {
    let (domain, kind) = match wanted {
        Wanted::TcpV4 => (Domain::IPV4, Type::STREAM),
        Wanted::TcpV6 => (Domain::IPV6, Type::STREAM),
        Wanted::UdpV4 => (Domain::IPV4, Type::DGRAM),
        Wanted::UdpV6 => (Domain::IPV6, Type::DGRAM),
    };
    let socket = Socket::new(domain, kind.nonblocking(), None)?;
    socket.set_mark(mark.get())?;
    Ok(socket.into())
}
