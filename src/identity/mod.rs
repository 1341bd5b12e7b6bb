//! Who acts, and for whom: an agent's name, its key, and the token that says so.
//!
//! An agent is `agent://local/NAME`, and by its Ed25519 key also a `did:key`. The *principal chain
//! token* ([`mint`], [`verify`]) binds the two to the user the agent acts for and to one run, for a
//! quarter of an hour: a JWT (RFC 7519) signed with EdDSA (RFC 8037), with the agent as the actor of
//! RFC 8693 §4.1.
//!
//! Pure: keys and the time are given, nothing is stored, nothing is decided. Knows no other module.
//! What does not verify is an [`Error`] that says why and repeats nothing of the token.

mod did;
mod key;
mod name;
mod token;

use std::time::Duration;

pub use self::{
    key::{AgentKey, SEED_LEN, VerifyingKey},
    name::AgentName,
    token::{
        AUDIENCE, Chain, Claims, LIFETIME, MAX_LIFETIME, TOKEN_MAX, mint, named_agent, verify,
    },
};

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a name or a token. No variant holds a key or a part of a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a name an agent can have.
    #[error("{name:?} is no agent's name")]
    Name {
        /// What was given.
        name: String,
    },
    /// The system has no random numbers.
    #[error("cannot get random numbers for a key")]
    Random(#[source] getrandom::Error),
    /// A lifetime that no token may have.
    #[error("a token lives for 1 to {} seconds, not {}", MAX_LIFETIME.as_secs(), lifetime.as_secs())]
    Lifetime {
        /// What was asked for.
        lifetime: Duration,
    },
    /// It is no token of ours by its form.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// It is signed by another algorithm than the one there is, or by none.
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// It names another key than the agent's.
    #[error("the token was signed with another key than the agent's")]
    Key,
    /// The signature is not over these bytes.
    #[error("the token's signature does not verify")]
    Signature,
    /// A claim says something else than it must.
    #[error("the token's claim `{0}` is not what it must be")]
    Claim(&'static str),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is from the future: one of the clocks is wrong")]
    NotYet,
}

impl Error {
    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Name { .. } => Some(
                "use lower-case letters, digits and . _ -, beginning with a letter or digit, at \
                 most 64",
            ),
            Self::Expired | Self::NotYet => Some("authsome identity token"),
            Self::Random(_)
            | Self::Lifetime { .. }
            | Self::Malformed(_)
            | Self::Algorithm
            | Self::Key
            | Self::Signature
            | Self::Claim(_) => None,
        }
    }
}
