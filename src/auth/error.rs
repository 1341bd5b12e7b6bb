//! What can go wrong in a flow.
//!
//! Text of the other side gets into an error only as `refusal` lets it through.

use std::{fmt, time::Duration};

use super::HttpError;

/// Where a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Authorization endpoint (RFC 6749 §3.1): the browser goes there, not we.
    Authorization,
    /// Token endpoint (RFC 6749 §3.2).
    Token,
    /// Device authorization endpoint (RFC 8628 §3.1).
    DeviceAuthorization,
    /// Client registration endpoint (RFC 7591 §3).
    Registration,
    /// Revocation endpoint (RFC 7009 §2).
    Revocation,
    /// Metadata of an authorization server or of a resource (RFC 8414, RFC 9728).
    Metadata,
    /// The resource itself, asked who guards it.
    Resource,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorization => "authorization endpoint",
            Self::Token => "token endpoint",
            Self::DeviceAuthorization => "device authorization endpoint",
            Self::Registration => "registration endpoint",
            Self::Revocation => "revocation endpoint",
            Self::Metadata => "OAuth metadata",
            Self::Resource => "resource",
        })
    }
}

/// Why a flow failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user, or a rule of the provider's, said no.
    #[error("access was denied at {host}{}", said(description.as_deref()))]
    Denied {
        /// Who says so.
        host: String,
        /// `error_description`, cleaned.
        description: Option<String>,
    },
    /// The browser came back with something that belongs to no login of ours.
    #[error("the address that the browser came back to {problem}")]
    Callback {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A device code ran out before the user entered it.
    #[error("the code was not entered in time")]
    Expired,
    /// What `{base_url}` stands for is unusable.
    #[error("the base URL {problem}")]
    BaseUrl {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An error response (RFC 6749 §5.2, and those that are like it).
    #[error("the {endpoint} of {host} refused with `{code}`{}", said(description.as_deref()))]
    Refused {
        /// Who refused.
        endpoint: Endpoint,
        /// Its host.
        host: String,
        /// The answer's status.
        status: u16,
        /// `error`, cleaned.
        code: String,
        /// `error_description`, cleaned.
        description: Option<String>,
        /// When to try again, if the answer says so.
        retry_after: Option<Duration>,
    },
    /// A status that is no success, without an error response.
    #[error("the {endpoint} of {host} answered with status {status}")]
    Status {
        /// Who answered.
        endpoint: Endpoint,
        /// Its host.
        host: String,
        /// The answer's status.
        status: u16,
        /// When to try again, if the answer says so.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what the RFC has there.
    #[error("the {endpoint} of {host} answered with {problem}")]
    Answer {
        /// Who answered.
        endpoint: Endpoint,
        /// Its host.
        host: String,
        /// What the answer is or lacks.
        problem: &'static str,
    },
    /// A redirect, which is never followed: what was sent is for this host only.
    #[error("the {endpoint} of {host} redirects to {target}")]
    Redirect {
        /// Who answered.
        endpoint: Endpoint,
        /// Its host.
        host: String,
        /// The host it names.
        target: String,
    },
    /// Metadata or a callback of another issuer than expected (RFC 8414 §3.3, RFC 9207 §2.4).
    #[error("{place} is of {}, not of {expected}", found.as_deref().unwrap_or("no issuer"))]
    Issuer {
        /// What carries the issuer.
        place: &'static str,
        /// Who it should be.
        expected: String,
        /// Who it is; none: it is not said.
        found: Option<String>,
    },
    /// Metadata of another resource than the one that was asked (RFC 9728 §3.3).
    #[error("the OAuth metadata of {host} is of another resource")]
    OtherResource {
        /// Whose metadata.
        host: String,
    },
    /// An address that nothing will be sent to.
    #[error("the {name} {problem}")]
    Url {
        /// What the address is of.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key of the definition holds what no request can carry.
    #[error("`{key}` of the definition {problem}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Neither the definition nor the metadata names this endpoint.
    #[error("the provider names no {0}")]
    Missing(Endpoint),
    /// The client's private key cannot sign.
    #[error("the private key of the client {problem}")]
    Key {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A client is needed and there is none.
    #[error("there is no client to ask with")]
    NoClient,
    /// No answer.
    #[error("the {endpoint} of {host} did not answer")]
    Network {
        /// Who was asked.
        endpoint: Endpoint,
        /// Its host.
        host: String,
        /// What happened.
        #[source]
        cause: HttpError,
    },
}

fn said(description: Option<&str>) -> String {
    description.map(|text| format!(": {text}")).unwrap_or_default()
}
