//! Deleting connections, and telling their providers.
//!
//! Deleted first: whatever the provider says, and however long it takes, no run uses the connection
//! any more.

use std::sync::Arc;

use secrecy::SecretString;

use super::super::{Broker, entry::Entry};
use crate::{
    auth::{self, Revoked, TokenSet},
    protocol::{ErrorReply, chain, login::Removed},
};

impl Broker {
    /// Deletes one connection, or all of a provider's, and has the provider revoke them.
    ///
    /// # Errors
    /// No such connection, the vault's. What a provider says is no error but part of the answer.
    pub async fn disconnect(
        self: &Arc<Self>,
        provider: &str,
        connection: Option<&str>,
    ) -> Result<Vec<Removed>, ErrorReply> {
        let doomed = self.delete(provider, connection)?;
        let mut removed = Vec::with_capacity(doomed.len());
        for entry in doomed {
            let (remote, problem) = match self.revoke(&entry).await {
                Ok(Revoked::Yes) => ("revoked", None),
                Ok(Revoked::Unsupported) => ("unsupported", None),
                Err(problem) => ("failed", Some(problem)),
            };
            if let Some(problem) = &problem {
                tracing::warn!(connection = %entry.full_name, problem, "not revoked");
            }
            removed.push(Removed { connection: entry.view(), remote: remote.to_owned(), problem });
        }
        Ok(removed)
    }

    async fn revoke(&self, entry: &Entry) -> Result<Revoked, String> {
        let Some(grant) = entry.grant() else { return Ok(Revoked::Unsupported) };
        let server = self.server_of(entry).map_err(|error| error.message)?;
        let http = self.oauth.http().map_err(|error| error.message)?;
        let field = entry.definition.token_field().map(|field| &field.name);
        let access = field.and_then(|field| entry.values.get(field)).cloned();
        let tokens = TokenSet {
            access_token: access.unwrap_or_else(|| SecretString::from(String::new())),
            refresh_token: grant.refresh_token.as_ref().map(|token| token.0.clone()),
            expires_at: grant.expires_at,
            scopes: grant.scopes.clone(),
            settings: serde_json::Value::Null,
        };
        let client = grant.client.client();
        auth::revoke(&http, &server, Some(&client), &tokens).await.map_err(|error| chain(&error))
    }
}
