//! kqueue(2), and sockets in a directory that is emptied when the system starts. Type-checked, never run.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use nix::sys::{
    event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue},
    signal::{SigSet, Signal},
};

const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Readable when the process was told to end. The queue is told of signals that are blocked, too.
#[derive(Debug)]
pub(in crate::daemon) struct Signals(OwnedFd);

impl Signals {
    /// TERM and INT are read from a descriptor; threads made later inherit the mask.
    pub(in crate::daemon) fn block() -> io::Result<Self> {
        let mask: SigSet = SIGNALS.into_iter().collect();
        mask.thread_block()?;
        let queue = Kqueue::new()?;
        let changes = SIGNALS.map(|signal| {
            let (filter, flags) = (EventFilter::EVFILT_SIGNAL, EvFlags::EV_ADD);
            KEvent::new(signal as usize, filter, flags, FilterFlag::empty(), 0, 0)
        });
        queue.kevent(&changes, &mut [], None)?;
        Ok(Self(queue.into()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The directory is everybody's and sticky: nobody removes what is another's.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/private/tmp").join(format!("{name}.sock"))
}

/// Listens under a name that only one can have. What one who was killed has left is cleared away.
pub(in crate::daemon) fn bind_name(name: &str) -> io::Result<UnixListener> {
    let path = path(name);
    match UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        other => return other,
    }
    match UnixStream::connect(&path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(&path)?;
            UnixListener::bind(&path)
        }
        Ok(_) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Connects to whoever has a name.
pub(in crate::daemon) fn connect_name(name: &str) -> io::Result<UnixStream> {
    UnixStream::connect(path(name))
}
