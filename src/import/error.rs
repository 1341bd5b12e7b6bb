//! Why something of a home could not be read.

use std::{io, path::PathBuf, sync::Arc};

use crate::{paths, provider};

/// Why something could not be read. Never holds what was decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such directory.
    #[error("there is no directory {}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A directory without anything that product keeps.
    #[error("{} is not a home of the earlier authsome", path.display())]
    NotAHome {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Longer than such a file is.
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// It was written to each time it was copied.
    #[error("{} is being written to", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// No private place for a copy.
    #[error("cannot copy {}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The same, after the place was made.
    #[error("cannot copy {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: paths::Error,
    },
    /// The database is damaged, or has other tables.
    #[error("cannot read the database {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Everything sealed shares this fate.
    #[error("the master key is not available")]
    NoKey(#[source] Arc<Self>),
    /// The key is where it should be, and is none.
    #[error("the master key in {place} {problem}")]
    KeyMalformed {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The OS keyring gave no answer, or has no key.
    #[error("cannot read the master key from the OS keyring")]
    Keyring(#[source] Box<keyring::Error>),
    /// Authentication failed.
    #[error("it is damaged, or sealed under another key")]
    Sealed,
    /// Decrypted, but not what it should be.
    #[error("it {problem}")]
    Record {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The vault of a version that seals otherwise.
    #[error("this vault is of version 0.4 or later, which is not read")]
    Version,
    /// A definition that means nothing here.
    #[error(transparent)]
    Definition(provider::Error),
}

impl Error {
    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Missing { .. } | Self::NotAHome { .. } => {
                Some("authsome import PATH reads another directory")
            }
            Self::Changing { .. } => Some("stop the earlier authsome's daemon, and try again"),
            Self::Keyring(_) => Some("unlock the keyring of the desktop session, and try again"),
            Self::NoKey(cause) => cause.hint(),
            Self::Sealed | Self::Record { .. } | Self::Version => {
                Some("log in again: authsome login PROVIDER")
            }
            Self::Definition(error) => error.hint(),
            Self::Read { .. }
            | Self::TooLong { .. }
            | Self::Copy { .. }
            | Self::Write { .. }
            | Self::Database { .. }
            | Self::KeyMalformed { .. } => None,
        }
    }
}
