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
//! Changing, inserting, deleting or moving a line breaks the chain at that line, and [`read::verify`]
//! says where.
//!
//! A crash can leave half a line at the end. The next [`AuditLog::open`] ends it with a line feed and
//! writes a line of kind `log`, operation `recovered`, that has its length and SHA-256 (`torn`); the
//! chain goes on from the last whole line. `verify` accepts such a remnant and counts it.
//!
//! # The signed head
//!
//! Cutting lines off the *end* leaves a shorter chain that is whole, and somebody who may write the file
//! can compute a whole new one. So `audit.head` beside the log says how far it went ([`SignedHead`]),
//! signed with a key that is not there ([`Signer`]). It is replaced a second after new lines at the
//! latest, at once when somebody waits for a flush, and when the log is closed; always after the lines
//! are on disk. So lines that no head names yet are as it must be, and could be cut off unseen; fewer
//! than the head says, or others, are not. `audit.pub` is the public key, for those who verify while
//! nobody can be asked.
//!
//! Whoever opens the log may remember the newest head elsewhere ([`Signing::remembered`]); then putting
//! an older head and log back is seen as well. What is wrong at opening is put on record, as a line with
//! the operation `tampered`, before anything is signed again, and `verify` points at that line from then
//! on.
//!
//! # Files
//!
//! When `audit.log` is full ([`Settings::max_size`]) it is named after its first line
//! (`audit.000000000001.log`) and a new one goes on with the same chain. The full one ends with a line
//! `sealed`, whose `checkpoint` is a signature over the line before. The oldest are deleted when there
//! are more than [`Settings::keep`], each time with a line `deleted` that says up to where: a log that
//! begins later than line 1 without such a line is not whole.
//!
//! # Failing
//!
//! When the disk is full, nothing is dropped: the lines wait in memory and are tried again,
//! [`AuditLog::healthy`] says so, and the broker lets no request pass meanwhile. Lines reach the
//! kernel a few milliseconds after the event; a killed process can lose those, no more. With
//! [`WhenUnwritable::Allow`] requests pass, and what there is no more room for is counted: the count is
//! shown ([`AuditLog::condition`]) and put on record (`lost`) as soon as the log can be written.

mod chain;
mod event;
pub mod filter;
mod head;
mod log;
mod open;
pub mod read;
mod recover;
mod rotate;
mod segments;
mod signing;
mod writer;

use std::{io, path::PathBuf, sync::Arc};

pub use self::{
    event::{Checkpoint, Deleted, Entry, Event, Kind, Torn},
    filter::Filter,
    head::{PublicKey, SignedHead, Signer, parse_key},
    log::{AuditLog, Condition},
};

/// Size of a file by default: 64 MiB, some 150 000 requests.
pub const DEFAULT_MAX_SIZE: u64 = 64 * 1024 * 1024;

/// Full files kept by default: with the one that is written, some gigabyte.
pub const DEFAULT_KEEP: usize = 16;

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes from which on a file is full.
    pub max_size: u64,
    /// Full files that are kept; none: all.
    pub keep: Option<usize>,
    /// What is to happen while the log cannot be written.
    pub when_unwritable: WhenUnwritable,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: DEFAULT_MAX_SIZE,
            keep: Some(DEFAULT_KEEP),
            when_unwritable: WhenUnwritable::default(),
        }
    }
}

/// What is to happen while the log cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenUnwritable {
    /// Nothing that must be recorded.
    #[default]
    Deny,
    /// Requests pass; those that there is no room for are counted, and the count is put on record.
    Allow,
}

impl WhenUnwritable {
    /// As `config.toml` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

/// How a log is opened.
#[derive(Debug, Default)]
pub struct Options {
    /// How it is kept.
    pub settings: Settings,
    /// Who signs its heads; none: nobody, and lines cut off its end are not seen.
    pub signing: Option<Signing>,
}

/// Who signs the heads.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The key.
    pub signer: Arc<dyn Signer>,
    /// The newest head that is known to have been signed with it; none: it never signed one.
    pub remembered: Option<SignedHead>,
}

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

/// An error and its causes in one line, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", causes(cause)))
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
