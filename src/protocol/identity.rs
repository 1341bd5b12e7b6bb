//! Profiles and agent identities, as the commands ask for them.

use serde::{Deserialize, Serialize};

use super::Secret;

/// What is asked about the agent identities of a profile.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum IdentityRequest {
    /// Makes one. Answer: [`IdentityView`].
    Create {
        /// Its name.
        name: String,
    },
    /// All there are. Answer: `Vec<IdentityView>`.
    List,
    /// One of them. Answer: [`IdentityView`].
    Show {
        /// Its name; none: the default one.
        name: Option<String>,
    },
    /// Makes one the default for runs that name none. Answer: [`IdentityView`].
    Use {
        /// Its name.
        name: String,
    },
    /// A fresh principal chain token. Answer: [`TokenIssued`].
    Token {
        /// Whose; none: the default identity's.
        name: Option<String>,
        /// How long it is good for.
        seconds: u64,
    },
    /// Verifies a token. Answer: [`TokenView`].
    Verify {
        /// The token.
        token: Secret,
    },
}

/// What is asked about the profiles of a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ProfileRequest {
    /// Makes one. Answer: [`ProfileView`].
    Create {
        /// Its name.
        name: String,
    },
    /// All there are. Answer: `Vec<ProfileView>`.
    List,
    /// Makes one the profile in use. Answer: [`ProfileView`].
    Use {
        /// Its name.
        name: String,
    },
    /// Deletes one with everything in it. Answer: `null`.
    Delete {
        /// Its name.
        name: String,
    },
    /// The profile that this request is for, and its default identity. Answer: [`Whoami`].
    Whoami,
}

/// An agent identity without its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityView {
    /// Its name.
    pub name: String,
    /// Its address, `agent://local/NAME`.
    pub agent: String,
    /// Its public key, as a `did:key`.
    pub did: String,
    /// Do runs that name none act as it?
    pub default: bool,
    /// When it was made (RFC 3339, UTC).
    pub created_at: String,
}

/// A token that was just made.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenIssued {
    /// The token: whoever has it can say to act for the user, until it expires.
    pub token: Secret,
    /// What it says.
    #[serde(flatten)]
    pub says: TokenView,
}

/// What a token says, verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenView {
    /// The agent that acts (`act.sub`).
    pub agent: String,
    /// Its public key (`iss`).
    pub did: String,
    /// The user it acts for (`sub`).
    pub user: String,
    /// The run it acts in, or the token's own id (`jti`).
    pub id: String,
    /// Since when it is good (RFC 3339, UTC; `iat`).
    pub issued_at: String,
    /// Until when (RFC 3339, UTC; `exp`).
    pub expires_at: String,
}

/// A profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileView {
    /// Its name.
    pub name: String,
    /// Is it meant where nobody names one?
    pub in_use: bool,
}

/// In which profile, and as which agent, runs are begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whoami {
    /// The profile.
    pub profile: String,
    /// The identity that was named, or the profile's default one; none: a run's is called after its
    /// command.
    pub identity: Option<IdentityView>,
}
