//! Requests to the token endpoint, and the two flows that are nothing else.

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    Client, Endpoint, Error, Http, Server, TokenSet,
    answer::Answer,
    request::{Body, Request},
};
use crate::provider::Encoding;

/// Gets a token for the client itself (RFC 6749 §4.4).
///
/// # Errors
///
/// See [`Error::kind`].
pub async fn client_credentials(
    http: &dyn Http,
    server: &Server,
    client: &Client,
    scopes: &[String],
    now: Timestamp,
) -> Result<TokenSet, Error> {
    let mut request = token_request(server, server.endpoint(Endpoint::Token)?);
    request.param("grant_type", "client_credentials");
    if let Some(scope) = server.join(scopes) {
        request.param("scope", &scope);
    }
    send(http, server, client, request, scopes, now).await
}

/// Renews a token set (RFC 6749 §6). Where no refresh token comes back, the old one stays.
///
/// `scopes` are those granted so far. They are not sent, since that asks for the same ones; the new set
/// has them where the answer names none.
///
/// # Errors
///
/// See [`Error::kind`]; [`super::Fault::Grant`] says that only a new login helps.
pub async fn refresh(
    http: &dyn Http,
    server: &Server,
    client: &Client,
    refresh_token: &SecretString,
    scopes: &[String],
    now: Timestamp,
) -> Result<TokenSet, Error> {
    let url = match &server.refresh_url {
        Some(url) => url,
        None => server.endpoint(Endpoint::Token)?,
    };
    let mut request = token_request(server, url);
    request.param("grant_type", "refresh_token");
    request.secret("refresh_token", refresh_token);
    let answer = ask(http, server, client, request, now).await?;
    let tokens = match TokenSet::read(&answer, server, scopes, now) {
        // Slack nests the token of a login and does not nest that of a refresh, where the only token
        // there is is the one that was asked for.
        Err(_) if !server.token_response.is_empty() => {
            let flat = Server { token_response: BTreeMap::new(), ..server.clone() };
            TokenSet::read(&answer, &flat, scopes, now)
        }
        read => read,
    };
    let mut tokens = tokens?;
    tokens.refresh_token.get_or_insert_with(|| refresh_token.clone());
    Ok(tokens)
}

/// An empty request to `url`, a token endpoint, in the encoding of the definition.
pub(super) fn token_request(server: &Server, url: &str) -> Request {
    let body = match server.token_request {
        Encoding::Form => Body::Form,
        Encoding::Json => Body::Json,
    };
    Request::post(Endpoint::Token, url, body)
}

/// Adds to `request` what every request to the token endpoint has, sends it, and reads the tokens.
pub(super) async fn send(
    http: &dyn Http,
    server: &Server,
    client: &Client,
    request: Request,
    scopes: &[String],
    now: Timestamp,
) -> Result<TokenSet, Error> {
    TokenSet::read(&ask(http, server, client, request, now).await?, server, scopes, now)
}

async fn ask(
    http: &dyn Http,
    server: &Server,
    client: &Client,
    mut request: Request,
    now: Timestamp,
) -> Result<Answer, Error> {
    if let Some(resource) = &server.resource {
        request.param("resource", resource);
    }
    for (name, value) in &server.token_headers {
        // Both were checked when the server was made.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.header(name, value);
        }
    }
    client.authenticate(server, &mut request, now)?;
    for (name, value) in &server.token_params {
        request.extra(name, value);
    }
    request.send(http).await
}
