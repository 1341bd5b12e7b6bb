//! What of the agent's own servers is shown on the host.

use serde::{Deserialize, Serialize};

/// Ports below are never published: what listens there belongs to the machine.
pub const FIRST_PORT: u16 = 1024;
/// Where the dashboard usually is. Never published, whether or not it is served at the moment: a
/// browser's session for it must not go to an agent.
pub const DASHBOARD_PORT: u16 = 7998;

/// `auto` or `PORT[:HOSTPORT]` of `--publish`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// Whatever the agent listens on at its loopback addresses or at any, for as long as it does.
    Auto,
    /// This port, whether or not it is listened on yet.
    Port(PublishedPort),
}

/// A port of the agent's loopback, and the one of the host's that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The agent's.
    pub port: u16,
    /// The host's.
    pub host_port: u16,
}

impl Publish {
    /// The port that it names; none if it names none.
    #[must_use]
    pub fn port(&self) -> Option<PublishedPort> {
        match self {
            Self::Auto => None,
            Self::Port(port) => Some(*port),
        }
    }
}
