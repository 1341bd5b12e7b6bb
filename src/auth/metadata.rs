//! What an authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0).

use oauth2::url::Url;
use serde_json::Value;

use super::{Endpoint, Error, Http, Server, address, answer::Members, refusal, request::Request};

/// Longest text of metadata that an error shows.
const SHOWN: usize = 255;

/// Fills what `server` lacks from its issuer's metadata.
pub(super) async fn complete(server: Server, http: &dyn Http) -> Result<Server, Error> {
    let lacks = server.authorization_url.is_none()
        || server.token_url.is_none()
        || (server.device && server.device_authorization_url.is_none())
        || (server.registration && server.registration_endpoint.is_none());
    if !lacks {
        return Ok(server);
    }
    if let Some(issuer) = server.issuer.clone() {
        let members = fetch(http, &issuer, false).await?;
        return fill(server, &members);
    }
    // A definition from before issuers were known: the one of its authorization endpoint's host.
    let Some(url) = server.authorization_url.as_deref().or(server.token_url.as_deref()) else {
        return Ok(server);
    };
    let issuer = address::origin(&address::check("authorization endpoint", url)?);
    match fetch(http, &issuer, true).await {
        Ok(members) => fill(server, &members),
        Err(error @ Error::Network { .. }) => Err(error),
        // It was a guess, and what is lacking may not be needed.
        Err(_) => Ok(server),
    }
}

/// The metadata of `issuer`. A `guessed` one may name itself with a slash at the end.
pub(super) async fn fetch(http: &dyn Http, issuer: &str, guessed: bool) -> Result<Members, Error> {
    let mut last = Error::Missing(Endpoint::Metadata);
    for url in well_known(&address::check_issuer(issuer)?) {
        let members = match get(http, &url).await {
            Ok(members) => members,
            Err(error @ Error::Network { .. }) => return Err(error),
            Err(error) => {
                last = error;
                continue;
            }
        };
        let found = members.get("issuer").and_then(Value::as_str);
        let same = found.is_some_and(|found| {
            found == issuer || (guessed && found.strip_suffix('/') == Some(issuer))
        });
        if !same {
            let found = found.map(|found| refusal::clean(found, &[], SHOWN));
            let expected = issuer.to_owned();
            return Err(Error::Issuer { place: "the metadata of the provider", expected, found });
        }
        return Ok(members);
    }
    Err(last)
}

/// Reads one metadata document.
pub(super) async fn get(http: &dyn Http, url: &str) -> Result<Members, Error> {
    Request::get(Endpoint::Metadata, url).send(http).await?.members()
}

/// Where the metadata of an issuer may lie (RFC 8414 §3.1 and §5): what belongs to a path is put
/// before it, and OpenID Connect's also after it.
fn well_known(issuer: &Url) -> Vec<String> {
    let origin = address::origin(issuer);
    let path = issuer.path().trim_end_matches('/');
    let mut urls = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        urls.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    urls
}

/// Takes from `members` what `server` lacks. What the definition says stays.
pub(super) fn fill(mut server: Server, members: &Members) -> Result<Server, Error> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    for (endpoint, name) in [
        (&mut server.issuer, "issuer"),
        (&mut server.authorization_url, "authorization_endpoint"),
        (&mut server.token_url, "token_endpoint"),
        (&mut server.revocation_url, "revocation_endpoint"),
        (&mut server.registration_endpoint, "registration_endpoint"),
    ] {
        if endpoint.is_none() {
            *endpoint = text(name);
        }
    }
    if server.device_authorization_url.is_none() {
        server.device_authorization_url = text("device_authorization_endpoint");
        server.device |= server.device_authorization_url.is_some();
    }
    let methods = members.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
    server.methods = Some(match methods {
        Some(list) => list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        // RFC 8414 §2.
        None => vec!["client_secret_basic".to_owned()],
    });
    server.names_issuer =
        members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
    server.check()?;
    Ok(server)
}
