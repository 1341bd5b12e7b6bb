//! What caller, helper and stage say to each other over their sockets.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::{outcome::ExitStatus, text::Text};

/// To the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Redirect a group of your own to this port of 127.0.0.1.
    Redirect {
        /// The port.
        port: u16,
        /// See [`super::plan::Plan::strict`].
        strict: bool,
        /// Whom the agent becomes: the user who called sudo(8), unless root is who asks.
        user: Option<User>,
    },
    /// Prove it. The listener is served by now.
    Probe {
        /// What its answer must contain.
        run_id: String,
    },
    /// Start the agent.
    Go(Box<Go>),
    /// Pass this signal on.
    Signal {
        /// Its number.
        number: i32,
    },
}

/// From the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The group is redirected.
    Redirected {
        /// The group.
        gid: u32,
    },
    /// It is proved.
    Probed,
    /// The agent runs.
    Started,
    /// The agent has ended, and all that it started.
    Exited(ExitStatus),
    /// It cannot be done.
    Failed(Failure),
}

/// The agent, and who it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Go {
    /// Program and arguments.
    pub(crate) command: Vec<Text>,
    /// Its whole environment. Never that of a process that is root: dyld(1) would load libraries by it.
    pub(crate) env: Vec<(Text, Text)>,
    /// Where it starts; entered as the user.
    pub(crate) cwd: Text,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// Their number.
    pub(crate) uid: u32,
    /// Their name, by which their groups are found.
    pub(crate) name: String,
}

/// To the stage, which becomes the user and then the agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Become {
    /// Whom to become.
    pub(crate) user: User,
    /// In which group.
    pub(crate) gid: u32,
    /// What to execute then.
    pub(crate) go: Go,
}
