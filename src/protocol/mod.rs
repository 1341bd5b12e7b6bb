//! What the commands and the daemon say to each other.
//!
//! One JSON object a line over a Unix socket in `$AUTHSOME_HOME`. A client sends an [`Envelope`] and
//! reads one [`Reply`]. [`Request::OpenRun`] keeps its connection: the run lasts as long as it, and
//! listening sockets follow it with `SCM_RIGHTS` (unix(7)). Secrets cross this socket only in
//! [`Request::PutConnection`], passphrases in [`vault::VaultRequest`], and in answers to requests that say `reveal`.

pub mod asks;
pub mod audit;
mod env;
pub mod identity;
pub mod login;
pub mod publish;
pub mod source;
pub mod vault;

use std::{collections::BTreeMap, fmt};

pub use self::env::EnvFrom;
pub use netns::{DirectoryId, ListenerKind};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What a client sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of the client; the daemon refuses another than its own, except to say its status or
    /// to stop.
    pub version: String,
    /// Profile that is meant; none: the one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Agent identity that acts, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What is asked.
    pub request: Request,
}

/// What is asked of the daemon.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Who and how the daemon is. Answer: [`Status`].
    Status,
    /// Stop after the open requests are done. Answer: `null`, sent before draining begins.
    Stop,
    /// Connections of one provider, or of all. Answer: `Vec<ConnectionView>`.
    Connections {
        /// Only this provider's.
        provider: Option<String>,
    },
    /// Stores a credential. Answer: [`ConnectionView`].
    PutConnection {
        /// Provider name.
        provider: String,
        /// Connection name.
        connection: String,
        /// Values by field name of the provider's definition.
        fields: BTreeMap<String, Secret>,
        /// Replace an existing connection (else: [`ErrorKind::Exists`]).
        replace: bool,
    },
    /// Stores a connection whose values lie elsewhere. Answer: [`Sourced`](source::Sourced).
    PutSourced(Box<source::PutSourced>),
    /// One connection, with its secrets only if `reveal`. Answer: [`Credential`].
    GetConnection {
        /// Provider name.
        provider: String,
        /// Connection name; none: the provider's default.
        connection: Option<String>,
        /// Include the secret values.
        reveal: bool,
        /// What the audit log calls it: `get` or `export`.
        purpose: String,
    },
    /// Makes a connection the provider's default. Answer: [`ConnectionView`].
    SetDefault {
        /// Provider name.
        provider: String,
        /// Connection name.
        connection: String,
    },
    /// Deletes a connection. Asks OAuth providers to revoke them first. Answer:
    /// `Vec<Removed>` (see [`login::Removed`]), what was deleted.
    DeleteConnections {
        /// Provider name.
        provider: String,
        /// Connection name; none: all of the provider's.
        connection: Option<String>,
        /// Also forget the clients kept for the provider.
        forget_clients: bool,
    },
    /// Begins a login by OAuth. Answer: [`LoginView`](login::LoginView).
    BeginLogin(Box<login::BeginLogin>),
    /// Stores an OAuth login that was made elsewhere. Answer: a string, `stored`, `replaced` or `client`
    /// where there was only that.
    ImportTokens(Box<login::ImportTokens>),
    /// Waits until a login's revision is another than `seen`, or for `seconds`.
    /// Answer: [`LoginView`](login::LoginView).
    AwaitLogin {
        /// The login's id.
        id: String,
        /// The revision the client knows.
        seen: u64,
        /// Longest wait.
        seconds: u32,
    },
    /// Adds to a login. Answer: [`LoginView`](login::LoginView).
    LoginInput {
        /// The login's id.
        id: String,
        /// What is added.
        input: login::LoginInput,
    },
    /// About requests that wait for a person.
    Asks(asks::AsksRequest),
    /// Makes a link that opens the dashboard once. Answer: a string, the URL.
    DashboardLink {
        /// Page to show first, such as `/logins/ID`.
        page: Option<String>,
    },
    /// The provider definitions on disk changed. Answer: `null`.
    ReloadProviders,
    /// Reads and decrypts every record. Answer: [`VaultReport`].
    VerifyVault,
    /// What is wrong with the daemon and the profile's vault. Answer: `Vec<ErrorReply>`; of kind
    /// [`ErrorKind::Unavailable`] is what refuses requests.
    Problems,
    /// About the agent identities of a profile. Answer: see [`identity::IdentityRequest`].
    Identity(identity::IdentityRequest),
    /// About the profiles. Answer: see [`identity::ProfileRequest`].
    Profile(identity::ProfileRequest),
    /// How the audit log is, and the key that verifies it. Answer: [`AuditView`](audit::AuditView).
    Audit,
    /// What concerns the vaults of all profiles: see there for the answers.
    Vault(vault::VaultRequest),
    /// Begins a run; the connection stays open until it ends. Answer: [`RunOpened`].
    OpenRun(Box<OpenRun>),
    /// On a run's connection: listening sockets follow, one descriptor per entry, in order.
    /// Answer: `null`, when the daemon accepts on them.
    Attach {
        /// What each descriptor is.
        listeners: Vec<ListenerKind>,
    },
}

/// A secret on its way over the socket: no `Debug` of the value, zeroed on drop.
#[derive(Clone)]
pub struct Secret(pub SecretString);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secrecy::ExposeSecret::expose_secret(&self.0))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|value| Self(SecretString::from(value)))
    }
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// Done.
    Ok(T),
    /// Not done.
    Error(ErrorReply),
}

/// An error as it crosses the socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorReply {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What failed, lower case, no full stop.
    pub message: String,
    /// What would mend it: a command to type, or a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl ErrorReply {
    /// An error of `kind` with its causes, and what would mend it.
    pub fn caused(kind: ErrorKind, error: &dyn std::error::Error, hint: Option<String>) -> Self {
        Self { kind, message: chain(error), hint }
    }
}

/// An error and its causes in one line, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Kinds of error, one per exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Exit code 1.
    Failed,
    /// Exit code 2.
    Usage,
    /// No such provider or connection: exit code 3.
    NotFound,
    /// Exit code 4.
    LoginNeeded,
    /// Daemon or vault unavailable: exit code 5.
    Unavailable,
    /// Exit code 7.
    Exists,
}

/// How the daemon is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Open runs.
    pub runs: Vec<RunView>,
    /// Where the master key is: `file`, `keyring` or `passphrase`.
    pub master_key: String,
    /// Can the vaults be read?
    #[serde(default)]
    pub vault: vault::VaultState,
    /// Where the dashboard is; none: it is not served.
    #[serde(default)]
    pub dashboard: Option<String>,
}

/// An open run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// First word of its command.
    pub command: String,
    /// The agent that acts in it, `agent://local/NAME`.
    #[serde(default)]
    pub agent: String,
    /// The profile it runs in.
    #[serde(default)]
    pub profile: String,
    /// Seconds since it was opened.
    pub seconds: u64,
    /// Requests so far.
    pub requests: u64,
    /// The agent's ports that the host's loopback shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<publish::PublishedPort>,
}

/// A connection without its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionView {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Is it the provider's default?
    pub default: bool,
    /// `connected`, `needs_login`, or `source_failed` where a value that lies elsewhere could not be
    /// fetched the last time.
    pub status: String,
    /// Why a login is needed or a value cannot be fetched, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Scopes that were granted, where there are such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Values of the fields that are no secrets.
    pub fields: BTreeMap<String, String>,
    /// Names of the fields that are secrets.
    pub secret_fields: Vec<String>,
    /// Where the values of those lie that the vault does not hold, by field:
    /// `env:NAME`, `file:PATH`, `command:PROGRAM …` or `keyring:SERVICE/USER`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// When it was stored (RFC 3339, UTC).
    pub created_at: String,
    /// When it was last used by a run, as far as this daemon knows (RFC 3339, UTC).
    pub last_used_at: Option<String>,
    /// When the credential expires (RFC 3339, UTC), if it does.
    pub expires_at: Option<String>,
}

/// The command that connects a provider.
#[must_use]
pub fn login_command(provider: &str, connection: &str) -> String {
    match connection {
        "default" => format!("authsome login {provider}"),
        name => format!("authsome login {provider} --connection {name}"),
    }
}

/// A connection with, if asked for, its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    /// The connection.
    #[serde(flatten)]
    pub view: ConnectionView,
    /// Secret values by field name: revealed, or absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
}

/// What reading the whole vault found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VaultReport {
    /// Records that were read and decrypted.
    pub records: usize,
    /// One sentence for each record that could not be.
    pub damaged: Vec<String>,
}

/// What begins a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenRun {
    /// The run's id, made by `run`: 16 hexadecimal digits.
    pub id: String,
    /// First word of the command.
    pub command: String,
    /// What the agent is called where no identity was named, and none is the default.
    pub agent: String,
    /// The run's certificate authority, so that a daemon that comes back serves the same one.
    pub ca: RunCaKey,
    /// What the agent may reach and how.
    pub options: RunOptions,
    /// Names the DNS responder had given addresses to, for a daemon that comes back.
    pub names: BTreeMap<String, std::net::Ipv4Addr>,
    /// Proxy variables of the user's environment (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, …).
    pub proxy: BTreeMap<String, String>,
}

/// A run's certificate authority.
#[derive(Clone, Serialize, Deserialize)]
pub struct RunCaKey {
    /// Certificate, PEM.
    pub certificate: String,
    /// Private key, PKCS#8 PEM.
    pub key: Secret,
}

impl fmt::Debug for RunCaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCaKey").finish_non_exhaustive()
    }
}

/// What a run was asked for, by flags and `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Connection to use, by provider.
    pub connections: BTreeMap<String, String>,
    /// Further variables to set, of each name one.
    #[serde(default)]
    pub env: Vec<EnvFrom>,
    /// What hosts without a provider are.
    pub egress: Egress,
    /// Hosts that may be reached whatever `egress` says, and the address guard too.
    pub allow: Vec<HostPort>,
    /// Addresses to dial in place of resolving.
    pub resolve: Vec<ResolveRule>,
    /// Added roots for upstream verification, PEM.
    pub upstream_ca: Vec<String>,
    /// The agent's own ports to show on the host's loopback.
    #[serde(default)]
    pub publish: Vec<publish::Publish>,
}

/// What happens to hosts no provider claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// They are spliced.
    #[default]
    Open,
    /// They are refused.
    Providers,
}

/// `HOST[:PORT]` of `--allow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// Name, `*.suffix`, IP literal or `*`.
    pub host: String,
    /// Port; none: any.
    pub port: Option<u16>,
}

/// `HOST:PORT:ADDR[:PORT]` of `--resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveRule {
    /// Name, or `*` for any.
    pub host: String,
    /// Port the agent dialled.
    pub port: u16,
    /// Address to dial.
    pub address: std::net::IpAddr,
    /// Port to dial; none: the same.
    pub to_port: Option<u16>,
}

/// What `run` needs to go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunOpened {
    /// The home that the daemon holds: what the agent must not see, whatever its path names by now.
    pub home: DirectoryId,
    /// The profile it runs in, for a daemon that comes back.
    pub profile: String,
    /// The name of the identity it acts as, for the same.
    pub identity: String,
    /// Variables to set in the agent's environment: placeholders.
    pub set_env: BTreeMap<String, String>,
    /// Variables to remove from it: those of every known provider that hold something else.
    pub remove_env: Vec<String>,
    /// Directories that the agent must not see: without that there is no run.
    #[serde(default)]
    pub hide: Vec<std::path::PathBuf>,
    /// Files that the agent must not replace.
    #[serde(default)]
    pub keep: Vec<std::path::PathBuf>,
    /// Things the user should know, such as a variable two connections claim.
    pub warnings: Vec<String>,
    /// Why ports that were named are not published.
    #[serde(default)]
    pub not_published: Vec<ErrorReply>,
}

/// What the daemon sends on a run's connection, unasked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// A name was given an address.
    Named {
        /// The name.
        name: String,
        /// Its address.
        address: std::net::Ipv4Addr,
    },
    /// A request of the run waits for a person, and none did before.
    Asked {
        /// What it is answered by.
        id: String,
        /// The request in a few words.
        request: String,
    },
    /// A port of the agent's is reached on the host's loopback from now on.
    Published {
        /// Which.
        port: publish::PublishedPort,
    },
    /// A port of the agent's is not.
    NotPublished {
        /// The host's port it would have had.
        host_port: u16,
        /// Why not.
        reason: String,
    },
    /// The daemon was told to stop. The run goes on without network until there is a daemon again,
    /// but does not start one: somebody wanted it stopped.
    Stopping,
}
