//! The control socket: JSON messages with descriptors beside them.
//!
//! A frame is the lengths of a message and of a blob (both `u32`, big endian), the message as JSON,
//! and the blob. Descriptors travel with the first byte (`SCM_RIGHTS`, unix(7)). A reader takes
//! exactly one frame at a time, so that the helper never reads what is meant for init.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

/// Descriptors in one frame; the kernel takes 253 (`SCM_MAX_FD`).
pub(crate) const MAX_DESCRIPTORS: usize = 200;
/// No frame is longer: environment and files are far below.
const MAX_FRAME: u32 = 64 << 20;
/// Two lengths.
const HEADER: usize = 8;

/// A socket whose other end is closed is an error and no signal. Where the flag does not exist, that is so
/// because Rust's runtime ignores SIGPIPE.
#[cfg(target_os = "linux")]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: SendFlags = SendFlags::empty();
/// Where this does not exist either, each descriptor is marked when it is here.
#[cfg(target_os = "linux")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

/// One end of the control socket.
#[derive(Debug)]
pub(crate) struct Control(UnixStream);

/// What a frame brings.
#[derive(Debug)]
pub(crate) struct Frame<T> {
    /// The message.
    pub(crate) message: T,
    /// Bytes beside it.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only mounts have any"))]
    pub(crate) blob: Vec<u8>,
    /// Descriptors beside it, close-on-exec.
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Control {
    /// Two connected ends.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// One end of a socket that is connected already.
    #[cfg(target_os = "macos")]
    pub(crate) fn over(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// The end that came as this process's stdin.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        Ok(Self(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }

    /// Sends a message.
    pub(crate) fn send<T: Serialize>(&self, message: &T) -> io::Result<()> {
        self.send_with(message, &[], &[])
    }

    /// Sends a message with a blob and descriptors.
    pub(crate) fn send_with<T: Serialize>(
        &self,
        message: &T,
        blob: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let json = serde_json::to_vec(message)?;
        let mut header = Vec::with_capacity(HEADER);
        for length in [json.len(), blob.len()] {
            let length = u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
            header.extend(length.to_be_bytes());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        let slices = [IoSlice::new(&header), IoSlice::new(&json), IoSlice::new(blob)];
        let sent = loop {
            match sendmsg(&self.0, &slices, &mut ancillary, NO_SIGNAL) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        let mut skip = sent;
        for part in [header.as_slice(), &json, blob] {
            let done = skip.min(part.len());
            skip -= done;
            (&self.0).write_all(part.get(done..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Receives a message; none at the end of the stream.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Frame<T>>> {
        let mut descriptors = Vec::new();
        let mut header = [0_u8; HEADER];
        let mut filled = 0;
        while let Some(rest) = header.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let got = self.receive_some(rest, &mut descriptors)?;
            match (got, filled) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => filled += got,
            }
        }
        let [a, b, c, d, e, f, g, h] = header;
        let json = self.receive_exactly(u32::from_be_bytes([a, b, c, d]))?;
        let blob = self.receive_exactly(u32::from_be_bytes([e, f, g, h]))?;
        Ok(Some(Frame { message: serde_json::from_slice(&json)?, blob, descriptors }))
    }

    fn receive_some(&self, buffer: &mut [u8], into: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(buffer)];
        let received = loop {
            match recvmsg(&self.0, &mut slices, &mut ancillary, CLOSE_ON_EXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                for fd in fds {
                    #[cfg(not(target_os = "linux"))]
                    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
                    into.push(fd);
                }
            }
        }
        Ok(received.bytes)
    }

    fn receive_exactly(&self, length: u32) -> io::Result<Vec<u8>> {
        if length > MAX_FRAME {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut buffer = Vec::new();
        (&self.0).take(u64::from(length)).read_to_end(&mut buffer)?;
        if u32::try_from(buffer.len()) != Ok(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(buffer)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Control, Control) {
        let (ours, theirs) = Control::pair().unwrap();
        (ours, Control(theirs.into()))
    }

    #[test]
    fn frames_are_read_one_at_a_time() {
        let (a, b) = pair();
        a.send_with(&"first", b"blob", &[]).unwrap();
        a.send(&"second").unwrap();
        let first: Frame<String> = b.receive().unwrap().unwrap();
        assert_eq!((first.message.as_str(), first.blob.as_slice()), ("first", &b"blob"[..]));
        assert_eq!(b.receive::<String>().unwrap().unwrap().message, "second");
    }

    #[test]
    fn descriptors_arrive_with_their_frame_only() {
        let (a, b) = pair();
        a.send(&1).unwrap();
        a.send_with(&2, &[], &[a.as_fd(), a.as_fd()]).unwrap();
        assert!(b.receive::<i32>().unwrap().unwrap().descriptors.is_empty());
        assert_eq!(b.receive::<i32>().unwrap().unwrap().descriptors.len(), 2);
    }

    #[test]
    fn a_closed_peer_is_the_end() {
        let (a, b) = pair();
        drop(a);
        assert!(b.receive::<i32>().unwrap().is_none());
    }

    #[test]
    fn a_broken_off_frame_is_an_error() {
        let (a, b) = pair();
        (&a.0).write_all(&[0, 0, 0, 9, 0, 0, 0, 0, b'"']).unwrap();
        drop(a);
        assert!(b.receive::<String>().is_err());
    }
}
