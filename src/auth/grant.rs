//! Requests to the token endpoint, and the two flows that are nothing else.

use ::http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    Client, Endpoint, Error, Http, Server, TokenSet,
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
    let mut tokens = send(http, server, client, request, scopes, now).await?;
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
    mut request: Request,
    scopes: &[String],
    now: Timestamp,
) -> Result<TokenSet, Error> {
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
    TokenSet::read(&request.send(http).await?, server, scopes, now)
}
