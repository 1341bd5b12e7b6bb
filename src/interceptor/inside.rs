//! Connections into the run: to what the agent listens on.
//!
//! The socket has to be made in the agent's network namespace; init there gives them out, for whoever
//! holds the other end of its socket pair. A question is one byte, `4` or `6`, with a descriptor beside
//! it, over which the socket comes back: so connections do not wait for each other, and a daemon that
//! takes over finds nothing of the one before. Fails with the error of whatever failed; nothing is
//! connected then.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    sync::OnceLock,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::Interest,
    net::{TcpSocket, TcpStream, UnixStream},
    time::{sleep, timeout},
};

/// Longest wait for a socket and its connection. Both are made within the machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Wait where more questions are open than init's queue holds.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// The way into a run's network namespace. There is none until it is known whom to ask.
#[derive(Debug, Default)]
pub struct Inside(OnceLock<OwnedFd>);

impl Inside {
    /// Says whom to ask for sockets; only the first time counts.
    pub fn ask_at(&self, giver: OwnedFd) {
        // A second one leads to the same init.
        let _ = self.0.set(giver);
    }

    /// Connects to a port of the namespace's loopback: at the address of `like`'s family, else at that
    /// of the other one.
    pub(super) async fn connect(&self, port: u16, like: IpAddr) -> io::Result<TcpStream> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let both = if like.is_ipv4() { [v4, v6] } else { [v6, v4] };
        let attempts = async {
            let mut failed = io::ErrorKind::AddrNotAvailable.into();
            for ip in both {
                match self.connect_to(SocketAddr::new(ip, port)).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        };
        timeout(CONNECT_LIMIT, attempts).await?
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(if address.is_ipv4() { b'4' } else { b'6' }).await?;
        let stream = std::net::TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        let stream = TcpSocket::from_std_stream(stream).connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn socket(&self, family: u8) -> io::Result<OwnedFd> {
        let giver = self.0.get().ok_or(io::ErrorKind::NotConnected)?;
        let (ours, theirs) = StdUnixStream::pair()?;
        while let Err(error) = ask(giver, family, &theirs) {
            if error != Errno::AGAIN {
                return Err(error.into());
            }
            sleep(FULL_PAUSE).await;
        }
        drop(theirs);
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        ours.async_io(Interest::READABLE, || take(&ours, family)).await
    }
}

/// A socket whose other end is closed is an error and no signal. Where the flag does not exist, that is so
/// because Rust's runtime ignores SIGPIPE.
#[cfg(target_os = "linux")]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: SendFlags = SendFlags::empty();
/// Nobody gives sockets where this does not exist.
#[cfg(target_os = "linux")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

fn ask(giver: &OwnedFd, family: u8, back: &StdUnixStream) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [back.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    // The open file is shared with `run`, and so is what is set on it: never wait, whatever that says.
    let flags = SendFlags::DONTWAIT | NO_SIGNAL;
    sendmsg(giver, &[IoSlice::new(&[family])], &mut ancillary, flags).map(drop)
}

fn take(from: &UnixStream, family: u8) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let slices = &mut [IoSliceMut::new(&mut byte)];
    let received = recvmsg(from, slices, &mut ancillary, CLOSE_ON_EXEC)?;
    let socket = ancillary.drain().find_map(|message| {
        if let RecvAncillaryMessage::ScmRights(mut sockets) = message {
            sockets.next()
        } else {
            None
        }
    });
    match socket {
        Some(socket) if received.bytes == 1 && byte == [family] => Ok(socket),
        Some(_) | None => Err(io::Error::other("the namespace has no socket to give")),
    }
}
