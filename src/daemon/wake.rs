//! What the daemon's main thread waits for.

use std::os::{fd::BorrowedFd, unix::net::UnixListener};

use rustix::event::{PollFd, PollFlags, poll};

use super::{hold::Hold, system::Signals};

/// What there is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Woken {
    /// A client wants to connect.
    pub(super) client: bool,
    /// A signal came.
    pub(super) signal: bool,
    /// The home was moved.
    pub(super) moved: bool,
    /// Another daemon was started for the path.
    pub(super) claimed: bool,
    /// What the caller waits for besides.
    pub(super) other: bool,
}

/// Waits; none if that fails, which is logged.
pub(super) fn wait(
    listener: &UnixListener,
    signals: &Signals,
    hold: &Hold,
    other: Option<BorrowedFd<'_>>,
) -> Option<Woken> {
    loop {
        // Without a claim or anything else, another look at one that is there.
        let nothing = || PollFd::new(signals, PollFlags::IN);
        let mut descriptors = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(hold.watch(), PollFlags::IN),
            hold.claim().map_or_else(nothing, |claim| PollFd::new(claim, PollFlags::IN)),
            other.as_ref().map_or_else(nothing, |other| PollFd::new(other, PollFlags::IN)),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                tracing::error!(%error, "poll failed");
                return None;
            }
        }
        let [client, signal, moved, claimed, other] =
            descriptors.map(|descriptor| !descriptor.revents().is_empty());
        return Some(Woken { client, signal, moved, claimed, other });
    }
}
