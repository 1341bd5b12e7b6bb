//! What the command has instead of a datagram socket, where its sends cannot be kept to their destination.
//!
//! The kernel takes the destination of a datagram from memory, which another thread may change at any time.
//! So the command gets one end of a local pair that keeps the borders of messages and knows no addresses
//! (`SOCK_SEQPACKET`, unix(7)); the real socket stays here. Calls that name an address are carried out on the
//! real one, as with any other socket; what is written or read goes through the pair.
//!
//! How it fails: as datagrams do. What finds no room is lost.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::{Errno, fcntl_dupfd_cloexec, ioctl_fionread},
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv,
        recvfrom, send, shutdown, socket_with, socketpair,
        sockopt::{Timeout, socket_timeout},
    },
};

/// The longest datagram of IP.
const LONGEST: usize = 65_536;
/// How often one that waits looks whether anybody still waits for it.
const LOOK: Duration = Duration::from_millis(500);

/// A stand-in.
#[derive(Debug)]
pub(super) struct Stand {
    real: OwnedFd,
    ours: OwnedFd,
    /// A duplicate of the command's.
    theirs: OwnedFd,
    /// From whom what waits in the pair is, oldest first, and how long that is.
    senders: Mutex<VecDeque<(SocketAddr, usize)>>,
}

impl Stand {
    /// What one takes.
    pub(super) const DESCRIPTORS: usize = 3;

    /// Makes one, and the end that is the command's.
    pub(super) fn make(
        family: AddressFamily,
        flags: SocketFlags,
        protocol: Option<Protocol>,
    ) -> Result<(Arc<Self>, OwnedFd), Errno> {
        let quiet = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let real = socket_with(family, SocketType::DGRAM, quiet, protocol)?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        if flags.contains(SocketFlags::NONBLOCK) {
            fcntl_setfl(&theirs, OFlags::NONBLOCK)?;
        }
        let given = fcntl_dupfd_cloexec(&theirs, 0)?;
        let stand = Arc::new(Self { real, ours, theirs, senders: Mutex::default() });
        let relayed = Arc::clone(&stand);
        thread::Builder::new()
            .name("datagrams".to_owned())
            .spawn(move || relayed.relay())
            .map_err(|_| Errno::NOBUFS)?;
        Ok((stand, given))
    }

    /// The socket that datagrams leave and arrive by.
    pub(super) fn real(&self) -> &OwnedFd {
        &self.real
    }

    /// Ends what is carried between the two.
    pub(super) fn end(&self) {
        let _ = shutdown(&self.ours, Shutdown::Both);
    }

    /// The oldest datagram that waits for the command, and who sent it.
    ///
    /// # Errors
    /// `EAGAIN`: none does.
    pub(super) fn receive(&self, flags: RecvFlags) -> Result<(Vec<u8>, SocketAddr), Errno> {
        let mut senders = self.senders();
        self.forget_the_read(&mut senders)?;
        let (from, _) = *senders.front().ok_or(Errno::AGAIN)?;
        let mut data = vec![0; LONGEST];
        let (length, _) = recv(&self.theirs, data.as_mut_slice(), flags | RecvFlags::DONTWAIT)?;
        if !flags.contains(RecvFlags::PEEK) {
            senders.pop_front();
        }
        data.truncate(length);
        Ok((data, from))
    }

    /// Does the command want to wait for what it receives?
    pub(super) fn is_patient(&self) -> Result<bool, Errno> {
        Ok(!fcntl_getfl(&self.theirs)?.contains(OFlags::NONBLOCK))
    }

    /// The same once there is one.
    ///
    /// # Errors
    /// `EAGAIN`: the command's own limit is over, or nobody waits any more.
    pub(super) fn wait(
        &self,
        flags: RecvFlags,
        waits: impl Fn() -> bool,
    ) -> Result<(Vec<u8>, SocketAddr), Errno> {
        let mut left = socket_timeout(&self.theirs, Timeout::Recv)?;
        while waits() && left != Some(Duration::ZERO) {
            let step = left.map_or(LOOK, |left| left.min(LOOK));
            let mut waiting = [PollFd::new(self.theirs.as_fd(), PollFlags::POLLIN)];
            // What goes wrong with it, the next attempt tells.
            let _ = poll(&mut waiting, PollTimeout::try_from(step).unwrap_or(PollTimeout::ZERO));
            match self.receive(flags) {
                Err(Errno::AGAIN) => left = left.map(|left| left.saturating_sub(step)),
                received => return received,
            }
        }
        Err(Errno::AGAIN)
    }

    fn relay(&self) {
        let mut data = vec![0; LONGEST];
        loop {
            let mut ready = [
                PollFd::new(self.ours.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.real.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(_) => return,
            }
            let [from_command, from_outside] =
                ready.map(|end| end.revents().unwrap_or(PollFlags::empty()));
            if from_command.intersects(PollFlags::POLLHUP | PollFlags::POLLERR) {
                return;
            }
            if from_command.contains(PollFlags::POLLIN) {
                let Ok((length, _)) = recv(&self.ours, data.as_mut_slice(), RecvFlags::DONTWAIT)
                else {
                    continue;
                };
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                // Goes where it is connected to, or nowhere.
                let _ = send(&self.real, data.get(..length).unwrap_or_default(), flags);
            }
            if !from_outside.is_empty() {
                self.arrived(&mut data);
            }
        }
    }

    fn arrived(&self, data: &mut [u8]) {
        let Ok((length, _, from)) = recvfrom(&self.real, &mut *data, RecvFlags::DONTWAIT) else {
            return;
        };
        if length == 0 {
            // The pair would tell it as its end.
            return;
        }
        let Some(from) = from.and_then(|from| SocketAddr::try_from(from).ok()) else { return };
        let mut senders = self.senders();
        if self.forget_the_read(&mut senders).is_err() {
            return;
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if send(&self.ours, data.get(..length).unwrap_or_default(), flags).is_err() {
            return;
        }
        senders.push_back((from, length));
    }

    /// Forgets the senders of what was read without asking for them.
    fn forget_the_read(&self, senders: &mut VecDeque<(SocketAddr, usize)>) -> Result<(), Errno> {
        // Of such a pair the kernel tells the length of all that waits.
        let unread = usize::try_from(ioctl_fionread(&self.theirs)?).unwrap_or(usize::MAX);
        let mut waiting: usize = senders.iter().map(|(_, length)| length).sum();
        while waiting > unread {
            let Some((_, length)) = senders.pop_front() else { break };
            waiting -= length;
        }
        Ok(())
    }

    fn senders(&self) -> MutexGuard<'_, VecDeque<(SocketAddr, usize)>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use rustix::net::{bind, connect, getsockname};

    use super::*;

    fn stand() -> (Arc<Stand>, OwnedFd, SocketAddr) {
        let (stand, theirs) = Stand::make(AddressFamily::INET, SocketFlags::empty(), None).unwrap();
        bind(stand.real(), &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let at = getsockname(stand.real()).unwrap().try_into().unwrap();
        (stand, theirs, at)
    }

    fn wait_for(descriptor: &OwnedFd, length: u64) {
        while ioctl_fionread(descriptor).unwrap() < length {
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_written_goes_where_the_real_socket_is_connected_to() {
        let (stand, theirs, at) = stand();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        connect(stand.real(), &server.local_addr().unwrap()).unwrap();
        rustix::io::write(&theirs, b"query").unwrap();
        let mut data = [0; 16];
        assert_eq!(server.recv_from(&mut data).unwrap(), (5, at));
        stand.end();
    }

    #[test]
    fn each_datagram_has_its_own_sender_even_behind_one_that_was_read_without() {
        let (stand, theirs, at) = stand();
        let [first, second] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        first.send_to(b"one", at).unwrap();
        wait_for(&theirs, 3);
        second.send_to(b"three", at).unwrap();
        wait_for(&theirs, 8);
        let mut data = [0; 16];
        assert_eq!(rustix::io::read(&theirs, &mut data).unwrap(), 3);
        let from = second.local_addr().unwrap();
        for flags in [RecvFlags::PEEK, RecvFlags::empty()] {
            assert_eq!(stand.receive(flags), Ok((b"three".to_vec(), from)));
        }
        assert_eq!(stand.receive(RecvFlags::empty()), Err(Errno::AGAIN));
        stand.end();
    }

    #[test]
    fn an_address_in_a_message_of_the_commands_is_not_looked_at() {
        let (stand, theirs, _) = stand();
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        outside.set_nonblocking(true).unwrap();
        let sent =
            rustix::net::sendto(&theirs, b"x", SendFlags::empty(), &outside.local_addr().unwrap());
        assert!(sent.is_err() || outside.recv(&mut [0]).is_err());
        stand.end();
    }
}
