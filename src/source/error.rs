//! What keeps a source from giving a value.

use std::{io, path::PathBuf};

/// Why there is no value. Holds none: not in its text, not in its `Debug`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not written as one. What was written is not repeated: it may be a secret in the wrong place.
    #[error("a source is env:NAME, file:PATH, command:PROGRAM … or keyring:SERVICE/USER: {0}")]
    Syntax(&'static str),
    /// The variable is not in the environment of this process.
    #[error("the daemon was started without the variable {0}")]
    Unset(String),
    /// The program is nowhere in the `PATH`, or cannot be executed.
    #[error("there is no program {0}")]
    NoProgram(String),
    /// A file, or its directory, cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is not to be used.
    #[error("{path} {what}", path = path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The program cannot be started, or lost.
    #[error("cannot run {program}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program ended with another status than 0.
    #[error("{program} failed ({status})")]
    Failed {
        /// Which.
        program: String,
        /// As `ExitStatus` writes it.
        status: String,
        /// See [`Error::said`].
        said: Option<String>,
    },
    /// The program was ended because it took too long.
    #[error("{program} took longer than {seconds} s and was ended")]
    Slow {
        /// Which.
        program: String,
        /// How long it may take.
        seconds: u64,
    },
    /// The keyring has no such entry, is locked, or is not there.
    #[error("the OS keyring does not give {service}/{user}: {why}")]
    Keyring {
        /// Service of the entry.
        service: String,
        /// User of the entry.
        user: String,
        /// What the keyring says.
        why: String,
    },
    /// There is something, but it cannot be a value.
    #[error("{place} gives {what}")]
    NoValue {
        /// The source.
        place: String,
        /// What it gives.
        what: &'static str,
    },
}

impl Error {
    /// What would mend it, if one command or sentence can say that.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unset(name) => format!(
                "set {name}, then authsome daemon stop: the next command starts a daemon that takes \
                 it over"
            ),
            Self::NoProgram(_) => "give the program's whole path".to_owned(),
            Self::Syntax(_) => "authsome login --help".to_owned(),
            Self::Io { .. }
            | Self::Unfit { .. }
            | Self::Run { .. }
            | Self::Failed { .. }
            | Self::Slow { .. }
            | Self::Keyring { .. }
            | Self::NoValue { .. } => return None,
        })
    }

    /// First line of what a failed program wrote to standard error, less what could be a secret. For
    /// the user who configured it: neither for an agent nor for a log, since nobody knows what a
    /// program writes there.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        if let Self::Failed { said, .. } = self { said.as_deref() } else { None }
    }
}
