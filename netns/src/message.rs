//! What caller, helper and init say to each other over the control socket.

#![cfg(target_os = "linux")]

use serde::{Deserialize, Serialize};

pub(crate) use crate::outcome::{ExitStatus, ListenerKind, ProbeReport};
pub(crate) use crate::text::Text;
use crate::{
    error::{ProbeError, Step},
    spec::{Credentials, DirectoryId, Network, Overlay},
};

/// From the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To the helper: make the namespaces and their network.
    Begin {
        /// The caller's pid.
        parent: i32,
        /// The network.
        network: Network,
    },
    /// To the helper: make the mounts. The files' contents follow as the frame's blob.
    Complete(Box<Mounts>),
    /// To init: prove the redirection.
    Probe {
        /// What the interceptor's answer must contain.
        run_id: String,
        /// Try a port without a listener of its own too.
        catch_all: bool,
        /// Try IPv6 too.
        ipv6: bool,
    },
    /// To init: start the command. The command's stdin comes with it.
    Go(Box<Go>),
    /// To init: pass this signal on.
    Signal {
        /// Its number.
        number: i32,
    },
}

/// What the helper mounts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mounts {
    /// See [`crate::Spec::trust_dir`]; none: no mounts (used for checks).
    pub(crate) trust_dir: Option<Text>,
    /// See [`crate::Spec::trust_dir_id`].
    pub(crate) trust_dir_id: Option<DirectoryId>,
    /// Path and length of each file.
    pub(crate) files: Vec<(Text, usize)>,
    /// See [`crate::Spec::merges`].
    pub(crate) merges: Vec<(Text, Text)>,
    /// See [`crate::Spec::overlays`].
    pub(crate) overlays: Vec<(Text, Text)>,
    /// See [`crate::Spec::copies`].
    pub(crate) copies: Vec<(Text, Text)>,
    /// See [`crate::Spec::keep`].
    pub(crate) keep: Vec<Text>,
    /// See [`crate::Spec::hide`].
    pub(crate) hide: Vec<Text>,
}

/// What init starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Go {
    /// Program and arguments.
    pub(crate) command: Vec<Text>,
    /// Environment.
    pub(crate) env: Vec<(Text, Text)>,
    /// Working directory.
    pub(crate) cwd: Text,
    /// Whom to become.
    pub(crate) user: Option<Credentials>,
}

/// To the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// One descriptor for each, in order. May come several times.
    Listeners(Vec<ListenerKind>),
    /// The helper is done: what it made.
    Built {
        /// Is the catch-all redirect in place?
        catch_all: bool,
        /// Is there IPv6?
        ipv6: bool,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// Init is there: the namespace is complete.
    Ready,
    /// The namespace could not be made.
    Failed {
        /// What failed.
        step: Step,
        /// Error number, if it was a system call.
        errno: Option<i32>,
        /// The error in words.
        detail: String,
    },
    /// The probe's result.
    Probed(Result<ProbeReport, ProbeError>),
    /// The command runs.
    Started,
    /// The working directory cannot be entered.
    NoDirectory {
        /// Error number.
        errno: i32,
    },
    /// The command cannot be executed.
    NoExec {
        /// Error number.
        errno: i32,
    },
    /// The command has stopped.
    Stopped {
        /// By this signal.
        signal: i32,
        /// While a group inside the namespace had the terminal.
        foreground: bool,
    },
    /// The command has ended.
    Exited(ExitStatus),
}

impl From<&Overlay> for (Text, Text) {
    fn from(value: &Overlay) -> Self {
        (value.source.as_os_str().into(), value.target.as_os_str().into())
    }
}
