//! Where a value lies that the vault does not hold: a variable of the daemon's environment, a file, what
//! a command writes, the OS keyring.
//!
//! A [`Source`] is a pointer and no secret: it is shown, logged and stored as it is written. Only
//! [`Source::fetch`] meets the value. It blocks (a keyring may ask its user something) and remembers
//! nothing: how long a value may be used, and how many are fetched at once, is the caller's business.
//! This module knows no provider, no vault and no run.
//!
//! Everything that is not plainly a value is an [`Error`]: nothing, more than 64 KiB, bytes that are no
//! text, a command that fails. No error holds the value. What a command wrote to standard error is kept
//! apart ([`Error::said`]), for the user's own eyes.

mod command;
mod error;
mod file;
mod keyring;
mod parse;
mod said;
mod value;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::error::Error;

/// Outcome of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Most bytes a value has.
const MAX_VALUE: usize = 64 * 1024;

/// A pointer to a value.
///
/// Made by [`Source::parse`], which is also how it is deserialised; serialised as [`fmt::Display`] has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// A variable of this process's environment, by its name.
    Env(String),
    /// A file that holds the value and nothing else but one line break.
    File(PathBuf),
    /// What a program writes to standard output: its path or name, and its arguments.
    Command(Vec<String>),
    /// An entry of the OS keyring (Secret Service, macOS keychain).
    Keyring {
        /// Service the entry is filed under.
        service: String,
        /// User the entry is filed under.
        user: String,
    },
}

impl Source {
    /// The value, as it is now. Blocks for `limit` at most, as far as it can be helped: a keyring that
    /// asks for a password, or a file system that does not answer, takes as long as it takes.
    ///
    /// # Errors
    /// Whatever keeps it from being a value; see [`Error`].
    pub fn fetch(&self, limit: Duration) -> Result<SecretString> {
        match self {
            Self::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| Error::Unset(name.clone()))?;
                value::text(self, value.into_encoded_bytes().into())
            }
            Self::File(path) => value::text(self, file::read(path)?),
            Self::Command(words) => value::text(self, command::run(words, limit)?),
            Self::Keyring { service, user } => value::text(self, keyring::read(service, user)?),
        }
    }

    /// What kind it is, in a word: as it is written before the colon.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command(_) => "command",
            Self::Keyring { .. } => "keyring",
        }
    }

    /// The source with every path in it absolute and a program found in `path`, as a process elsewhere
    /// needs it: nobody can then be asked for another program of the same name.
    ///
    /// # Errors
    /// [`Error::NoProgram`], [`Error::Io`] if a file's directory is not there.
    pub fn anchored(self, cwd: &Path, path: &std::ffi::OsStr) -> Result<Self> {
        match self {
            Self::File(file) => file::anchored(&cwd.join(file)).map(Self::File),
            Self::Command(words) => command::anchored(words, cwd, path).map(Self::Command),
            other @ (Self::Env(_) | Self::Keyring { .. }) => Ok(other),
        }
    }

    /// Can a process elsewhere follow it?
    #[must_use]
    pub fn is_anchored(&self) -> bool {
        match self {
            Self::File(path) => path.is_absolute(),
            Self::Command(words) => words.first().is_some_and(|word| word.starts_with('/')),
            Self::Env(_) | Self::Keyring { .. } => true,
        }
    }

    /// The variable of the daemon's environment, if it is one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        if let Self::Env(name) = self { Some(name) } else { None }
    }

    /// The directory that whoever must not learn the value must not see. A directory, not the file: one
    /// that is replaced (rename(2)) loses whatever covered it.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        if let Self::File(path) = self { path.parent() } else { None }
    }

    /// The files that decide which value is fetched: whoever could replace them could have another
    /// program executed, or another file read.
    #[must_use]
    pub fn files(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::Command(words) => {
                words.iter().map(Path::new).filter(|word| word.is_absolute()).collect()
            }
            Self::Env(_) | Self::Keyring { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind())?;
        match self {
            Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Command(words) => f.write_str(&parse::joined(words)),
            Self::Keyring { service, user } => write!(f, "{service}/{user}"),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_variable_of_this_process_is_a_value() {
        let value = Source::parse("env:CARGO_MANIFEST_DIR").unwrap().fetch(LIMIT).unwrap();
        assert_eq!(value.expose_secret(), env!("CARGO_MANIFEST_DIR"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = Source::parse("env:AUTHSOME_NO_SUCH").unwrap().fetch(LIMIT).unwrap_err();
        assert!(error.to_string().contains("AUTHSOME_NO_SUCH"), "{error}");
    }

    #[test]
    fn nobody_may_see_the_directory_of_a_file() {
        let source = Source::parse("file:/run/secrets/key").unwrap();
        assert_eq!(source.directory(), Some(Path::new("/run/secrets")));
        assert_eq!(Source::parse("env:KEY").unwrap().directory(), None);
    }

    #[test]
    fn a_program_and_the_files_it_is_given_decide_the_value() {
        let source = Source::parse("command:/bin/sh /home/me/key.sh -x").unwrap();
        assert_eq!(source.files(), [Path::new("/bin/sh"), Path::new("/home/me/key.sh")]);
    }
}
