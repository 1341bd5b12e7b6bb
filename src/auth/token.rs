//! What a token endpoint gives.

use jiff::Timestamp;
use secrecy::SecretString;

/// The tokens of one connection.
#[derive(Clone)]
pub struct TokenSet {
    /// What requests carry.
    pub access_token: SecretString,
    /// What gets the next access token, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// When the access token expires, as far as the provider says.
    pub expires_at: Option<Timestamp>,
    /// Scopes granted; those asked for where the answer names none (RFC 6749 §5.1).
    pub scopes: Vec<String>,
}

impl std::fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSet").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
