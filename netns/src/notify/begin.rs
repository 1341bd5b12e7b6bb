//! The caller's side: starts the supervisor, and becomes a [`Sandbox`] once it is ready.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use serde::{Deserialize, Serialize};

use super::supervisor::NOTIFY_ARGUMENT;
use crate::{
    beginning::hear,
    control::Control,
    error::Error,
    helper::OURSELVES,
    message::{Go, Text},
    sandbox::{Ending, Prepared, Sandbox},
    signals::Signals,
    spec::Credentials,
};

/// A command whose calls are answered for it, and what it must not reach.
#[derive(Clone, Debug, Default)]
pub struct Mediation {
    /// Program and arguments. A program without a slash is looked up in the `PATH` of `env`.
    pub command: Vec<OsString>,
    /// The command's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What the interceptor's answer to the probe must contain.
    pub run_id: String,
    /// Whom the command, and all that is done for it, runs as, for a caller that is root.
    pub user: Option<Credentials>,
    /// Ports of the loopback that are handed on; of all others, only the command's own are reached.
    pub host_ports: Vec<u16>,
    /// Files and directories that it can neither read, write nor replace.
    pub cover: Vec<PathBuf>,
    /// Local sockets, or directories of them, that it cannot connect to.
    pub hide: Vec<PathBuf>,
}

/// What the supervisor begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// See [`Mediation::user`].
    pub(super) user: Option<Credentials>,
    /// See [`Mediation::host_ports`].
    pub(super) host_ports: Vec<u16>,
    /// See [`Mediation::cover`].
    pub(super) cover: Vec<Text>,
    /// See [`Mediation::hide`].
    pub(super) hide: Vec<Text>,
}

/// A supervisor that has been started. Dropping it ends that.
#[derive(Debug)]
pub struct Mediating {
    /// None once it is complete.
    started: Option<(Control, Child)>,
}

impl Mediating {
    /// Starts the supervisor; does not wait for it.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn new() -> Result<Self, Error> {
        let (control, theirs) = Control::pair().map_err(Error::Start)?;
        // The supervisor inherits the mask: a Ctrl-C must not end it.
        let supervisor = Signals::blocked_while(|| {
            Command::new(OURSELVES)
                .arg0(env::args_os().next().unwrap_or_default())
                .arg(NOTIFY_ARGUMENT)
                .env_clear()
                .stdin(theirs)
                .spawn()
        });
        let supervisor = supervisor.map_err(Error::Signals)?.map_err(Error::Start)?;
        Ok(Self { started: Some((control, supervisor)) })
    }

    /// Has the filter made, without starting the command.
    ///
    /// # Errors
    /// The step that failed, with a hint if something of this machine forbids it.
    pub fn complete(mut self, mediation: &Mediation) -> Result<(Sandbox, Prepared), Error> {
        if mediation.command.is_empty() {
            return Err(Error::NoCommand);
        }
        let text = |path: &PathBuf| Text::from(path.as_os_str());
        let words = |word: &OsString| Text::from(word.as_os_str());
        let start = Start {
            user: mediation.user.clone(),
            host_ports: mediation.host_ports.clone(),
            cover: mediation.cover.iter().map(text).collect(),
            hide: mediation.hide.iter().map(text).collect(),
        };
        let go = Go {
            command: mediation.command.iter().map(words).collect(),
            env: mediation.env.iter().map(|(name, value)| (words(name), words(value))).collect(),
            cwd: Text::from(Path::new(&mediation.cwd).as_os_str()),
            // The supervisor is that user by then.
            user: None,
        };
        let (control, supervisor) = self.started.take().ok_or(Error::Lost)?;
        let run_id = mediation.run_id.clone();
        let sandbox = Sandbox::new(control, supervisor, go, run_id, Ending::Asked)?;
        let sent: io::Result<()> = sandbox.control()?.send(&start);
        hear(sandbox, &sent)
    }
}

impl Drop for Mediating {
    fn drop(&mut self) {
        if let Some((control, mut supervisor)) = self.started.take() {
            drop(control);
            let _ = supervisor.wait();
        }
    }
}
