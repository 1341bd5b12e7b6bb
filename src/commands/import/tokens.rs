//! OAuth logins on their way into the vault.

use super::{Outcome, Status};
use crate::{
    commands::Error,
    daemon::client::Client,
    protocol::{ErrorKind, Request, login::ImportTokens, login_command},
};

/// Stores them.
pub(super) fn store_tokens(client: &mut Client, tokens: &ImportTokens) -> Result<Outcome, Error> {
    let login = || login_command(&tokens.provider, &tokens.connection);
    let stored = client.call::<String>(Request::ImportTokens(Box::new(tokens.clone())));
    match stored {
        Ok(status) if status == "client" => Ok(Outcome::noted(Status::NeedsLogin, login())),
        Ok(_) => Ok(Outcome::new(Status::Imported)),
        Err(error) if error.kind == ErrorKind::Exists => {
            Ok(Outcome::noted(Status::Different, "--force replaces it"))
        }
        Err(error) if matches!(error.kind, ErrorKind::Usage | ErrorKind::LoginNeeded) => {
            Ok(Outcome::noted(Status::NeedsLogin, login()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Secret;

    fn tokens() -> ImportTokens {
        ImportTokens {
            provider: "notion-mcp".into(),
            connection: "work".into(),
            access_token: Some(Secret("made-up-access".into())),
            refresh_token: Some(Secret("made-up-refresh".into())),
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
