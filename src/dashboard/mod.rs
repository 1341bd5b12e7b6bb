//! The browser's side of the daemon: pages on 127.0.0.1.
//!
//! Knows no vault, no broker and no run: it shows what a [`Backend`] tells, and hands it what a person
//! enters. Whoever asks is nobody until they have come in by a one-time link; a page never holds a
//! secret that is already stored.
//!
//! Every request passes [`guard`] first; a handler sees only requests of a signed-in person, and a
//! POST only after its form has been read and its token checked. What cannot be shown is a page that
//! says why; what must not be shown is a 403 that says nothing.

mod context;
mod form;
mod guard;
mod headers;
mod link;
mod pages;
mod refusal;
mod routes;
mod server;
mod session;
mod token;
mod view;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::protocol::{
    ConnectionView, ErrorReply, Secret, Status,
    asks::{AskAnswer, AskView},
    login::{BeginLogin, LoginInput, LoginView, Removed},
};
use crate::provider::Registry;

pub use self::{routes::CALLBACK_PATHS, server::Dashboard};

/// The port of the dashboard, unless the user configured another.
pub const DEFAULT_PORT: u16 = 7998;

/// A future of a backend's.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ErrorReply>> + Send + 'a>>;

/// What the pages show and do. The daemon has one; tests have their own.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The same for one profile; no name: the one in use.
    fn of_profile(self: Arc<Self>, profile: Option<&str>) -> Arc<dyn Backend>;
    /// The profile that is shown.
    fn profile(&self) -> Arc<str>;
    /// How the daemon is, with the profile's open runs.
    fn status(&self) -> Status;
    /// All definitions.
    fn registry(&self) -> Arc<Registry>;
    /// All connections of the profile.
    fn connections(&self) -> Result<Vec<ConnectionView>, ErrorReply>;
    /// Stores a credential that a person entered.
    fn put<'a>(
        &'a self,
        provider: &'a str,
        connection: &'a str,
        fields: Vec<(String, Secret)>,
        replace: bool,
    ) -> Answer<'a, ConnectionView>;
    /// Makes a connection its provider's default.
    fn set_default<'a>(&'a self, provider: &'a str, connection: &'a str) -> Answer<'a, ()>;
    /// Deletes one connection, and revokes it at the provider.
    fn disconnect<'a>(&'a self, provider: &'a str, connection: &'a str) -> Answer<'a, Removed>;
    /// Begins a login by OAuth.
    fn begin_login(&self, login: BeginLogin) -> Answer<'_, LoginView>;
    /// A login at this moment; none if there is none of that id.
    fn login(&self, id: &str) -> Option<LoginView>;
    /// Adds to a login.
    fn login_input<'a>(&'a self, id: &'a str, input: LoginInput) -> Answer<'a, LoginView>;
    /// A browser came back from a provider with this query. `None`: no login is waiting for its
    /// `state`.
    fn callback<'a>(&'a self, query: &'a str) -> Answer<'a, Option<LoginView>>;
    /// Requests that wait for a person, oldest first.
    fn asks(&self) -> Vec<AskView>;
    /// How many there are.
    fn asks_count(&self) -> usize;
    /// A number that changes whenever something begins or ceases to wait.
    fn asks_changes(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Answers one of them. A `NotFound`: it was answered before, timed out, or its agent left.
    fn answer_ask<'a>(&'a self, id: &'a str, answer: AskAnswer) -> Answer<'a, AskView>;
    /// The newest records of the audit log that the filter lets through, newest first.
    fn audit<'a>(&'a self, filter: AuditFilter) -> Answer<'a, Vec<AuditLine>>;
    /// Requests and denials from now on, as they are recorded.
    fn live(&self) -> tokio::sync::broadcast::Receiver<Arc<AuditLine>>;
    /// What is wrong with the daemon and its vault, one sentence each with its mend; empty: nothing.
    fn problems(&self) -> Answer<'_, Vec<ErrorReply>>;
}

/// Which records of the audit log are wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// `request`, `splice`, `connection`, `run` or `vault`.
    pub kind: Option<String>,
    /// `allow` (anything but a denial) or `deny`.
    pub decision: Option<String>,
    /// Part of the host's name.
    pub host: Option<String>,
    /// `provider` or `provider/connection`.
    pub connection: Option<String>,
    /// A run's id.
    pub run: Option<String>,
    /// Only records before the one of this number.
    pub before: Option<u64>,
    /// At most this many.
    pub limit: usize,
}

/// A record of the audit log, as its JSON object.
pub type AuditLine = serde_json::Map<String, serde_json::Value>;
