//! Is the agent still there, while its connection or request is held?
//!
//! Nothing is read from a held connection, so its end is not seen by reading; and hyper, which lets an
//! HTTP/1.1 client close its sending side and go on listening, does not look. For what is held the
//! closed side counts as gone: somebody is about to be asked, and must not be asked for nobody.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::sleep;

/// How often one looks. Looking costs a system call, and what is held is held for a person.
const PAUSE: Duration = Duration::from_secs(1);

/// What says that the peer has closed its sending side, beside what poll(2) always tells.
#[cfg(target_os = "linux")]
const CLOSED: PollFlags = PollFlags::RDHUP;
/// Where there is no such flag, POLLHUP says it.
#[cfg(not(target_os = "linux"))]
const CLOSED: PollFlags = PollFlags::HUP;

/// A socket that somebody else reads and writes.
#[derive(Debug)]
pub(super) struct Presence(OwnedFd);

impl Presence {
    /// None without descriptors: then only the time limit ends what is held.
    pub(super) fn of(socket: &impl AsFd) -> Option<Self> {
        socket.as_fd().try_clone_to_owned().map(Self).ok()
    }

    /// Resolves when the peer has closed its side.
    pub(super) async fn gone(&self) {
        gone(&self.0).await;
    }
}

/// Resolves when the peer of a socket has closed its side.
pub(super) async fn gone(socket: &impl AsFd) {
    while !has_hung_up(socket.as_fd()) {
        sleep(PAUSE).await;
    }
}

/// Has the peer closed its side, whatever is still unread?
fn has_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::from_borrowed_fd(socket, CLOSED)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let told = CLOSED | PollFlags::HUP | PollFlags::ERR;
    poll(&mut descriptors, Some(&at_once)).is_ok()
        && descriptors.iter().any(|descriptor| descriptor.revents().intersects(told))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{Shutdown, TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn a_closed_side_is_seen_behind_what_is_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert!(!has_hung_up(server.as_fd()));
        client.write_all(b"unread").unwrap();
        assert!(!has_hung_up(server.as_fd()));
        client.shutdown(Shutdown::Write).unwrap();
        // Over loopback the segment is there when the call returns.
        assert!(has_hung_up(server.as_fd()));
    }
}
