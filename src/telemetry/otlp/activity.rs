//! One request or connection, as telemetry tells of it.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityKind {
    /// An HTTP request.
    Request,
    /// A connection passed through undecrypted.
    Splice,
    /// A connection closed without a request.
    Connection,
}

/// A request or connection that has come to its end. Holds no header, no query and no body.
#[derive(Clone, Debug)]
pub struct Activity {
    /// What it was.
    pub kind: ActivityKind,
    /// When it began.
    pub started: SystemTime,
    /// From then until the last byte.
    pub duration: Duration,
    /// Request method.
    pub method: Option<Cow<'static, str>>,
    /// Host it went to.
    pub host: Option<Arc<str>>,
    /// Port it went to.
    pub port: Option<u16>,
    /// Path; what follows a `?` is not sent.
    pub path: Option<Cow<'static, str>>,
    /// Status the agent got.
    pub status: Option<u16>,
    /// Code of the denial or failure.
    pub error: Option<Cow<'static, str>>,
    /// Name of the agent.
    pub agent: Option<Arc<str>>,
    /// Id of the run.
    pub run: Option<Arc<str>>,
    /// `provider/connection`.
    pub connection: Option<Arc<str>>,
    /// What was decided: `inject`, `deny`, ….
    pub decision: Option<Cow<'static, str>>,
    /// Policy that decided, where one did.
    pub policy: Option<Arc<str>>,
    /// Body or tunnel bytes from the agent.
    pub bytes_sent: u64,
    /// Body or tunnel bytes to the agent.
    pub bytes_received: u64,
}

/// The provider of `provider/connection`.
pub(super) fn provider(connection: &str) -> &str {
    connection.split('/').next().unwrap_or(connection)
}
