//! A login by OAuth, as the commands, the dashboard and the daemon speak of it.
//!
//! A login is begun once and then looked at until it has ended: by the command that began it, by a
//! page of the dashboard, or both. It lives in the daemon's memory only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConnectionView, ErrorReply, ResolveRule, Secret};

/// What begins a login.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BeginLogin {
    /// Provider's name, or the URL of a server that says itself how to log in (RFC 9728).
    pub provider: String,
    /// Connection's name.
    pub connection: String,
    /// `pkce`, `device_code`, `dcr_pkce` or `client_credentials`; none: the provider's own.
    pub flow: Option<String>,
    /// Scopes in place of the provider's own.
    pub scopes: Option<Vec<String>>,
    /// What `{base_url}` of the definition stands for; none: its default.
    pub base_url: Option<String>,
    /// The user's own client; none: the one stored for this provider and base URL.
    pub client: Option<ClientCredentials>,
    /// Replace an existing connection.
    pub replace: bool,
    /// Values of fields that are no secrets.
    pub fields: BTreeMap<String, String>,
    /// How this login's requests leave, beside what the daemon is configured with.
    pub network: LoginNetwork,
}

/// A client registered at a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientCredentials {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; none: a public client. For `private_key_jwt` the private key, PKCS#8 PEM.
    pub secret: Option<Secret>,
}

/// How the requests of one login leave.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoginNetwork {
    /// Addresses to dial in place of resolving.
    pub resolve: Vec<ResolveRule>,
    /// Added roots, PEM.
    pub upstream_ca: Vec<String>,
    /// Proxy variables of the user's environment.
    pub proxy: BTreeMap<String, String>,
}

/// A login at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoginView {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// Goes up with each change, so that a look can wait for the next one.
    pub revision: u64,
    /// Provider's name, as it will be stored.
    pub provider: String,
    /// Provider's name for people.
    pub display_name: String,
    /// Connection's name.
    pub connection: String,
    /// When it ends by itself (RFC 3339, UTC).
    pub expires_at: String,
    /// Where it is.
    #[serde(flatten)]
    pub step: LoginStep,
}

/// Where a login is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum LoginStep {
    /// Requests of our own are under way: discovery, registration, the exchange of a code.
    Working,
    /// The provider wants a client that the user has registered there.
    NeedsClient {
        /// What to register as its redirect URI.
        redirect_uri: String,
        /// Where to register it, in a sentence.
        hint: Option<String>,
        /// Does the client need a secret?
        needs_secret: bool,
    },
    /// The user is to open a page of the provider's, which leads back to the daemon.
    Browser {
        /// The page.
        url: String,
        /// Where it leads back to.
        redirect_uri: String,
    },
    /// The user is to type a code into a page of the provider's.
    Device {
        /// The code.
        user_code: String,
        /// The page.
        verification_uri: String,
        /// The page with the code filled in, if the provider has one.
        verification_uri_complete: Option<String>,
    },
    /// The connection is stored.
    Done {
        /// `stored` or `replaced`.
        status: String,
        /// The connection. Under another name on the wire, where the view has its own `connection`.
        #[serde(rename = "stored")]
        connection: Box<ConnectionView>,
    },
    /// Nothing is stored.
    Failed {
        /// Why.
        error: ErrorReply,
    },
}

impl LoginStep {
    /// Has the login ended?
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// What a person adds to a login under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum LoginInput {
    /// The client it waits for.
    Client {
        /// The client.
        client: ClientCredentials,
    },
    /// The address a browser was led back to, where the browser could not reach the daemon itself.
    Redirect {
        /// The whole URL, or its query.
        url: Secret,
    },
    /// It is not wanted any more.
    Cancel,
}

/// A connection that was deleted, and what its provider said to that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Removed {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionView,
    /// `revoked`; `unsupported`: the provider has no such endpoint, or the credential is a key;
    /// `failed`: see `problem`.
    pub remote: String,
    /// Why the provider did not revoke it, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// An OAuth login that was made elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportTokens {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Access token; none: there is only a client, for the next login.
    pub access_token: Option<Secret>,
    /// Refresh token.
    pub refresh_token: Option<Secret>,
    /// When the access token expires (RFC 3339, UTC), if that is known.
    pub expires_at: Option<String>,
    /// Scopes that were asked for.
    pub scopes: Vec<String>,
    /// What `{base_url}` of the definition stands for; none: its default.
    pub base_url: Option<String>,
    /// The client the tokens were issued to: a refresh is refused to any other.
    pub client: Option<ClientCredentials>,
    /// Replace an existing connection.
    pub replace: bool,
}
