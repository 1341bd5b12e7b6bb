//! What both ways of macOS have in common: a profile in which the agent starts, and a directory of the run's
//! own with the files that make its programs trust it. Type-checked, never run.

use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use netns::{
    pf::Event,
    seatbelt::{PROGRAM, Profile},
};

use super::{
    FAILED, GoError,
    enclosure::{self, Contents},
    failed,
};
use crate::{
    paths,
    protocol::{ErrorKind, ErrorReply},
};

/// A profile and a directory. Dropping it removes the directory.
#[derive(Debug)]
pub(super) struct Sheath {
    directory: PathBuf,
    /// The profile's text.
    pub(super) profile: String,
    program: Vec<OsString>,
    /// The agent's environment.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Where it starts.
    pub(super) cwd: PathBuf,
    /// The run's id.
    pub(super) run: String,
}

impl Sheath {
    /// `only_port` as in [`Profile::only_port`].
    ///
    /// # Errors
    /// A home that is not the daemon's, a path that no profile can say, or the disk's.
    pub(super) fn new(contents: Contents<'_>, only_port: Option<u16>) -> Result<Self, ErrorReply> {
        let root = contents.actor.home.root();
        let found =
            root.metadata().map_err(|error| failed(format!("{}: {error}", root.display())))?;
        if (found.dev(), found.ino()) != (contents.home.device, contents.home.inode) {
            return Err(failed(format!(
                "{} is another directory than the daemon's",
                root.display()
            )));
        }
        let directory = directory(root, contents.run);
        // From here on it is removed, whatever fails.
        let mut sheath = Self {
            directory,
            profile: String::new(),
            program: contents.command,
            env: contents.env,
            cwd: contents.cwd,
            run: contents.run.to_owned(),
        };
        for (path, bytes) in &contents.overlay.files {
            let path = sheath.directory.join(path);
            let parent = path.parent().unwrap_or(&sheath.directory);
            paths::create_private_dir(parent)
                .and_then(|()| paths::write_private(&path, bytes))
                .map_err(|error| ErrorReply::caused(ErrorKind::Failed, &error, error.hint()))?;
        }
        let mut hide = vec![place(root)];
        hide.extend(contents.hide.iter().map(|path| place(path)));
        let keep = contents.keep.iter().flat_map(|path| [path.clone(), place(path)]).collect();
        let show = vec![place(&sheath.directory)];
        sheath.profile = Profile { hide, show, keep, only_port }
            .render()
            .map_err(|error| failed(error.to_string()))?;
        Ok(sheath)
    }

    /// Program and arguments, in the profile.
    ///
    /// # Errors
    /// There is no such program: afterwards nobody could tell that from its own failure.
    pub(super) fn command(&self) -> Result<Vec<OsString>, GoError> {
        let program = self.program.first().cloned().unwrap_or_default();
        if !self.exists(&program) {
            let message = format!("{}: command not found", program.display());
            return Err(GoError { code: 127, error: failed(message) });
        }
        let mut command: Vec<OsString> = vec![PROGRAM.into(), "-p".into(), (&self.profile).into()];
        command.extend(self.program.iter().cloned());
        Ok(command)
    }

    /// Adds a variable to the agent's environment.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
    }

    fn exists(&self, program: &OsStr) -> bool {
        if program.as_encoded_bytes().contains(&b'/') {
            return self.cwd.join(program).is_file();
        }
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        path.into_iter()
            .flat_map(std::env::split_paths)
            .any(|directory| self.cwd.join(directory).join(program).is_file())
    }
}

impl Drop for Sheath {
    fn drop(&mut self) {
        // It holds certificates, which are no secret.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where a run's agent sees the files that make its programs trust it: the only directory of the home that
/// its profile shows.
pub(super) fn directory(home: &Path, run: &str) -> PathBuf {
    home.join("runs").join(run)
}

/// Without links: a profile knows files by where they are.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A listener on a port of 127.0.0.1 that the system chooses, and the port.
pub(super) fn listen() -> Result<(std::os::fd::OwnedFd, u16), ErrorReply> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| Ok((listener.local_addr()?.port(), listener)))
        .map_err(|error| failed(format!("cannot listen on 127.0.0.1: {error}")))?;
    Ok((listener.1.into(), listener.0))
}

/// An error of the enclosure's, for the user.
pub(super) fn reply(error: &netns::pf::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint())
}

/// The same, once the agent was to start.
pub(super) fn lost(error: &netns::pf::Error) -> GoError {
    let code = error.exit_code();
    GoError { code: if code == 0 { FAILED } else { code }, error: reply(error) }
}

/// What an enclosure's event is to a run.
pub(super) fn event(event: Event) -> enclosure::Event {
    match event {
        Event::Exited(status) => enclosure::Event::Exited(status.code()),
        Event::Extra => enclosure::Event::Extra,
    }
}
