//! The connection of a run to its daemon, which it makes again when the daemon is replaced.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use super::{Actor, failed};
use crate::{
    daemon::client::{Acting, Client},
    paths::Anchor,
    protocol::{DirectoryId, ErrorReply, ListenerKind, OpenRun, Request, RunEvent, RunOpened},
};

/// How often a run without a daemon looks for one.
const RECONNECT: Duration = Duration::from_secs(1);

/// The connection to the daemon, and what it takes to make it again.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Option<Client>,
    pub(super) listeners: Vec<(ListenerKind, OwnedFd)>,
    pub(super) open: OpenRun,
    /// What the daemon that comes next is to take it for.
    pub(super) acting: Acting,
    pub(super) actor: Actor,
    /// The home that the namespace covers.
    pub(super) home: DirectoryId,
    /// Holds it for as long as there is no daemon that does. Not as root: the paths are the user's.
    pub(super) anchor: Option<Anchor>,
    /// The daemon was told to stop: wait for another, start none.
    pub(super) stopped: bool,
}

/// What wakes a run: its daemon, or, where that is gone, the time to look for another.
pub(super) enum Waker<'a> {
    Daemon(BorrowedFd<'a>),
    Timer(OwnedFd),
}

impl AsFd for Waker<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Daemon(client) => *client,
            Self::Timer(timer) => timer.as_fd(),
        }
    }
}

impl Link {
    /// To be waited for until [`Self::tend`] is due.
    pub(super) fn waker(&self) -> rustix::io::Result<Waker<'_>> {
        match &self.client {
            Some(client) => Ok(Waker::Daemon(client.as_fd())),
            None => reconnect_timer().map(Waker::Timer),
        }
    }

    pub(super) fn attach(&mut self) -> Result<(), ErrorReply> {
        let listeners: Vec<_> =
            self.listeners.iter().map(|(kind, descriptor)| (*kind, descriptor.as_fd())).collect();
        match &mut self.client {
            Some(client) => client.attach(&listeners),
            None => Err(failed("the daemon is gone".to_owned())),
        }
    }

    /// The daemon said something or is gone, or it is time to look for one.
    pub(super) fn tend(&mut self, tell: &dyn Fn(&RunEvent)) {
        if self.client.is_none() {
            // What goes wrong now is tried again; the agent meanwhile has no network, no more.
            if self.reconnect().is_err() {
                self.client = None;
            }
            return;
        }
        if !self.hear(true, tell) {
            self.client = None;
            if !self.stopped && self.reconnect().is_err() {
                self.client = None;
            }
        }
        self.hear(false, tell);
    }

    /// Takes in what the daemon has said; what it says now only if `readable`. False if it is gone.
    pub(super) fn hear(&mut self, readable: bool, tell: &dyn Fn(&RunEvent)) -> bool {
        let Some(events) = self.client.as_mut().and_then(|client| client.take_events(readable))
        else {
            return false;
        };
        for event in events {
            tell(&event);
            match event {
                RunEvent::Named { name, address } => {
                    self.open.names.insert(name, address);
                }
                RunEvent::Stopping => self.stopped = true,
                RunEvent::Asked { .. }
                | RunEvent::Published { .. }
                | RunEvent::NotPublished { .. } => {}
            }
        }
        true
    }

    /// Without a daemon there is nobody else to see that the agent moves the home away; and one that is
    /// gone may not have been missed yet. Where there is one, both may put it back.
    pub(super) fn keep_home(&self) {
        if let Some(anchor) = &self.anchor
            && !anchor.is_in_place()
        {
            // If it fails, the next daemon serves another home, and not this run.
            let _ = anchor.put_back();
        }
    }

    fn reconnect(&mut self) -> Result<(), ErrorReply> {
        self.keep_home();
        let client = if self.stopped {
            Client::connect(&self.actor.home)?
        } else {
            Some(Client::connect_or_start_as(&self.actor.home, self.actor.owner())?)
        };
        let Some(client) = client else { return Ok(()) };
        let mut client = client.acting(self.acting.clone());
        let opened: RunOpened = client.call(Request::OpenRun(Box::new(self.open.clone())))?;
        if opened.home != self.home {
            return Err(failed("the home is another directory than this run covers".to_owned()));
        }
        self.client = Some(client);
        self.attach()?;
        self.stopped = false;
        Ok(())
    }
}

/// Readable when it is time to look for a daemon.
#[cfg(target_os = "macos")]
fn reconnect_timer() -> rustix::io::Result<OwnedFd> {
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    let milliseconds = isize::try_from(RECONNECT.as_millis()).unwrap_or(isize::MAX);
    let (filter, flags) = (EventFilter::EVFILT_TIMER, EvFlags::EV_ADD | EvFlags::EV_ONESHOT);
    let timer = KEvent::new(0, filter, flags, FilterFlag::empty(), milliseconds, 0);
    let queue = Kqueue::new().and_then(|queue| {
        queue.kevent(&[timer], &mut [], None)?;
        Ok(queue.into())
    });
    queue.map_err(|error| rustix::io::Errno::from_raw_os_error(error as i32))
}

/// Readable when it is time to look for a daemon.
#[cfg(target_os = "linux")]
fn reconnect_timer() -> rustix::io::Result<OwnedFd> {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = Timespec { tv_sec: RECONNECT.as_secs().cast_signed(), tv_nsec: 0 };
    timerfd_settime(
        &timer,
        TimerfdTimerFlags::empty(),
        &Itimerspec { it_interval: zero, it_value: value },
    )?;
    Ok(timer)
}
