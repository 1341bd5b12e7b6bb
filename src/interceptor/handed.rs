//! Connections that come one by one from a run without a namespace, already accepted.
//!
//! Each is a message of a `SOCK_SEQPACKET` socket: a descriptor, and as text the address that the agent
//! dialled. The other end of that socket is held by the run's own supervisor, which the agent cannot reach, so
//! what it says is believed. An address on the loopback is a port of the host's that was opened to the run.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpStream as StdStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram as StdDatagram,
    },
    rc::Rc,
    sync::Arc,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixDatagram},
    time::sleep,
};

use super::{
    Run, accept,
    workers::{ACCEPT_PAUSE, Context, has_room},
};

/// More than any address in text.
const LONGEST: usize = 128;

/// Serves what comes until nobody is left who could hand anything over.
pub(super) async fn take_all(
    context: &Rc<Context>,
    run: &Arc<Run>,
    descriptor: OwnedFd,
) -> io::Result<()> {
    // Messages are all that is read of it: what a datagram socket does suits.
    let socket = StdDatagram::from(descriptor);
    socket.set_nonblocking(true)?;
    let socket = UnixDatagram::from_std(socket)?;
    loop {
        if !has_room(&context.tasks) {
            sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match socket.async_io(Interest::READABLE, || take(&socket)).await? {
            Taken::Connection(stream, wanted) => {
                context.tasks.borrow_mut().spawn_local(serve(
                    Rc::clone(context),
                    Arc::clone(run),
                    stream,
                    wanted,
                ));
            }
            Taken::Nothing => tracing::warn!("a connection was handed over that cannot be read"),
            Taken::End => return Ok(()),
        }
        // So that a burst is shared with the other workers.
        tokio::task::yield_now().await;
    }
}

/// What is taken does not go on to other programs.
#[cfg(target_os = "linux")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Elsewhere nobody hands connections over.
#[cfg(not(target_os = "linux"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

enum Taken {
    Connection(StdStream, SocketAddr),
    /// A message without a descriptor, or without an address.
    Nothing,
    End,
}

fn take(socket: &impl AsFd) -> io::Result<Taken> {
    let mut text = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, CLOSE_ON_EXEC)?;
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            descriptor = descriptors.next();
        }
    }
    let said = text.get(..received.bytes).and_then(|text| std::str::from_utf8(text).ok());
    Ok(match (descriptor, said.and_then(|text| text.parse().ok())) {
        (Some(descriptor), Some(wanted)) => Taken::Connection(descriptor.into(), wanted),
        _ if received.bytes == 0 => Taken::End,
        _ => Taken::Nothing,
    })
}

async fn serve(context: Rc<Context>, run: Arc<Run>, stream: StdStream, wanted: SocketAddr) {
    let ready = stream
        .set_nonblocking(true)
        .and_then(|()| stream.set_nodelay(true))
        .and_then(|()| TcpStream::from_std(stream))
        .and_then(|stream| stream.local_addr().map(|seen| (stream, seen)));
    let (stream, seen) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            tracing::debug!(%error, "the agent left before its connection was served");
            return;
        }
    };
    let port = wanted.ip().is_loopback().then(|| wanted.port());
    let dialled = accept::Dialled { wanted, seen, port };
    accept::dialled(context, run, stream, dialled).await;
}

#[cfg(test)]
mod tests {
    use std::{io::IoSlice, net::TcpListener};

    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    };

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn hand(over: &OwnedFd, text: &str, what: Option<&TcpListener>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = what.iter().map(|what| what.as_fd()).collect();
        if what.is_some() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        let pieces = [IoSlice::new(text.as_bytes())];
        sendmsg(over, &pieces, &mut ancillary, SendFlags::empty()).unwrap();
    }

    #[test]
    fn a_connection_comes_with_the_address_that_was_dialled() {
        let (ours, theirs) = pair();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        hand(&ours, "[2001:db8::1]:443", Some(&socket));
        let Taken::Connection(_, wanted) = take(&theirs).unwrap() else { panic!("nothing came") };
        assert_eq!(wanted, "[2001:db8::1]:443".parse().unwrap());
    }

    #[test]
    fn half_a_message_is_nothing_and_no_end() {
        let (ours, theirs) = pair();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        hand(&ours, "192.0.2.1:443", None);
        hand(&ours, "nowhere", Some(&socket));
        assert!(matches!(take(&theirs).unwrap(), Taken::Nothing));
        assert!(matches!(take(&theirs).unwrap(), Taken::Nothing));
        drop(ours);
        assert!(matches!(take(&theirs).unwrap(), Taken::End));
    }
}
