//! Why an agent was not started, or not left to run.

use std::{ffi::OsString, io};

/// Something went wrong; the filter is as it was before, or the message says that it is not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The helper could not be started.
    #[error("cannot start the helper that changes the packet filter")]
    Start(#[source] io::Error),
    /// It ended before it had said a word: sudo(8) was denied, mostly.
    #[error("the helper that changes the packet filter did not start")]
    NoHelper,
    /// It ended in the middle.
    #[error("the helper that changes the packet filter ended unexpectedly")]
    Lost,
    /// The control socket failed or said something out of turn.
    #[error("cannot speak with the helper that changes the packet filter")]
    Control(#[source] io::Error),
    /// Another run has it.
    #[error("another run uses the packet filter")]
    Busy,
    /// The main rule set would not evaluate our anchor.
    #[error("the packet filter's main rules have no anchor com.apple/*")]
    NoAnchorPoint,
    /// `lo0` is not looked at, and rules that block rely on that.
    #[error(
        "the packet filter skips lo0, and its main rules block: a VPN's kill switch, most likely"
    )]
    KillSwitch,
    /// pfctl(8) did not do, or not say, what it should.
    #[error("the packet filter does not {step}: {said}")]
    Filter {
        /// What it should have done, as an infinitive.
        step: &'static str,
        /// What pfctl printed, or why it could not be called.
        said: String,
    },
    /// The journal of what has been changed cannot be kept.
    #[error("cannot keep the journal of changes to the packet filter")]
    Journal(#[source] io::Error),
    /// What was changed could not be undone.
    #[error("the packet filter could not be put back as it was: {said}")]
    Undo {
        /// What failed.
        said: String,
    },
    /// The redirection is not proved.
    #[error("the packet filter's redirection is not safe to use: {0}")]
    Probe(String),
    /// Someone else changed the filter under a running agent, which was ended.
    #[error("another program changed the packet filter, and the agent was ended: {0}")]
    Drift(String),
    /// There is no such command.
    #[error("{}: command not found", .0.display())]
    NotFound(OsString),
    /// The command cannot be executed.
    #[error("{}: cannot be executed: {reason}", program.display())]
    NotExecutable {
        /// Its first word.
        program: OsString,
        /// What exec said.
        reason: String,
    },
    /// The user's groups could not be taken on, or root not be given up.
    #[error("cannot become the user the agent acts for: {0}")]
    Privileges(String),
}

impl Error {
    /// Why a program was not executed.
    #[cfg(target_os = "macos")]
    pub(crate) fn of_exec(program: OsString, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::NotFound(program)
        } else {
            Self::NotExecutable { program, reason: error.to_string() }
        }
    }

    /// What the user can do about it, if anything.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHelper => "sudo must be allowed; without it: authsome run --redirect proxy".into(),
            Self::Busy => "wait for it to end, or: authsome run --redirect proxy".into(),
            Self::NoAnchorPoint => "/etc/pf.conf as it comes with macOS has the lines \
                                    rdr-anchor \"com.apple/*\" and anchor \"com.apple/*\": add them, \
                                    then sudo pfctl -f /etc/pf.conf"
                .into(),
            Self::KillSwitch => "switch the VPN's kill switch off, or: authsome run --redirect proxy".into(),
            Self::Undo { .. } => "sudo pfctl -a com.apple/authsome -F rules; \
                                  sudo pfctl -a com.apple/authsome -F nat"
                .into(),
            Self::Probe(_) | Self::Filter { .. } => {
                "see what else uses the packet filter: sudo pfctl -s References; \
                 or: authsome run --redirect proxy"
                    .into()
            }
            Self::Start(_)
            | Self::Lost
            | Self::Control(_)
            | Self::Journal(_)
            | Self::Drift(_)
            | Self::NotFound(_)
            | Self::NotExecutable { .. }
            | Self::Privileges(_) => return None,
        })
    }

    /// Exit code as a shell would give it: 127 for a command that is not found, 126 for one that cannot
    /// be executed, else 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable { .. } => 126,
            Self::Start(_)
            | Self::NoHelper
            | Self::Lost
            | Self::Control(_)
            | Self::Busy
            | Self::NoAnchorPoint
            | Self::KillSwitch
            | Self::Filter { .. }
            | Self::Journal(_)
            | Self::Undo { .. }
            | Self::Probe(_)
            | Self::Drift(_)
            | Self::Privileges(_) => 125,
        }
    }
}
