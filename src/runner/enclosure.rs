//! What keeps an agent: whatever makes its connections arrive at the daemon, and lets nothing else out.
//!
//! `prepare` drives any of them in the same order: begin it, find out meanwhile what goes into it, complete
//! it, hand its sockets to the daemon, have it prove itself, and only then let the agent go.

use std::{
    ffi::OsString,
    fmt::Debug,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use netns::ProbeReport;

use super::{Actor, GoError};
use crate::{
    protocol::{DirectoryId, ErrorReply, ListenerKind},
    trust::Overlay,
};

/// What goes into an enclosure.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    /// The run's id, which the answer to the probe must contain.
    pub(super) run: &'a str,
    /// Whose run it is, and where the home is that the agent must not see.
    pub(super) actor: &'a Actor,
    /// Which directory the home must be.
    pub(super) home: DirectoryId,
    /// Program and arguments.
    pub(super) command: Vec<OsString>,
    /// The agent's whole environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub(super) cwd: PathBuf,
    /// What it is to trust.
    pub(super) overlay: Overlay,
    /// Paths that it must not see.
    pub(super) hide: Vec<PathBuf>,
    /// Files that it must not be able to replace.
    pub(super) keep: Vec<PathBuf>,
}

/// What an enclosure has to offer before its agent has started.
#[derive(Debug)]
pub(super) struct Complete {
    /// The enclosure.
    pub(super) enclosure: Box<dyn Enclosure>,
    /// Sockets for the daemon.
    pub(super) listeners: Vec<(ListenerKind, OwnedFd)>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

/// What an agent's end, or somebody else, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The agent has ended with this exit code, and with it everything in the enclosure.
    Exited(u8),
    /// The caller's descriptor is readable, or its other end closed.
    Extra,
}

/// An enclosure in the making. Dropping it ends that.
pub(super) trait Begun {
    /// Where the agent of this run will see the files that it is to trust: in the home's place, if that is
    /// covered by another directory.
    fn trust_dir(&self, home: &Path, _run: &str) -> PathBuf {
        home.to_owned()
    }

    /// Makes the rest of it, without starting the agent.
    fn complete(self: Box<Self>, contents: Contents<'_>) -> Result<Complete, ErrorReply>;
}

/// An enclosure. Dropping it ends everything inside.
pub(super) trait Enclosure: Debug {
    /// Proves, from inside, that connections arrive at the daemon and nothing gets out.
    fn probe(&mut self) -> Result<ProbeReport, ErrorReply>;

    /// Starts the agent.
    fn release(&mut self) -> Result<(), GoError>;

    /// Waits for the agent's end, or for `extra`. Signals and job control pass through meanwhile.
    fn wait(&mut self, extra: BorrowedFd<'_>) -> Result<Event, GoError>;
}
