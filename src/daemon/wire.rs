//! One JSON value a line over a Unix stream socket, with descriptors beside a line where it says so
//! (`SCM_RIGHTS`, unix(7)).
//!
//! Both ends are blocking: the commands have no runtime, and the daemon gives each client a thread.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
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
use zeroize::Zeroize;

/// A longer line is refused: nothing legitimate comes near it.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// Descriptors that may come with one message; the kernel's own limit is 253 (`SCM_MAX_FD`).
const MAX_DESCRIPTORS: usize = 253;
/// Descriptors that may wait to be claimed.
const MAX_PENDING: usize = 512;

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

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    buffer: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Wire {
    /// Wraps a connected socket.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), descriptors: VecDeque::new() }
    }

    /// A second handle for sending from another thread.
    pub(super) fn sender(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Sends one value with descriptors beside it.
    pub(super) fn send<T: Serialize>(
        &self,
        value: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(&self.stream, value, descriptors)
    }

    /// The next value; `None` when the other end has closed.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(mut line) = self.line()? else { return Ok(None) };
        let value = serde_json::from_slice(&line).map_err(|error| {
            // The message of a serde error can quote the input, which may be a secret.
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("not a message this version knows (column {})", error.column()),
            )
        });
        line.zeroize();
        value.map(Some)
    }

    /// Is a whole line waiting, so that [`Wire::receive`] will not block?
    pub(super) fn has_line(&self) -> bool {
        self.buffer.contains(&b'\n')
    }

    /// The oldest descriptors that came, exactly `count`; an error if fewer did.
    pub(super) fn take_descriptors(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        if self.descriptors.len() < count {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{count} descriptors announced, {} received", self.descriptors.len()),
            ));
        }
        Ok(self.descriptors.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads once; `false` at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0_u8; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                CLOSE_ON_EXEC,
            ) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        // Owned before it is judged: whatever is wrong below, no descriptor leaks.
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    #[cfg(not(target_os = "linux"))]
                    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
                    self.descriptors.push_back(descriptor);
                }
            }
        }
        if self.descriptors.len() > MAX_PENDING {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
        }
        self.buffer.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
        bytes.zeroize();
        Ok(received.bytes != 0)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Sends one value, with descriptors beside its first byte.
pub(super) fn send<T: Serialize>(
    stream: &UnixStream,
    value: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let result = send_bytes(stream, &line, descriptors);
    line.zeroize();
    result
}

/// Sends one small value if there is room for it now, else none of it: a message of less than a page
/// is one buffer of the kernel's.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if there is no room.
pub(super) fn try_send<T: Serialize>(stream: &UnixStream, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    let flags = NO_SIGNAL | SendFlags::DONTWAIT;
    loop {
        match rustix::net::send(stream, &line, flags) {
            Ok(sent) if sent == line.len() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn send_bytes(stream: &UnixStream, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut sent = 0;
    while let Some(rest) = line.get(sent..).filter(|rest| !rest.is_empty()) {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if sent == 0
            && !descriptors.is_empty()
            && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
        }
        match sendmsg(stream, &[IoSlice::new(rest)], &mut ancillary, NO_SIGNAL) {
            Ok(count) => sent += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_value_arrives_with_its_descriptors() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        send(&left, &"hello", &[writer.as_fd()]).unwrap();
        writer.write_all(b"x").unwrap();
        drop(writer);

        let mut wire = Wire::new(right);
        assert_eq!(wire.receive::<String>().unwrap().as_deref(), Some("hello"));
        let mut passed = std::fs::File::from(wire.take_descriptors(1).unwrap().remove(0));
        passed.write_all(b"y").unwrap();
        drop(passed);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "xy");
    }

    #[test]
    fn lines_are_told_apart_however_they_arrive() {
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(b"1\n2\n").unwrap();
        drop(left);
        let mut wire = Wire::new(right);
        assert_eq!(wire.receive::<u8>().unwrap(), Some(1));
        assert!(wire.has_line());
        assert_eq!(wire.receive::<u8>().unwrap(), Some(2));
        assert_eq!(wire.receive::<u8>().unwrap(), None);
    }

    #[test]
    fn a_message_that_cannot_be_read_is_not_quoted() {
        let (mut left, right) = UnixStream::pair().unwrap();
        left.write_all(b"\"sk-secret\"\n").unwrap();
        let error = Wire::new(right).receive::<u8>().unwrap_err();
        assert!(!error.to_string().contains("sk-secret"), "{error}");
    }

    #[test]
    fn a_receiver_that_does_not_read_is_not_waited_for() {
        let (left, right) = UnixStream::pair().unwrap();
        let mut sent = 0;
        while try_send(&left, &"hello").is_ok() {
            sent += 1;
        }
        drop(left);
        let mut wire = Wire::new(right);
        let mut received = 0;
        while let Some(text) = wire.receive::<String>().unwrap() {
            assert_eq!(text, "hello");
            received += 1;
        }
        assert!(sent > 0);
        assert_eq!(received, sent);
    }

    #[test]
    fn missing_descriptors_are_an_error() {
        let (left, right) = UnixStream::pair().unwrap();
        send(&left, &0, &[]).unwrap();
        let mut wire = Wire::new(right);
        wire.receive::<u8>().unwrap();
        assert!(wire.take_descriptors(1).is_err());
    }
}
