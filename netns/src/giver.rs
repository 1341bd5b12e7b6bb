//! Sockets of this namespace for those outside it, one at a time.
//!
//! A socket belongs to the network namespace it was made in, whoever connects it later. So init makes
//! them, with no right and no address, for whoever holds the other end of a socket pair; an
//! unconnected socket of a namespace with nothing but `lo` leads nowhere that the command could not go.
//!
//! Asking is one message of one byte, `4` or `6`, with a descriptor beside it: over that descriptor the
//! socket is sent back, with the same byte. Each question brings its own way back, so answers cannot
//! be mixed up between those who ask, or between an asker and the one that takes its place.
//!
//! How it fails: whoever asks finds its descriptor closed. Nothing here waits for anybody.

#![cfg(target_os = "linux")]

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, ipproto, recvmsg, sendmsg,
        socket_with, socketpair,
    },
};

/// Descriptors that are looked for in a question; more than one is none of ours.
const DESCRIPTORS: usize = 4;

/// Init's end.
#[derive(Debug)]
pub(crate) struct Giver(OwnedFd);

impl Giver {
    /// Init's end, and the one to ask at.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// Answers what has been asked. False when nobody is left who could ask.
    pub(crate) fn answer(&self) -> bool {
        loop {
            match self.question() {
                Ok(Some((family, back))) => {
                    // Whoever asked is told by its descriptor's end, or is gone.
                    let _ = give(family, &back);
                }
                Ok(None) => return false,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The next question; none at the end.
    fn question(&self) -> Result<Option<(u8, Vec<OwnedFd>)>, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
        let mut back = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                back.extend(descriptors);
            }
        }
        let [family] = byte;
        Ok((received.bytes > 0).then_some((family, back)))
    }
}

impl AsFd for Giver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a socket and sends it.
fn give(family: u8, back: &[OwnedFd]) -> Result<(), Errno> {
    let [back] = back else { return Err(Errno::INVAL) };
    let wanted = match family {
        b'4' => AddressFamily::INET,
        b'6' => AddressFamily::INET6,
        _ => return Err(Errno::AFNOSUPPORT),
    };
    let socket = socket_with(wanted, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let given = [socket.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&given));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(back, &[IoSlice::new(&[family])], &mut ancillary, flags).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use rustix::net::sockopt::{socket_domain, socket_type};

    use super::*;

    fn ask(at: &OwnedFd, byte: u8, back: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !back.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(back)));
        }
        sendmsg(at, &[IoSlice::new(&[byte])], &mut ancillary, SendFlags::empty()).unwrap();
    }

    fn received(from: &UnixStream) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let slices = &mut [IoSliceMut::new(&mut byte)];
        recvmsg(from, slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
        ancillary.drain().find_map(|message| {
            if let RecvAncillaryMessage::ScmRights(mut sockets) = message {
                sockets.next()
            } else {
                None
            }
        })
    }

    #[test]
    fn each_family_is_given_over_the_way_back_that_came_with_the_question() {
        let (giver, at) = Giver::pair().unwrap();
        let (first, first_back) = UnixStream::pair().unwrap();
        let (second, second_back) = UnixStream::pair().unwrap();
        ask(&at, b'6', &[first_back.as_fd()]);
        ask(&at, b'4', &[second_back.as_fd()]);
        assert!(giver.answer());
        for (from, family) in [(second, AddressFamily::INET), (first, AddressFamily::INET6)] {
            let socket = received(&from).unwrap();
            assert_eq!(socket_domain(&socket).unwrap(), family);
            assert_eq!(socket_type(&socket).unwrap(), SocketType::STREAM);
        }
    }

    #[test]
    fn what_is_no_question_is_answered_by_closing() {
        for byte in [0, b'5', 0xff] {
            let (giver, at) = Giver::pair().unwrap();
            let (mut from, back) = UnixStream::pair().unwrap();
            ask(&at, byte, &[back.as_fd()]);
            drop(back);
            assert!(giver.answer());
            assert_eq!(from.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn a_question_without_one_way_back_harms_nobody() {
        let (giver, at) = Giver::pair().unwrap();
        let (from, back) = UnixStream::pair().unwrap();
        ask(&at, b'4', &[]);
        ask(&at, b'4', &[back.as_fd(), back.as_fd()]);
        ask(&at, b'4', &[back.as_fd()]);
        assert!(giver.answer());
        assert!(received(&from).is_some());
    }

    #[test]
    fn nobody_left_to_ask_is_the_end() {
        let (giver, at) = Giver::pair().unwrap();
        assert!(giver.answer());
        drop(at);
        assert!(!giver.answer());
    }
}
