//! signalfd(2), and abstract sockets (unix(7)), which no agent reaches from its network namespace.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// Readable when the process was told to end.
#[derive(Debug)]
pub(in crate::daemon) struct Signals(SignalFd);

impl Signals {
    /// TERM and INT are read from a descriptor; threads made later inherit the mask.
    pub(in crate::daemon) fn block() -> io::Result<Self> {
        let mask: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        mask.thread_block()?;
        Ok(Self(SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Listens under a name that only one can have.
pub(in crate::daemon) fn bind_name(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Connects to whoever has a name.
pub(in crate::daemon) fn connect_name(name: &str) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}
