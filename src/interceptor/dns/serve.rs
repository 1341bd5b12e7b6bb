//! Carries DNS messages over the sockets that were made inside the namespace.
//!
//! The namespace routes every address to these sockets, so a query arrives for whatever resolver the
//! agent believes in, and the reply must come from that address. Over UDP that takes control messages
//! (ip(7), ipv6(7)): the query's tell the address, the reply's set it. A dual-stack socket gets an
//! IPv4 query with `IPV6_PKTINFO` too, the address v4-mapped, and takes the same to reply; so one
//! path serves both families. An IPv6 address that is local only by a route may be a source only
//! with `IPV6_FREEBIND`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::Arc,
    time::Duration,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::answer;
use crate::{gate::Gate, interceptor::names::NameTable};

/// Longest query taken. One question fits many times over.
const MAX_QUERY: usize = 4096;
/// Connections served at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may stay without a whole query (RFC 7766 §6.2.3), or a reply untaken.
const IDLE: Duration = Duration::from_secs(10);
/// Pause after a failed accept: out of descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers queries on a UDP socket that reports packet information, until the socket fails.
///
/// # Errors
/// If the socket cannot be set up or read.
pub async fn serve_udp(
    socket: UdpSocket,
    names: Arc<NameTable>,
    gate: Arc<dyn Gate>,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if socket.local_addr()?.is_ipv6() {
        socket2::SockRef::from(&socket).set_freebind_v6(true)?;
    }
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut buffer = vec![0; MAX_QUERY];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)).await;
        let datagram = match received {
            Ok(datagram) => datagram,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        let Some(query) = buffer.get(..datagram.len) else { continue };
        let Some(reply) = reply(query, &names, &*gate) else { continue };
        // A reply that cannot be sent is one that was lost: the client asks again.
        if let Err(error) = send(&socket, &reply, &datagram) {
            tracing::debug!(%error, "could not send a dns reply");
        }
    }
}

/// Answers queries on TCP connections, any number on each (RFC 7766), until it is dropped.
///
/// # Errors
/// None today: a failed accept is retried.
pub async fn serve_tcp(
    listener: TcpListener,
    names: Arc<NameTable>,
    gate: Arc<dyn Gate>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, names.clone(), gate.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "could not accept a dns connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Until the client is done, silent for too long, or sends what has no reply.
async fn serve_connection(mut stream: TcpStream, names: Arc<NameTable>, gate: Arc<dyn Gate>) {
    let mut query = Vec::new();
    while let Ok(Ok(true)) = timeout(IDLE, read_query(&mut stream, &mut query)).await {
        let Some(reply) = reply(&query, &names, &*gate) else { return };
        let Ok(len) = u16::try_from(reply.len()) else { return };
        // One write: some clients read the prefix and the message in one go.
        let framed = [&len.to_be_bytes(), reply.as_slice()].concat();
        if !matches!(timeout(IDLE, stream.write_all(&framed)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// False for a query that is too long to be one.
async fn read_query(stream: &mut TcpStream, query: &mut Vec<u8>) -> io::Result<bool> {
    let len = usize::from(stream.read_u16().await?);
    if len > MAX_QUERY {
        return Ok(false);
    }
    query.resize(len, 0);
    stream.read_exact(query).await?;
    Ok(true)
}

fn reply(query: &[u8], names: &NameTable, gate: &dyn Gate) -> Option<Vec<u8>> {
    let answer = answer(query, names)?;
    if let Some((name, address)) = answer.new_name {
        gate.named(&name, SocketAddr::new(address.into(), 0));
    }
    Some(answer.bytes)
}

/// A received query: how long, from whom, and which of our addresses was asked.
struct Datagram {
    len: usize,
    peer: SockaddrStorage,
    asked: Option<Asked>,
}

enum Asked {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let mut asked = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
            asked = Some(Asked::V6(info));
        } else if let (ControlMessageOwned::Ipv4PacketInfo(info), None) = (control, &asked) {
            asked = Some(Asked::V4(info));
        }
    }
    let peer = message.address.ok_or(Errno::EDESTADDRREQ)?;
    // What was cut off was no query of one question.
    let len = if message.flags.contains(MsgFlags::MSG_TRUNC) { 0 } else { message.bytes };
    Ok(Datagram { len, peer, asked })
}

/// The interface stays open (0): the reply is routed like any packet to the peer.
fn send(socket: &impl AsRawFd, reply: &[u8], datagram: &Datagram) -> io::Result<()> {
    let (v4, v6);
    let control: &[ControlMessage<'_>] = match &datagram.asked {
        Some(Asked::V4(info)) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: info.ipi_addr,
                ipi_addr: info.ipi_addr,
            };
            &[ControlMessage::Ipv4PacketInfo(&v4)]
        }
        Some(Asked::V6(info)) => {
            v6 = libc::in6_pktinfo { ipi6_addr: info.ipi6_addr, ipi6_ifindex: 0 };
            &[ControlMessage::Ipv6PacketInfo(&v6)]
        }
        None => &[],
    };
    let slices = [IoSlice::new(reply)];
    sendmsg(socket.as_raw_fd(), &slices, control, MsgFlags::MSG_DONTWAIT, Some(&datagram.peer))?;
    Ok(())
}

/// Errors of one packet, or of an earlier reply's (an ICMP message), not of the socket.
fn is_passing(error: &io::Error) -> bool {
    let Some(code) = error.raw_os_error() else { return false };
    matches!(
        Errno::from_raw(code),
        Errno::ECONNREFUSED
            | Errno::EHOSTUNREACH
            | Errno::ENETUNREACH
            | Errno::EINTR
            | Errno::ENOBUFS
            | Errno::EDESTADDRREQ
            | Errno::EMSGSIZE
    )
}

#[cfg(test)]
mod tests;
