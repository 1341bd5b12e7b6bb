//! Taking tokens back (RFC 7009), in the ways that providers have for it.

use ::http::{HeaderValue, Method, header::AUTHORIZATION};
use jiff::Timestamp;
use oauth2::url::form_urlencoded;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    Client, Endpoint, Error, Http, Server, TokenSet,
    request::{Body, Request},
};
use crate::provider::{ClientAuthentication, RevocationAuth, RevocationBody, RevokedToken};

/// What a provider said to a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// The token is of no use any more.
    Yes,
    /// The provider has no endpoint for it.
    Unsupported,
}

/// A token with its `token_type_hint`.
type Hinted<'a> = (&'a SecretString, &'static str);

/// Takes the tokens of a connection back, as the definition says.
///
/// Without a client the request says only what it can say without one.
///
/// # Errors
///
/// See [`Error::kind`]. Where two tokens are to go, both are tried, and the first error counts.
pub async fn revoke(
    http: &dyn Http,
    server: &Server,
    client: Option<&Client>,
    tokens: &TokenSet,
) -> Result<Revoked, Error> {
    let Some(url) = &server.revocation_url else { return Ok(Revoked::Unsupported) };
    let access = (&tokens.access_token, "access_token");
    let refresh = tokens.refresh_token.as_ref().map(|token| (token, "refresh_token"));
    let gone: Vec<Hinted<'_>> = match server.revocation.token {
        RevokedToken::AccessToken => vec![access],
        RevokedToken::RefreshToken => vec![refresh.unwrap_or(access)],
        RevokedToken::Both => refresh.into_iter().chain([access]).collect(),
    };
    let mut outcome = Ok(Revoked::Yes);
    for token in gone {
        let said = revoke_one(http, server, client, url, token, &tokens.access_token).await;
        if outcome.is_ok() && !matches!(said, Ok(Revoked::Yes)) {
            outcome = said;
        }
    }
    outcome
}

async fn revoke_one(
    http: &dyn Http,
    server: &Server,
    client: Option<&Client>,
    url: &str,
    token: Hinted<'_>,
    access_token: &SecretString,
) -> Result<Revoked, Error> {
    let how = &server.revocation;
    let url = template(url, token, client, |text| {
        // In a path a space is no plus sign.
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    })?;
    let mut request = Request::post(Endpoint::Revocation, &url, Body::from(how.body));
    if how.method == "DELETE" {
        request.method(Method::DELETE);
    }
    request.hide(token.0);
    for (name, value) in &how.params {
        let value = template(value, token, client, ToOwned::to_owned)?;
        request.param(name, &value);
    }
    authenticate(server, client, &mut request, access_token)?;
    let answer = request.send(http).await?;
    match answer.success() {
        Ok(()) => {}
        Err(Error::Refused { code, .. }) if code == "unsupported_token_type" => {
            return Ok(Revoked::Unsupported);
        }
        // It was of no use before.
        Err(Error::Refused { code, .. })
            if ["invalid_token", "token_expired", "token_revoked"].contains(&code.as_str()) =>
        {
            return Ok(Revoked::Yes);
        }
        Err(error) => return Err(error),
    }
    match &how.ok {
        Some(name) if answer.members()?.get(name) != Some(&Value::Bool(true)) => {
            Err(answer.problem("no success"))
        }
        _ => Ok(Revoked::Yes),
    }
}

/// Adds who is asking.
fn authenticate(
    server: &Server,
    client: Option<&Client>,
    request: &mut Request,
    access_token: &SecretString,
) -> Result<(), Error> {
    let how = &server.revocation;
    match (how.auth, client) {
        (RevocationAuth::None, _) | (RevocationAuth::Client, None) => Ok(()),
        (RevocationAuth::Bearer, _) => {
            let value = format!("Bearer {}", access_token.expose_secret());
            let mut value = HeaderValue::try_from(value).map_err(|_| Error::Setting {
                key: "revocation",
                problem: "has an unusable token",
            })?;
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value);
            request.hide(access_token);
            Ok(())
        }
        (RevocationAuth::Basic, None) => Err(Error::NoClient),
        (RevocationAuth::Basic, Some(client)) => basic(client, request),
        // Where there is no body, nothing can go into it.
        (RevocationAuth::Client, Some(client))
            if how.body == RevocationBody::None && client.method == ClientAuthentication::Body =>
        {
            basic(client, request)
        }
        (RevocationAuth::Client, Some(client)) => {
            // A signed assertion says when it was made; nothing else here depends on the time.
            client.authenticate(server, request, Timestamp::now())
        }
    }
}

fn basic(client: &Client, request: &mut Request) -> Result<(), Error> {
    let none = SecretString::from("");
    client.basic(client.secret.as_ref().unwrap_or(&none), request)
}

/// `text` with `{token}`, `{token_type_hint}` and `{client_id}` filled, each `encoded`.
fn template(
    text: &str,
    (token, hint): Hinted<'_>,
    client: Option<&Client>,
    encode: impl Fn(&str) -> String,
) -> Result<String, Error> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| {
            let value = match name {
                "token" => Some(token.expose_secret()),
                "token_type_hint" => Some(hint),
                "client_id" => client.map(|client| client.id.as_str()),
                _ => return None,
            };
            Some((value, after))
        });
        match known {
            Some((Some(value), after)) => {
                filled.push_str(&encode(value));
                rest = after;
            }
            Some((None, _)) => return Err(Error::NoClient),
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}
