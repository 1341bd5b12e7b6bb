//! What can be wrong with a policy, and where.

use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file in the directory looks like rules, and is none that is read.
    #[error("{} is not read: rules stand in {}", path.display(), super::RULES_FILE)]
    NotRead {
        /// The file.
        path: PathBuf,
    },
    /// A file says something that means nothing.
    #[error("{place}: {message}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong there.
        message: String,
        /// What to write instead.
        mend: Option<String>,
    },
    /// The schema or a translation of ours is not what Cedar takes: a fault of this program.
    #[error("the policy cannot be compiled: {message}")]
    Internal {
        /// What Cedar says.
        message: String,
    },
}

/// Something that is allowed, but most likely not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

impl Place {
    /// The place of a byte of `text`, the contents of `path`.
    #[must_use]
    pub fn of(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |line| line.chars().count());
        Self { path: path.to_owned(), line, column }
    }

    /// `NAME:LINE`, as statements are called that have no name of their own.
    pub(super) fn short(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}:{}", self.line)
    }
}

impl Error {
    /// Where it is, if it is in a file.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Invalid { place, .. } => Some(place),
            Self::Read { .. } | Self::NotRead { .. } | Self::Internal { .. } => None,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { mend, .. } => mend.clone(),
            Self::NotRead { path } => {
                let place = path.with_file_name(super::RULES_FILE);
                Some(format!("move its rules to {}, or it elsewhere", place.display()))
            }
            Self::Read { .. } | Self::Internal { .. } => None,
        }
    }
}

/// The text of a file of at most `max` bytes.
pub(super) fn read_text(path: &Path, max: u64) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(error.as_bytes());
        Error::Invalid {
            place: Place::of(path, &text, error.utf8_error().valid_up_to()),
            message: "it is not UTF-8".to_owned(),
            mend: None,
        }
    })
}
