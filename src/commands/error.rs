//! What ends a command: a kind, a sentence, and what would mend it.

use std::{fmt, process::ExitCode};

use crate::{
    audit, config, import, output, paths, policy,
    protocol::{ErrorKind, ErrorReply, chain},
};

/// What ended a command.
#[derive(Debug)]
pub struct Error {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What failed, lower case, no full stop.
    pub message: String,
    /// A command to type, or a sentence.
    pub hint: Option<String>,
    /// Set if it was standard output that failed.
    pub output: Option<output::Error>,
    code: Option<u8>,
}

impl Error {
    /// An error of `kind`.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, output: None, code: None }
    }

    /// [`ErrorKind::Failed`], for what has no kind of its own.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// [`ErrorKind::Failed`] from `what` and the chain of causes below it.
    #[must_use]
    pub fn caused(what: impl fmt::Display, cause: &dyn std::error::Error) -> Self {
        Self::failed(format!("{what}: {}", chain(cause)))
    }

    /// Adds what would mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Ends the program with `code` in place of the kind's: 126 and 127 of `run`.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = Some(code);
        self
    }

    /// Ends the program with `code` unless a code was set before: 125 of `run`.
    #[must_use]
    pub fn or_code(mut self, code: u8) -> Self {
        self.code.get_or_insert(code);
        self
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code.unwrap_or(match self.kind {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::NotFound => 3,
            ErrorKind::LoginNeeded => 4,
            ErrorKind::Unavailable => 5,
            ErrorKind::Exists => 7,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<ErrorReply> for Error {
    fn from(reply: ErrorReply) -> Self {
        Self { hint: reply.hint, ..Self::new(reply.kind, reply.message) }
    }
}

impl From<output::Error> for Error {
    fn from(error: output::Error) -> Self {
        Self { output: Some(error), ..Self::failed("cannot write to standard output") }
    }
}

impl From<output::PromptError> for Error {
    fn from(error: output::PromptError) -> Self {
        Self::failed(chain(&error))
    }
}

impl From<paths::Error> for Error {
    fn from(error: paths::Error) -> Self {
        Self { hint: error.hint(), ..Self::failed(chain(&error)) }
    }
}

impl From<audit::Error> for Error {
    fn from(error: audit::Error) -> Self {
        Self { hint: error.hint(), ..Self::failed(chain(&error)) }
    }
}

impl From<policy::Error> for Error {
    fn from(error: policy::Error) -> Self {
        Self { hint: error.hint(), ..Self::failed(chain(&error)) }
    }
}

impl From<import::Error> for Error {
    fn from(error: import::Error) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { hint, ..Self::new(ErrorKind::NotFound, chain(&error)) }
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        let kind = match error {
            config::Error::Read { .. } | config::Error::Write { .. } => ErrorKind::Failed,
            config::Error::Invalid { .. } => ErrorKind::Usage,
        };
        Self { hint: error.hint().map(str::to_owned), ..Self::new(kind, chain(&error)) }
    }
}

impl From<config::run::Error> for Error {
    fn from(error: config::run::Error) -> Self {
        Self::failed(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_outermost_first() {
        let cause = std::io::Error::other("disk gone");
        let error = config::Error::Read { path: "/c".into(), source: cause };

        assert_eq!(chain(&error), "cannot read /c: disk gone");
    }

    #[test]
    fn a_code_that_was_set_is_not_replaced() {
        let error = Error::failed("x").with_code(127).or_code(125);

        assert_eq!(error.exit_code(), ExitCode::from(127));
    }
}
