//! Connections by OAuth: logins, renewal, revocation, and agents that do OAuth themselves.
//!
//! The flows themselves are [`crate::auth`]'s; here is what they mean for stored connections. All of it
//! waits for the network in the daemon's own runtime: a provider that is slow delays nobody else.

mod client;
mod exchange;
mod grant;
mod import;
mod login;
mod renew;
mod revoke;
mod store;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use tokio::runtime::Handle;

use self::login::Logins;
pub(super) use self::{
    exchange::Exchange,
    grant::{Freshness, Grant},
    renew::Renewals,
};
use super::{Broker, entry::Entry};
use crate::{
    auth::{Http, HttpError, HttpRequest, HttpResponse, Server},
    interceptor::{Dialer, fetch},
    protocol::{ErrorKind, ErrorReply, login::LoginNetwork},
};

/// Field of a connection that says what `{base_url}` of its definition stands for.
pub(super) const BASE_URL: &str = "base_url";

/// How the daemon's own requests leave.
pub trait Network: fmt::Debug + Send + Sync {
    /// The way out, by the configuration as it is now and what a login asked for beside it.
    ///
    /// # Errors
    /// A configuration that means nothing.
    fn dialer(&self, extra: &LoginNetwork) -> Result<Arc<Dialer>, ErrorReply>;
}

/// What the broker needs for OAuth.
#[derive(Clone, Debug)]
pub struct OAuthOptions {
    /// Where waiting is done.
    pub runtime: Handle,
    /// The way out.
    pub network: Arc<dyn Network>,
    /// Where providers lead browsers back to.
    pub redirect_uri: String,
    /// Why nobody listens there, if so.
    pub unreachable: Option<String>,
}

/// The broker's part that speaks OAuth.
#[derive(Debug)]
pub(super) struct OAuth {
    pub(super) runtime: Handle,
    network: Arc<dyn Network>,
    redirect_uri: String,
    unreachable: Option<String>,
    pub(super) renewals: Renewals,
    logins: Logins,
}

impl OAuth {
    pub(super) fn new(options: OAuthOptions) -> Self {
        let OAuthOptions { runtime, network, redirect_uri, unreachable } = options;
        let (renewals, logins) = (Renewals::default(), Logins::default());
        Self { runtime, network, redirect_uri, unreachable, renewals, logins }
    }

    /// What requests about stored connections leave by.
    fn http(&self) -> Result<Client, ErrorReply> {
        self.http_with(&LoginNetwork::default())
    }

    fn http_with(&self, extra: &LoginNetwork) -> Result<Client, ErrorReply> {
        self.network.dialer(extra).map(|dialer| Client { dialer })
    }
}

/// Sends the flows' requests.
#[derive(Debug)]
struct Client {
    dialer: Arc<Dialer>,
}

impl Http for Client {
    fn send<'a>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>> {
        Box::pin(async move {
            let answer = fetch(&self.dialer, request).await;
            answer.map_err(|error| HttpError(error.to_string()))
        })
    }
}

impl Broker {
    /// The authorization server a connection's grant is from.
    fn server_of(&self, entry: &Entry) -> Result<Server, ErrorReply> {
        if let Some(server) = entry.grant().and_then(|grant| grant.server.clone()) {
            return Ok(server);
        }
        let oauth = entry.definition.oauth_at(&entry.settings()).ok_or_else(|| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("{} has no OAuth in its definition any more", entry.definition.name),
            hint: Some(format!("authsome inspect {}", entry.definition.name)),
        })?;
        Server::new(&oauth, None).map_err(|error| auth_error(&error))
    }
}

/// A flow's error, as the commands show it.
fn auth_error(error: &crate::auth::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint())
}
