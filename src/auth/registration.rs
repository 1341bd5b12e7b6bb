//! Dynamic client registration (RFC 7591).

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Client, Endpoint, Error, Http, Server, address,
    request::{Body, Request},
    token,
};
use crate::provider::ClientAuthentication;

/// Registers a client called `name` for the authorization code flow.
///
/// It is a public client where the server takes those: one that runs on the user's own machine has
/// no better place for a secret than for a refresh token.
///
/// # Errors
///
/// The server has no registration endpoint, refuses, or registers what cannot be used.
pub async fn register(
    http: &dyn Http,
    server: &Server,
    name: &str,
    redirect_uri: &str,
    scopes: &[String],
    now: Timestamp,
) -> Result<Client, Error> {
    let url = server.endpoint(Endpoint::Registration)?;
    let wanted = wanted(server);
    let mut document = json!({
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": spelled(wanted),
    });
    if let Value::Object(members) = &mut document {
        // OpenID servers let only native clients have a redirect URI on the user's own machine.
        if redirect_uri.starts_with("http://") && address::parse(redirect_uri).is_ok() {
            members.insert("application_type".to_owned(), Value::from("native"));
        }
        if !scopes.is_empty() {
            members.insert("scope".to_owned(), Value::from(scopes.join(" ")));
        }
    }
    let request = Request::post(Endpoint::Registration, url, Body::Document(document));
    let answer = request.send(http).await?;
    let members = answer.members()?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let id = text("client_id").ok_or_else(|| answer.problem("no client ID"))?;
    if id.len() > 2048 || !id.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(answer.problem("an unusable client ID"));
    }
    let secret = text("client_secret");
    let ends = members.get("client_secret_expires_at").and_then(token::seconds);
    let over =
        ends.and_then(|ends| i64::try_from(ends).ok()).is_some_and(|ends| ends <= now.as_second());
    if secret.is_some() && over {
        return Err(answer.problem("a client that has already expired"));
    }
    let method = match text("token_endpoint_auth_method") {
        Some("none") => ClientAuthentication::None,
        Some("client_secret_basic") => ClientAuthentication::Basic,
        Some("client_secret_post") => ClientAuthentication::Body,
        Some(_) => return Err(answer.problem("a client authentication that was not asked for")),
        None if secret.is_none() => ClientAuthentication::None,
        // A secret that was not asked for is meant to be used.
        None if wanted == ClientAuthentication::None => server.client_authentication(true),
        None => wanted,
    };
    let secret = secret.filter(|_| method != ClientAuthentication::None).map(SecretString::from);
    if secret.is_none() && method != ClientAuthentication::None {
        return Err(answer.problem("a client without its secret"));
    }
    Ok(Client { id: id.to_owned(), secret, method })
}

/// How the client is to show who it is.
fn wanted(server: &Server) -> ClientAuthentication {
    let Some(methods) = &server.methods else {
        return match server.authorization_method {
            // A key would have to be registered too.
            ClientAuthentication::PrivateKeyJwt => ClientAuthentication::None,
            method @ (ClientAuthentication::None
            | ClientAuthentication::Basic
            | ClientAuthentication::Body) => method,
        };
    };
    let preferred =
        [ClientAuthentication::None, ClientAuthentication::Basic, ClientAuthentication::Body];
    let supported = |method: &ClientAuthentication| {
        methods.iter().any(|supported| supported == spelled(*method))
    };
    preferred.into_iter().find(supported).unwrap_or(ClientAuthentication::None)
}

/// As the registry of token endpoint authentication methods has it.
fn spelled(method: ClientAuthentication) -> &'static str {
    match method {
        ClientAuthentication::None => "none",
        ClientAuthentication::Basic => "client_secret_basic",
        ClientAuthentication::Body => "client_secret_post",
        ClientAuthentication::PrivateKeyJwt => "private_key_jwt",
    }
}
