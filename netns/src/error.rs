//! What can go wrong, said so that a person can act on it.

#![cfg(target_os = "linux")]

use std::{ffi::OsString, fmt, io, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A namespace could not be made, proved or left to its command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec has no command.
    #[error("no command to start")]
    NoCommand,
    /// Our own binary could not be started again.
    #[error("cannot start the namespace's helper")]
    Start(#[source] io::Error),
    /// A step inside failed; nothing was started.
    #[error("cannot {step}")]
    Setup {
        /// What failed.
        step: Step,
        /// A setting of this machine that forbids it, and the command that changes it.
        hint: Option<String>,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The redirection is not proved; nothing was started.
    #[error("the namespace's network is not safe to use")]
    Probe(#[from] ProbeError),
    /// The working directory cannot be entered inside the namespace.
    #[error("cannot enter the working directory {}", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no such command.
    #[error("{}: command not found", program.display())]
    NotFound {
        /// Its first word.
        program: OsString,
        /// What exec said.
        #[source]
        source: io::Error,
    },
    /// The command cannot be executed.
    #[error("{}: cannot be executed", program.display())]
    NotExecutable {
        /// Its first word.
        program: OsString,
        /// What exec said.
        #[source]
        source: io::Error,
    },
    /// A signal asked us to end before the command was started.
    #[error("interrupted by signal {signal} before the command was started")]
    Interrupted {
        /// Its number.
        signal: i32,
    },
    /// Helper or init ended without a word.
    #[error("the namespace ended unexpectedly")]
    Lost,
    /// The control socket failed or said something out of turn.
    #[error("cannot speak with the namespace")]
    Control(#[source] io::Error),
    /// Signals or the terminal could not be set up in the caller.
    #[error("cannot watch for signals")]
    Signals(#[source] io::Error),
}

impl Error {
    /// What the user can do about it, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Setup { hint, .. } => hint.clone(),
            Self::Probe(error) => Some(error.hint().to_owned()),
            Self::WorkingDirectory { .. } => {
                Some("start from a directory that is not hidden from the command".to_owned())
            }
            Self::NotFound { program, .. } => Some(if program.as_encoded_bytes().contains(&b'/') {
                "see whether the file and the interpreter in its first line exist".to_owned()
            } else {
                "install it, or name it by its path: authsome run -- /path/to/it".to_owned()
            }),
            Self::NoCommand
            | Self::Start(_)
            | Self::NotExecutable { .. }
            | Self::Interrupted { .. }
            | Self::Lost
            | Self::Control(_)
            | Self::Signals(_) => None,
        }
    }

    /// Exit code as a shell would give it: 127 for a command that is not found, 126 for one that
    /// cannot be executed, 128+n for a signal, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
            Self::NoCommand
            | Self::Start(_)
            | Self::Setup { .. }
            | Self::Probe(_)
            | Self::WorkingDirectory { .. }
            | Self::Lost
            | Self::Control(_)
            | Self::Signals(_) => 1,
        }
    }
}

/// The network inside is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ProbeError {
    /// A connection to an outside address was not answered by the interceptor of this run.
    #[error("a connection to {address} did not arrive at the interceptor: {reason}")]
    NotIntercepted {
        /// Where it was meant to go.
        address: SocketAddr,
        /// What happened instead.
        reason: String,
    },
    /// A name was not resolved by the run's responder.
    #[error("the name server did not answer over {transport}: {reason}")]
    NoName {
        /// `UDP` or `TCP`.
        transport: String,
        /// What happened instead.
        reason: String,
    },
    /// There is a way out.
    #[error("the namespace has a network interface besides lo: {name}")]
    Interface {
        /// Name of the interface.
        name: String,
    },
    /// Something that must be out of reach is not.
    #[error("the command could reach {what}")]
    Open {
        /// What it is.
        what: String,
    },
    /// UDP to port 443 was not refused at once.
    #[error("UDP to {address} was not refused: {reason}")]
    Datagram {
        /// Where it was sent.
        address: SocketAddr,
        /// What happened instead.
        reason: String,
    },
}

impl ProbeError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotIntercepted { .. } | Self::NoName { .. } => {
                "see whether the daemon is alive; stop it and try again"
            }
            Self::Open { .. } => "run without --redirect seccomp, in a namespace",
            Self::Interface { .. } | Self::Datagram { .. } => {
                "something outside changes new network namespaces (a container runtime or a \
                 systemd unit); stop it and try again"
            }
        }
    }
}

/// A step of making the namespace, as an infinitive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// `unshare(CLONE_NEWUSER)`.
    UserNamespace,
    /// `setgroups`, `uid_map` and `gid_map`.
    IdMap,
    /// `unshare` of the other namespaces.
    Namespaces,
    /// Die with the parent, hide from others.
    Guard,
    /// `lo` and its routes.
    Link,
    /// A listener.
    Listen {
        /// Port, 0 for any.
        port: u16,
    },
    /// A tmpfs over the trust directory.
    Cover {
        /// What it is put over.
        path: PathBuf,
    },
    /// A file in the trust directory.
    Write {
        /// The file.
        path: PathBuf,
    },
    /// Something to be hidden.
    Hide {
        /// What is hidden.
        path: PathBuf,
    },
    /// Mounts taken out of the host's propagation.
    Propagation,
    /// A fresh `/proc`.
    Proc,
    /// pid 1.
    Init,
    /// Capabilities, ids, keyring.
    Privileges,
    /// Landlock's cover, where there is no namespace.
    Landlock,
    /// The filter over system calls, where there is no namespace.
    Filter,
    /// Descriptors of the command's, which the supervisor must be able to take.
    Mediate,
    /// Something on the control socket.
    Control,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserNamespace => f.write_str("create a user namespace"),
            Self::IdMap => f.write_str("map the user into a user namespace"),
            Self::Namespaces => f.write_str("create network, mount, pid and ipc namespaces"),
            Self::Guard => f.write_str("tie the namespace's life to ours"),
            Self::Link => f.write_str("make every address local to the namespace"),
            Self::Listen { port } => write!(f, "listen on port {port} of the namespace"),
            Self::Cover { path } => write!(f, "cover {}", path.display()),
            Self::Write { path } => write!(f, "write {} in the namespace", path.display()),
            Self::Hide { path } => write!(f, "hide {}", path.display()),
            Self::Propagation => f.write_str("take the namespace's mounts away from the host's"),
            Self::Proc => f.write_str("mount a /proc of the namespace's own"),
            Self::Init => f.write_str("start the namespace's init"),
            Self::Privileges => f.write_str("give up every privilege"),
            Self::Landlock => f.write_str("hide the vault with Landlock"),
            Self::Filter => f.write_str("filter the agent's system calls"),
            Self::Mediate => f.write_str("answer the agent's system calls"),
            Self::Control => f.write_str("understand the caller"),
        }
    }
}

/// A failed step, on its way from the helper or init to the caller.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What failed.
    pub(crate) step: Step,
    /// Why.
    pub(crate) source: io::Error,
}

/// Names the step that a result belongs to.
pub(crate) trait InStep<T> {
    /// Turns an error into a [`Failure`] of `step`.
    fn in_step(self, step: Step) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> InStep<T> for Result<T, E> {
    fn in_step(self, step: Step) -> Result<T, Failure> {
        self.map_err(|error| Failure { step, source: error.into() })
    }
}
