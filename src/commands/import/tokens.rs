//! OAuth logins on their way into the vault.

use serde::{Deserialize, Serialize};

use super::{Outcome, Status, plan::login_command};
use crate::{
    commands::Error,
    daemon::client::Client,
    protocol::{Secret, login::ClientCredentials},
};

/// An OAuth login that was made elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ImportTokens {
    /// Provider name.
    pub(super) provider: String,
    /// Connection name.
    pub(super) connection: String,
    /// Access token; none: there is only a client, for the next login.
    pub(super) access_token: Option<Secret>,
    /// Refresh token.
    pub(super) refresh_token: Option<Secret>,
    /// What the provider called the access token: `Bearer`.
    pub(super) token_type: Option<String>,
    /// When the access token expires (RFC 3339, UTC), if that is known.
    pub(super) expires_at: Option<String>,
    /// Scopes that were asked for.
    pub(super) scopes: Vec<String>,
    /// What `{base_url}` of the definition stands for; none: its default.
    pub(super) base_url: Option<String>,
    /// The client the tokens were issued to: a refresh is refused to any other.
    pub(super) client: Option<ClientCredentials>,
    /// Replace an existing connection.
    pub(super) replace: bool,
}

/// Stores them.
pub(super) fn store_tokens(_client: &mut Client, tokens: &ImportTokens) -> Result<Outcome, Error> {
    Ok(Outcome::noted(Status::NeedsLogin, login_command(&tokens.provider, &tokens.connection)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> ImportTokens {
        ImportTokens {
            provider: "notion-mcp".into(),
            connection: "work".into(),
            access_token: Some(Secret("made-up-access".into())),
            refresh_token: Some(Secret("made-up-refresh".into())),
            token_type: Some("Bearer".into()),
            expires_at: None,
            scopes: vec!["read".into()],
            base_url: None,
            client: None,
            replace: false,
        }
    }

    #[test]
    fn they_are_the_same_on_the_other_side_of_the_socket() {
        let text = serde_json::to_string(&tokens()).unwrap();
        let read: ImportTokens = serde_json::from_str(&text).unwrap();

        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(text.contains("made-up-refresh"));
    }

    #[test]
    fn they_are_not_shown() {
        assert!(!format!("{:?}", tokens()).contains("made-up"));
    }
}
