//! An error of the helper's, on its way to whoever started it.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// An [`super::Error`] on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// [`super::Error::Busy`].
    Busy,
    /// [`super::Error::NoAnchorPoint`].
    NoAnchorPoint,
    /// [`super::Error::KillSwitch`].
    KillSwitch,
    /// [`super::Error::Probe`].
    Probe(String),
    /// [`super::Error::Drift`].
    Drift(String),
    /// [`super::Error::Undo`].
    Undo(String),
    /// [`super::Error::NotFound`].
    NotFound(Text),
    /// [`super::Error::NotExecutable`].
    NotExecutable(Text, String),
    /// [`super::Error::Privileges`].
    Privileges(String),
    /// Anything else, in words.
    Other(String),
}

impl From<super::Error> for Failure {
    fn from(error: super::Error) -> Self {
        use super::Error;
        match error {
            Error::Busy => Self::Busy,
            Error::NoAnchorPoint => Self::NoAnchorPoint,
            Error::KillSwitch => Self::KillSwitch,
            Error::Probe(said) => Self::Probe(said),
            Error::Drift(said) => Self::Drift(said),
            Error::Undo { said } => Self::Undo(said),
            Error::NotFound(program) => Self::NotFound(program.as_os_str().into()),
            Error::NotExecutable { program, reason } => {
                Self::NotExecutable(program.as_os_str().into(), reason)
            }
            Error::Privileges(said) => Self::Privileges(said),
            Error::Filter { step, said } => Self::Other(format!("cannot {step}: {said}")),
            error @ (Error::Start(_)
            | Error::NoHelper
            | Error::Lost
            | Error::Control(_)
            | Error::Journal(_)) => Self::Other(match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }),
        }
    }
}

impl From<Failure> for super::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::NoAnchorPoint => Self::NoAnchorPoint,
            Failure::KillSwitch => Self::KillSwitch,
            Failure::Probe(said) => Self::Probe(said),
            Failure::Drift(said) => Self::Drift(said),
            Failure::Undo(said) => Self::Undo { said },
            Failure::NotFound(program) => Self::NotFound(program.into()),
            Failure::NotExecutable(program, reason) => {
                Self::NotExecutable { program: program.into(), reason }
            }
            Failure::Privileges(said) => Self::Privileges(said),
            Failure::Other(said) => Self::Filter { step: "do as it is told", said },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pf::Error;

    #[test]
    fn an_error_arrives_with_its_hint_and_its_exit_code() {
        let errors = [
            Error::Busy,
            Error::NoAnchorPoint,
            Error::KillSwitch,
            Error::Probe("late".to_owned()),
            Error::Undo { said: "x".to_owned() },
            Error::NotFound("agent".into()),
            Error::NotExecutable { program: "agent".into(), reason: "x".to_owned() },
            Error::Privileges("x".to_owned()),
        ];
        for error in errors {
            let said = (error.to_string(), error.hint(), error.exit_code());
            let text = serde_json::to_string(&Failure::from(error)).unwrap();
            let back = Error::from(serde_json::from_str::<Failure>(&text).unwrap());
            assert_eq!((back.to_string(), back.hint(), back.exit_code()), said);
        }
    }
}
