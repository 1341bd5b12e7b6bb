//! Logins that were made elsewhere, taken over as they are.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    super::{
        Broker,
        connections::{check_name, failed},
    },
    BASE_URL, Grant, auth_error,
    client::KnownClient,
    grant::StoredClient,
    store::NewConnection,
};
use crate::{
    auth::{Client, Server, TokenSet},
    protocol::{ErrorKind, ErrorReply, login::ImportTokens},
    provider::ClientAuthentication,
};

impl Broker {
    /// Stores tokens, a client, or both; on disk when this returns. Says which.
    ///
    /// # Errors
    /// No such provider, one without OAuth, a connection that exists, the vault's.
    pub fn import_tokens(&self, tokens: ImportTokens) -> Result<&'static str, ErrorReply> {
        let definition = self.definition(&tokens.provider)?;
        check_name(&tokens.connection)?;
        let base_url = tokens.base_url.clone();
        let settings: BTreeMap<_, _> =
            base_url.iter().map(|url| (BASE_URL.to_owned(), url.clone())).collect();
        let oauth = definition.oauth_at(&settings).ok_or_else(|| ErrorReply {
            kind: ErrorKind::Usage,
            message: format!("{} has no OAuth at that base URL", definition.name),
            hint: None,
        })?;
        let server = Server::new(&oauth, None).map_err(|error| auth_error(&error))?;
        let client = tokens.client.map(|given| {
            let secret = given.secret.map(|secret| secret.0);
            let method = server.client_authentication(secret.is_some());
            Client { id: given.id, secret, method }
        });
        if let Some(client) = &client {
            let client = StoredClient::new(client);
            let known = KnownClient { base_url, client, registered_for: None };
            self.keep_client(&definition.name, &known)?;
        }
        let Some(access_token) = tokens.access_token else { return Ok("client") };
        let expires_at = tokens.expires_at.map(|time| time.parse::<Timestamp>()).transpose();
        let expires_at = expires_at.map_err(|_| failed("the time of expiry is not one"))?;
        let set = TokenSet {
            access_token: access_token.0,
            // It is bound to its client, and of no use without.
            refresh_token: tokens.refresh_token.filter(|_| client.is_some()).map(|token| token.0),
            expires_at,
            scopes: tokens.scopes,
            settings: serde_json::Value::Null,
        };
        let client = client.unwrap_or_else(|| Client {
            id: String::new(),
            secret: None,
            method: ClientAuthentication::None,
        });
        let grant = Grant::new(oauth.flow, &set, &client, None, Timestamp::now());
        let replaced = self.store_login(NewConnection {
            definition,
            connection: tokens.connection,
            settings,
            tokens: set,
            grant,
            replace: tokens.replace,
        })?;
        Ok(if replaced { "replaced" } else { "stored" })
    }
}
