//! Whose fault an error is, whether waiting helps, and what would mend it.

use std::time::Duration;

use super::{Endpoint, Error};

/// Whose fault a failure is, and so who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The user's: denied, cancelled, too late, came back with the wrong address.
    User,
    /// The grant is gone: a new login gets another one.
    Grant,
    /// The client's: unknown to the provider, or not allowed this.
    Client,
    /// The provider's, or that of its definition.
    Provider,
    /// Nobody answered.
    Network,
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> Fault {
        match self {
            Self::Denied { .. } | Self::Callback { .. } | Self::Expired | Self::BaseUrl { .. } => {
                Fault::User
            }
            Self::Refused { code, status, .. } => fault(code, *status),
            Self::Status { status: 401, endpoint: Endpoint::Token, .. }
            | Self::Key { .. }
            | Self::NoClient => Fault::Client,
            Self::Status { .. }
            | Self::Answer { .. }
            | Self::Redirect { .. }
            | Self::Issuer { .. }
            | Self::OtherResource { .. }
            | Self::Url { .. }
            | Self::Setting { .. }
            | Self::Missing(_) => Fault::Provider,
            Self::Network { .. } => Fault::Network,
        }
    }

    /// May the same request succeed a little later?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let (status, code) = if let Self::Refused { code, status, .. } = self {
            (*status, code.as_str())
        } else if let Self::Status { status, .. } = self {
            (*status, "")
        } else {
            return self.kind() == Fault::Network;
        };
        // A status may say "not now" of what is wrong for good.
        waits(code) || (passes(status) && self.kind() == Fault::Provider)
    }

    /// When to try again, if the provider said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } | Self::Refused { retry_after, .. } = self {
            return *retry_after;
        }
        None
    }

    /// What would mend it, in a sentence without full stop.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied { .. } => "log in again and allow access",
            Self::Callback { .. } => "log in again, and finish in the browser that was opened",
            Self::Expired => "log in again, and enter the code before it expires",
            Self::BaseUrl { .. } => {
                "give the address of the service, such as https://git.example.com"
            }
            Self::Refused { code, .. } => return hint(code, self.kind()),
            Self::Key { .. } => {
                "give a private key in PKCS#8 PEM: P-256, Ed25519, or RSA of 2048 bits or more"
            }
            Self::Status { status: 401, endpoint: Endpoint::Token, .. } => {
                "check the client's ID and secret"
            }
            Self::NoClient => "register a client at the provider and give its ID",
            Self::Answer { .. } | Self::Redirect { .. } | Self::Missing(_) | Self::Url { .. } => {
                "check the endpoints and the base URL of the provider's definition"
            }
            Self::Issuer { .. } => "log in again; if it stays so, do not trust this server",
            Self::Setting { .. } => "mend the provider's definition",
            Self::Network { .. } => "check the connection to the internet, and the proxy settings",
            Self::Status { .. } if self.is_transient() => "try again later",
            Self::Status { .. } | Self::OtherResource { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Statuses that say "not now".
fn passes(status: u16) -> bool {
    status == 408 || status == 425 || status == 429 || (500..600).contains(&status)
}

/// Whose fault a code means. Beside the RFCs' are those of GitHub, Google and Slack.
fn fault(code: &str, status: u16) -> Fault {
    match code {
        "access_denied"
        | "consent_required"
        | "interaction_required"
        | "login_required"
        | "account_selection_required"
        | "expired_token" => Fault::User,
        "invalid_grant"
        | "bad_refresh_token"
        | "bad_verification_code"
        | "code_already_used"
        | "incorrect_device_code"
        | "invalid_code"
        | "invalid_refresh_token"
        | "invalid_token"
        | "token_expired"
        | "token_revoked" => Fault::Grant,
        "invalid_client"
        | "unauthorized_client"
        | "invalid_scope"
        | "bad_client_secret"
        | "bad_redirect_uri"
        | "device_flow_disabled"
        | "incorrect_client_credentials"
        | "invalid_client_id"
        | "invalid_client_metadata"
        | "invalid_redirect_uri"
        | "redirect_uri_mismatch"
        | "unapproved_software_statement" => Fault::Client,
        _ if status == 401 => Fault::Client,
        _ => Fault::Provider,
    }
}

/// Does the code itself say "not now"?
fn waits(code: &str) -> bool {
    matches!(code, "server_error" | "slow_down" | "temporarily_unavailable" | "ratelimited")
}

/// What would mend it.
fn hint(code: &str, fault: Fault) -> Option<String> {
    let hint = match code {
        "invalid_scope" => "ask for scopes that the client is allowed",
        "redirect_uri_mismatch" | "bad_redirect_uri" | "invalid_redirect_uri" => {
            "register the redirect URI of the login with the client, exactly as it is"
        }
        _ if waits(code) => "try again later",
        _ => match fault {
            Fault::User => "log in again",
            Fault::Grant => "log in again: the grant has expired or was taken back",
            Fault::Client => "check the client's ID, secret and settings at the provider",
            Fault::Provider | Fault::Network => return None,
        },
    };
    Some(hint.to_owned())
}
