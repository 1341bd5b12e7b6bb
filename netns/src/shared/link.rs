//! What guard and worker say to each other. The worker asks for sockets, and says when it serves.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::{Command, Stdio},
};

use nix::sys::signal::{SigSet, Signal};
use serde::{Deserialize, Serialize};

use super::{Error, Redirect, User, rights};
use crate::{
    control::{Control, Frame},
    message::ListenerKind,
    sys,
};

/// A socket that the worker wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over IPv4.
    UdpV4,
    /// UDP over IPv6.
    UdpV6,
}

/// From the guard.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// The first: whom to become, and what the descriptors beside it are for.
    Begin { user: User, parent: i32, listeners: Vec<ListenerKind> },
    /// The socket that was asked for, beside it, or the error number.
    Socket(Option<i32>),
}

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Socket(Wanted),
    Serving,
}

/// What the guard has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The worker asked for a socket and has got it, or an error.
    Asked,
    /// The worker serves.
    Serving,
    /// The worker is gone, or makes no sense.
    Gone,
}

/// The guard's end.
#[derive(Debug)]
pub struct GuardEnd(Control);

impl GuardEnd {
    /// Gives the worker's command its end, as standard input.
    ///
    /// # Errors
    /// The system's.
    pub fn new(worker: &mut Command) -> Result<Self, Error> {
        let (ours, theirs) = Control::pair().map_err(Error::Link)?;
        worker.stdin(Stdio::from(theirs));
        Ok(Self(ours))
    }

    /// Hands the listeners over, and says whom to become.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn begin(&self, user: User, redirect: &Redirect) -> Result<(), Error> {
        let listeners = redirect.listeners();
        let descriptors: Vec<_> = listeners.iter().map(|(_, socket)| socket.as_fd()).collect();
        let kinds = listeners.iter().map(|(kind, _)| *kind).collect();
        let begin =
            Order::Begin { user, parent: std::process::id().cast_signed(), listeners: kinds };
        self.0.send_with(&begin, &[], &descriptors).map_err(Error::Link)
    }

    /// Hears one word of the worker's, and answers it. To be called when the end is readable.
    pub fn hear(&self, redirect: &Redirect) -> Heard {
        match self.0.receive::<Word>() {
            Ok(Some(Frame { message: Word::Socket(wanted), .. })) => {
                let sent = match redirect.socket(wanted) {
                    Ok(socket) => self.0.send_with(&Order::Socket(None), &[], &[socket.as_fd()]),
                    Err(error) => self
                        .0
                        .send(&Order::Socket(Some(error.raw_os_error().unwrap_or(nix::libc::EIO)))),
                };
                if sent.is_ok() { Heard::Asked } else { Heard::Gone }
            }
            Ok(Some(Frame { message: Word::Serving, .. })) => Heard::Serving,
            Ok(None) | Err(_) => Heard::Gone,
        }
    }
}

impl AsFd for GuardEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct WorkerEnd {
    control: Control,
    listeners: Vec<(ListenerKind, OwnedFd)>,
}

impl WorkerEnd {
    /// Takes the guard's first order from standard input and gives up every right. To be called before
    /// anything else is done, above all before there is a second thread.
    ///
    /// # Errors
    /// A right is left, or there is no guard: whoever gets one must end.
    pub fn take() -> Result<Self, Error> {
        sys::close_on_exec_above_stderr().map_err(Error::Link)?;
        let control = Control::from_stdin().map_err(Error::Link)?;
        let lost = || Error::Link(io::ErrorKind::UnexpectedEof.into());
        let first = control.receive::<Order>().map_err(Error::Link)?.ok_or_else(lost)?;
        let Order::Begin { user, parent, listeners } = first.message else { return Err(lost()) };
        let nowhere = std::fs::File::open("/dev/null").map_err(Error::Link)?;
        rustix::stdio::dup2_stdin(&nowhere).map_err(|error| Error::Link(error.into()))?;
        // The terminal's are for the guard, who says when to go.
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGINT);
        mask.add(Signal::SIGTERM);
        mask.thread_block().map_err(|error| Error::Link(error.into()))?;
        rights::give_up_all(user)?;
        // It may have gone before its death could be a signal to us.
        if nix::unistd::getppid().as_raw() != parent {
            return Err(lost());
        }
        Ok(Self { control, listeners: listeners.into_iter().zip(first.descriptors).collect() })
    }

    /// The listeners, and what each is for. Once: from then on they are the caller's.
    #[must_use]
    pub fn take_listeners(&mut self) -> Vec<(ListenerKind, OwnedFd)> {
        std::mem::take(&mut self.listeners)
    }

    /// A socket that is not redirected. Blocks for as long as the guard takes, which is not long.
    ///
    /// # Errors
    /// The guard's, or it is gone.
    pub fn socket(&self, wanted: Wanted) -> io::Result<OwnedFd> {
        self.control.send(&Word::Socket(wanted))?;
        let answer = self.control.receive::<Order>()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match answer.message {
            Order::Socket(None) => {
                let socket = answer.descriptors.into_iter().next();
                socket.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Order::Socket(Some(number)) => Err(io::Error::from_raw_os_error(number)),
            Order::Begin { .. } => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Says that it serves.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn serving(&self) -> io::Result<()> {
        self.control.send(&Word::Serving)
    }
}
