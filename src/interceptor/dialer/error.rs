//! What can go wrong on the way out, whose fault it is, and what the agent is told.

use std::{io, net::IpAddr};

use super::proxy::ProxyError;
use crate::interceptor::address::Blocked;

/// A connection that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("its name could not be resolved")]
    Dns(#[source] Option<io::Error>),
    /// The server's machine refused.
    #[error("the connection was refused")]
    Refused,
    /// No address answered.
    #[error("it could not be reached")]
    Unreachable(#[source] io::Error),
    /// Nobody answered in time.
    #[error("it did not answer in time")]
    Timeout,
    /// The handshake failed, or the certificate is not good for the name.
    #[error("the TLS connection failed: {0}")]
    Tls(TlsFault),
    /// The address guard refused every address.
    #[error("its address {ip} may not be reached: {why}")]
    Blocked {
        /// An address it resolved to.
        ip: IpAddr,
        /// Why not.
        why: Blocked,
    },
    /// The forward proxy failed.
    #[error("the forward proxy failed: {0}")]
    Proxy(#[from] ProxyError),
}

/// What was wrong with the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Nobody we trust signed the certificate.
    #[error("its certificate is signed by an unknown issuer")]
    UnknownIssuer,
    /// The certificate is too old.
    #[error("its certificate has expired")]
    Expired,
    /// The certificate is for another name.
    #[error("its certificate is not valid for this name")]
    Name,
    /// Another fault of the certificate.
    #[error("its certificate is not valid")]
    Certificate,
    /// A root certificate of ours cannot be used.
    #[error("an added root certificate cannot be used")]
    Root,
    /// Not a matter of certificates.
    #[error("the handshake failed")]
    Handshake,
}

impl TlsFault {
    /// Finds rustls' reason in what its stream reports.
    pub(super) fn of(error: &io::Error) -> Self {
        use rustls::{CertificateError as Bad, Error};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let Some(Error::InvalidCertificate(why)) = inner else { return Self::Handshake };
        if matches!(why, Bad::UnknownIssuer) {
            Self::UnknownIssuer
        } else if matches!(why, Bad::Expired | Bad::ExpiredContext { .. }) {
            Self::Expired
        } else if matches!(why, Bad::NotValidForName | Bad::NotValidForNameContext { .. }) {
            Self::Name
        } else {
            Self::Certificate
        }
    }
}

impl DialError {
    /// Sorts what `connect(2)` reports.
    pub(super) fn of_connect(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Self::Refused
        } else if error.kind() == io::ErrorKind::TimedOut {
            Self::Timeout
        } else {
            Self::Unreachable(error)
        }
    }

    /// Stable code, for the problem document and the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dns(_) => "upstream-dns",
            Self::Refused => "upstream-refused",
            Self::Unreachable(_) => "upstream-unreachable",
            Self::Timeout => "upstream-timeout",
            Self::Tls(_) => "upstream-tls",
            Self::Blocked { .. } => "address-blocked",
            Self::Proxy(_) => "upstream-proxy",
        }
    }

    /// Status the agent gets.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Timeout => http::StatusCode::GATEWAY_TIMEOUT,
            Self::Blocked { .. } => http::StatusCode::FORBIDDEN,
            Self::Dns(_) | Self::Refused | Self::Unreachable(_) | Self::Tls(_) | Self::Proxy(_) => {
                http::StatusCode::BAD_GATEWAY
            }
        }
    }

    /// What would mend it, if a person can.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Blocked { .. } => Some("authsome run --allow HOST permits an address like this"),
            Self::Tls(TlsFault::UnknownIssuer) => {
                Some("authsome run --upstream-ca FILE adds a certificate authority")
            }
            Self::Proxy(ProxyError::Denied(407)) => {
                Some("put the user name and password into HTTPS_PROXY")
            }
            Self::Dns(_)
            | Self::Refused
            | Self::Unreachable(_)
            | Self::Timeout
            | Self::Tls(_)
            | Self::Proxy(_) => None,
        }
    }
}
