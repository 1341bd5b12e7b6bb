//! What happened: one line for each request, splice, refused connection, use of the vault and run.
//!
//! [`AuditLog`] writes, [`read`] reads and checks. The log knows nothing of decisions or credentials; it
//! is told ([`Event`]) and keeps it. It never has header values, query strings or bodies: an event has
//! no member for them.
//!
//! # Format
//!
//! JSON Lines, UTF-8, one object a line, appended only. Members in this order:
//!
//! * `v`: 1; `seq`: 1, 2, 3, …; `time`: RFC 3339, UTC, milliseconds;
//! * those of [`Event`], absent where there is nothing to say;
//! * `prev`: the `hash` of the line before, 64 zeros in the first;
//! * `hash`: SHA-256, 64 lower-case hexadecimal digits, of this line's bytes from `{` up to, and not
//!   including, `,"hash":"`. It is always last, so that is all but the last 75 bytes before the line
//!   feed.
//!
//! Changing, inserting, deleting or moving a line breaks the chain at that line, and
//! [`read::verify`] says where. Cutting lines off the *end* leaves a shorter chain that is whole: to
//! see that, remember [`read::Report::head`] elsewhere and compare. Nor does the chain stop somebody
//! who may write the file from computing a whole new one; the agent may not even see it.
//!
//! A crash can leave half a line at the end. The next [`AuditLog::open`] ends it with a line feed and
//! writes a line of kind `log`, operation `recovered`, that has its length and SHA-256 (`torn`); the
//! chain goes on from the last whole line. `verify` accepts such a remnant and counts it.
//!
//! # Failing
//!
//! When the disk is full, nothing is dropped: the lines wait in memory and are tried again,
//! [`AuditLog::healthy`] says so, and the broker lets no request pass meanwhile. Lines reach the
//! kernel a few milliseconds after the event; a killed process can lose those, no more.

mod chain;
mod event;
mod log;
pub mod read;
mod recover;

use std::{io, path::PathBuf, sync::Arc};

pub use self::{
    event::{Entry, Event, Kind, Torn},
    log::AuditLog,
};

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process writes to it.
    #[error("another process writes the audit log {}", path.display())]
    Held {
        /// The log.
        path: PathBuf,
    },
    /// Its end is not what a crash leaves behind.
    #[error("the audit log {} is damaged at its end", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
    },
    /// It can't be written now. What was told is kept and tried again.
    #[error("cannot write the audit log {}", path.display())]
    Write {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// It can't be read.
    #[error("cannot read the audit log {}", path.display())]
    Read {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The writing thread can't be started, or is gone.
    #[error("the audit log {} is closed", path.display())]
    Closed {
        /// The log.
        path: PathBuf,
    },
    /// The file is not as it must be.
    #[error(transparent)]
    Path(#[from] crate::paths::Error),
}

impl Error {
    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => Some("authsome daemon stop".to_owned()),
            Self::Damaged { path } => {
                Some(format!("authsome log verify; then move {} away", path.display()))
            }
            Self::Write { path, .. } => {
                Some(format!("make room on the disk that holds {}", path.display()))
            }
            Self::Path(error) => error.hint(),
            Self::Read { .. } | Self::Closed { .. } => None,
        }
    }
}
