//! What checking a log found, in words.

use std::{fmt, path::PathBuf, time::SystemTime};

use super::lines::Spot;
use crate::audit::{PublicKey, chain::Head};

/// What [`verify`](super::verify()) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that hold, up to the first problem.
    pub records: u64,
    /// Number of the first line; more than 1 where the files before it were deleted on record. 0: there
    /// is no line.
    pub begins: u64,
    /// Files they are in.
    pub files: u64,
    /// Remnants of crashes among them that a later line vouches for.
    pub recovered: u64,
    /// Events that were lost while the log could not be written, and counted.
    pub lost: u64,
    /// The last file ends within a line: it is being written, or a crash is not recovered from yet.
    pub unended: bool,
    /// What is wrong, if anything is. Nothing after it can be relied on.
    pub first_problem: Option<Problem>,
    /// The last line that holds.
    pub head: Head,
    /// The signed head that the log agrees with; none: there is none. What follows it, a second's worth
    /// of lines at most, could still be cut off unseen.
    pub signed: Option<Signed>,
}

/// A signed head that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The last line that is vouched for.
    pub seq: u64,
    /// When that was signed.
    pub time: SystemTime,
    /// What with.
    pub key: PublicKey,
    /// Whose word it is that this is the key.
    pub key_from: KeyFrom,
}

/// Where the public key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// The caller gave it.
    Caller,
    /// It lay beside the log since it was first signed.
    File,
    /// The head itself names it: only good against accidents.
    Head,
}

/// Where a log is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line in it, from 1.
    pub line: u64,
    /// Bytes of the file before that line.
    pub byte: u64,
    /// What is wrong there.
    pub fault: Fault,
}

impl Problem {
    pub(super) fn new(spot: &Spot, fault: Fault) -> Self {
        Self { file: spot.file.clone(), line: spot.line, byte: spot.byte, fault }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, byte, fault } = self;
        write!(f, "{}:{line}: {fault} (byte {byte})", file.display())
    }
}

/// What can be wrong with a line, or with what a signed head says of them. The text names lines by
/// their numbers in the chain ("entry").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither a line, nor a remnant that a later line vouches for.
    #[error("this is no line of the log")]
    NotALine,
    /// A format this program does not know.
    #[error("its format {0} is unknown")]
    Format(u32),
    /// Its content is not what it was.
    #[error("it was changed: its hash does not fit")]
    Changed,
    /// Lines before it are gone.
    #[error("{count} missing before it: this is entry {found}, and {expected} should be here")]
    Missing {
        /// How many.
        count: u64,
        /// This line's number.
        found: u64,
        /// The number that should be here.
        expected: u64,
    },
    /// It stands before lines that it follows.
    #[error("out of order: this is entry {found}, and {expected} comes after it, in line {at}")]
    OutOfOrder {
        /// This line's number.
        found: u64,
        /// The number that should be here.
        expected: u64,
        /// The line where that is.
        at: u64,
    },
    /// It was there before.
    #[error("repeated: this is entry {found} again, and {expected} should be here")]
    Repeated {
        /// This line's number.
        found: u64,
        /// The number that should be here.
        expected: u64,
    },
    /// It has the right number and the wrong line before it.
    #[error("it does not follow from the line before")]
    Unlinked,
    /// The log begins too late.
    #[error("the log begins with entry {begins}, and no entry says that those before were deleted")]
    BeginsLate {
        /// Number of the first line.
        begins: u64,
    },
    /// There are fewer lines than were signed.
    #[error("cut short: the last entry is {has}, and entry {says} was signed")]
    Truncated {
        /// Number of the last line.
        has: u64,
        /// The number in the signed head.
        says: u64,
    },
    /// The line is another than the one that was signed.
    #[error("entry {seq} is not the one that was signed: the log is another")]
    AnotherChain {
        /// Number of the line.
        seq: u64,
    },
    /// There is no signed head where there should be one.
    #[error("the signed head is missing: the log may have been cut short")]
    HeadMissing,
    /// The signed head cannot be read, or was not signed with the log's key.
    #[error("the signed head was changed, or signed with another key")]
    HeadForged,
    /// The signature that ends a full file does not hold.
    #[error("its signature does not hold")]
    CheckpointForged,
    /// When the log was opened it was not what had been signed.
    #[error("when the log was opened here, it was not as it had been signed: {0}")]
    Noted(String),
}

impl Fault {
    /// A word for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotALine => "not_a_line",
            Self::Format(_) => "format",
            Self::Changed => "changed",
            Self::Missing { .. } => "missing",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::Repeated { .. } => "repeated",
            Self::Unlinked => "unlinked",
            Self::BeginsLate { .. } => "begins_late",
            Self::Truncated { .. } => "truncated",
            Self::AnotherChain { .. } => "another_chain",
            Self::HeadMissing => "head_missing",
            Self::HeadForged => "head_forged",
            Self::CheckpointForged => "checkpoint_forged",
            Self::Noted(_) => "noted",
        }
    }
}
