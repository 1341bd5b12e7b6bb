//! The one seam between bytes and secrets.
//!
//! The interceptor moves bytes and knows no vault, no provider and no policy; the broker knows all
//! of those and moves no bytes. They meet here: the interceptor asks a [`Gate`] what may happen to a
//! connection and to each request on it, does exactly that, and reports what came of it.
//!
//! Any error on the way to a [`Verdict`] is a [`Verdict::Deny`]; there is no "allow on failure".

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, request::Parts};
use secrecy::SecretString;

use crate::{
    process::Process,
    request_path::Canonical,
    scrub::{Finder, Scrubber},
};

/// Where a connection is going: the name the agent asked for and the port it dialled.
///
/// `host` is lower-case, without a trailing dot; an IPv6 literal has no brackets. It is the name that
/// is resolved, dialled and verified, and so the only name a credential may follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// DNS name or IP literal.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What may happen to a connection, decided before any handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Terminate TLS and ask about every request.
    Intercept,
    /// Pass the bytes through, still encrypted.
    Splice,
    /// Close it.
    Refuse(Denial),
    /// It cannot be said at once: [`Gate::hold`] says it. Nothing is sent or answered until then.
    Hold,
}

/// Why something was refused: for the agent, the audit log and the person who reads either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Stable machine-readable code, such as `egress-refused`.
    pub code: &'static str,
    /// One sentence saying what was refused.
    pub reason: String,
    /// A command that would change it, if there is one.
    pub hint: Option<String>,
    /// HTTP status for the agent: 403 unless another says more (401 where a login is needed).
    pub status: u16,
}

impl Denial {
    /// Code of a request with a placeholder where it does not belong.
    pub const MISPLACED: &'static str = "placeholder-misplaced";

    /// The placeholder of `connection` in a request that does not get its credential.
    #[must_use]
    pub fn misplaced(connection: &str, target: &Target) -> Self {
        Self::about_placeholder(
            connection,
            format!("does not belong in this request to {}", target.host),
        )
    }

    /// The placeholder of `connection` at its own host, and not where that takes its credential.
    #[must_use]
    pub fn left_over(connection: &str, target: &Target) -> Self {
        let host = &target.host;
        Self::about_placeholder(connection, format!("is not where {host} takes its credential"))
    }

    /// The placeholder of `connection` on its way over a connection that is not encrypted.
    #[must_use]
    pub fn in_clear(connection: &str, target: &Target) -> Self {
        Self::about_placeholder(connection, format!("was sent to {target} without encryption"))
    }

    fn about_placeholder(connection: &str, what: String) -> Self {
        let provider = connection.split('/').next().unwrap_or(connection);
        Self {
            code: Self::MISPLACED,
            reason: format!("the placeholder of {connection} {what}"),
            hint: Some(format!("authsome inspect {provider}")),
            status: 403,
        }
    }
}

/// What is known of a request before it is sent on. Holds no secret: no header, no query string.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// Request method.
    pub method: Method,
    /// The connection's target; the request's authority has been checked against it.
    pub target: Target,
    /// Path without the query, as it will be sent.
    pub path: Canonical,
}

/// What a gate says, and the policy by which it says so, if it is by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling<T> {
    /// What may happen.
    pub says: T,
    /// The policy's id, for the audit log.
    pub policy: Option<Arc<str>>,
    /// `provider/connection` that was asked about, where what it says does not tell.
    pub connection: Option<Arc<str>>,
}

impl<T> From<T> for Ruling<T> {
    fn from(says: T) -> Self {
        Self { says, policy: None, connection: None }
    }
}

/// What may happen to a request.
#[derive(Debug)]
pub enum Verdict {
    /// Answer it here with the denial's status and a problem document (RFC 9457).
    Deny(Denial),
    /// As [`Self::Deny`], because its head holds the placeholder of this connection, which it is not for.
    Misplaced(Arc<str>),
    /// The same, and say when it may be tried again (`Retry-After`, RFC 9110 §10.2.3).
    Later(Denial, Duration),
    /// Send it on as it is.
    Forward,
    /// Send it on with a credential.
    Inject(Injection),
    /// It goes to a token endpoint of a connected provider: the request and its answer are looked at
    /// whole, so that no token of the provider's reaches the agent.
    Exchange(Arc<dyn TokenExchange>),
}

/// One request to a token endpoint (RFC 6749 §3.2), made by an agent that does OAuth itself.
pub trait TokenExchange: fmt::Debug + Send + Sync {
    /// `provider/connection` that is answered for, for the audit log.
    fn connection(&self) -> Arc<str>;

    /// The answer to a request that holds a placeholder of ours, which means nothing to the server;
    /// `None`: the server is to answer.
    fn answer(&self, head: &Parts, body: &[u8]) -> Option<http::Response<Bytes>>;

    /// What the agent gets of the server's answer, its tokens replaced; `None`: it cannot be looked
    /// into, and the agent gets nothing of it.
    fn redact(&self, head: &http::response::Parts, body: &[u8]) -> Option<Bytes>;
}

/// What is done about an upstream's 401 (RFC 9110 §15.5.2).
#[derive(Debug)]
pub enum Renewal {
    /// Nothing: the agent gets the answer.
    Keep,
    /// The request is sent again, with this.
    Again(Injection),
    /// The agent gets this instead.
    Deny(Denial),
}

/// A credential turned into request changes. Cheap to clone: everything in it is shared.
#[derive(Clone, Debug)]
pub struct Injection {
    /// `provider/connection`, for the audit log.
    pub connection: Arc<str>,
    /// Applied in order. Removals of the agent's own values come first.
    pub changes: Arc<[Change]>,
    /// Finds the injected secrets in what comes back.
    pub scrubber: Arc<Scrubber>,
    /// Which issue of a credential that can be renewed this is; then [`Gate::renew`] is asked where it
    /// is refused.
    pub issue: Option<u64>,
}

/// One change to a request head.
pub enum Change {
    /// Remove every header of this name.
    RemoveHeader(HeaderName),
    /// Set a header; the value is marked sensitive.
    SetHeader(HeaderName, HeaderValue),
    /// Remove every query parameter of this name and append one with this value (percent-encoded on
    /// the wire).
    SetQuery {
        /// Parameter name, unencoded.
        name: String,
        /// Parameter value, unencoded.
        value: SecretString,
    },
    /// Remove every cookie of this name and append one with this value.
    SetCookie {
        /// Cookie name.
        name: String,
        /// Cookie value.
        value: SecretString,
    },
    /// Replace the rest of the path segment that follows `prefix` at the start of the path:
    /// with the prefix `/bot`, `/botXYZ/getMe` becomes `/bot<value>/getMe`. A path that does not
    /// start with the prefix is left alone.
    SetPathSegment {
        /// Literal start of the path, beginning with `/`.
        prefix: String,
        /// Replacement, unencoded.
        value: SecretString,
    },
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveHeader(name) => write!(f, "RemoveHeader({name})"),
            Self::SetHeader(name, _) => write!(f, "SetHeader({name})"),
            Self::SetQuery { name, .. } => write!(f, "SetQuery({name})"),
            Self::SetCookie { name, .. } => write!(f, "SetCookie({name})"),
            Self::SetPathSegment { prefix, .. } => write!(f, "SetPathSegment({prefix})"),
        }
    }
}

/// What a [`Record`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// One HTTP request.
    Request,
    /// One spliced connection.
    Splice,
    /// One connection closed without a request: refused, or not understood.
    Connection,
}

/// What was decided, as the audit log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Passed without a credential.
    Forward,
    /// Passed with a credential.
    Inject,
    /// Passed through undecrypted.
    Splice,
    /// Answered here: an agent's own token request.
    Answer,
    /// Refused.
    Deny,
}

/// What came of a request or connection. Exactly one is made for each; it holds no header value, no
/// query string and no body.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it is about.
    pub kind: RecordKind,
    /// Who made the connection; none if that cannot be told.
    pub process: Option<Process>,
    /// Where it went.
    pub target: Target,
    /// Request method, if it is a request.
    pub method: Option<Method>,
    /// Path without the query, if it is a request.
    pub path: Option<String>,
    /// What was decided.
    pub decision: Decision,
    /// `provider/connection` whose credential was injected, or whose placeholder was misplaced.
    pub connection: Option<Arc<str>>,
    /// Id of the policy that decided, where one did.
    pub policy: Option<Arc<str>>,
    /// Status the agent got.
    pub status: Option<u16>,
    /// Code of the denial or failure, such as `upstream-refused`.
    pub error: Option<&'static str>,
    /// Body or tunnel bytes from the agent.
    pub bytes_sent: u64,
    /// Body or tunnel bytes to the agent.
    pub bytes_received: u64,
    /// When it began.
    pub started: SystemTime,
    /// From then until the last byte.
    pub duration: Duration,
}

/// A boxed future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides for one run. Implemented by the broker; tests have their own.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// What may happen to a connection to `target`. `tls` says whether it began with a ClientHello:
    /// only TLS can be intercepted, and a credential never travels without it.
    fn admit(&self, target: &Target, tls: bool) -> Ruling<Admission>;

    /// What may happen to a connection that [`Gate::admit`] said to hold; never [`Admission::Hold`].
    /// Dropped when the agent leaves.
    fn hold<'a>(&'a self, _target: &'a Target, _tls: bool) -> BoxFuture<'a, Ruling<Admission>> {
        // A gate that holds nothing is never asked.
        Box::pin(std::future::ready(Admission::Hold.into()))
    }

    /// What may happen to a request. Dropped when the agent leaves. `head` is as the agent sent it, but
    /// for its path, which is the one of `facts`: with the headers authsome itself defines, so that the
    /// gate can see which placeholder was used.
    fn authorize<'a>(
        &'a self,
        facts: &'a RequestFacts,
        head: &'a Parts,
    ) -> BoxFuture<'a, Ruling<Verdict>>;

    /// What to do about the 401 that a request with the credential `used` was answered with.
    fn renew<'a>(
        &'a self,
        _facts: &'a RequestFacts,
        _used: &'a Injection,
    ) -> BoxFuture<'a, Renewal> {
        Box::pin(std::future::ready(Renewal::Keep))
    }

    /// The placeholders that the agent may hold: none of them may leave in a request's head, or in the
    /// clear. None: there are none.
    fn placeholders(&self) -> Option<Arc<Finder>> {
        None
    }

    /// Notes what came of it. Must not block.
    fn record(&self, record: Record);

    /// A name was given `address` by the run's DNS responder. Must not block.
    fn named(&self, _name: &str, _address: SocketAddr) {}
}
