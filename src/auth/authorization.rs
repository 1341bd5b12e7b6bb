//! The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636): to the browser and back.

use std::{collections::HashMap, fmt};

use jiff::Timestamp;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, basic::BasicClient, url::form_urlencoded,
};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{
    Client, Endpoint, Error, Http, Server, TokenSet, address, answer, grant,
    refusal::{self, Said},
};

/// Random bytes of a `state`.
const STATE: u32 = 32;
/// What a callback may say once only (RFC 6749 §3.1).
const ONCE: [&str; 5] = ["state", "code", "iss", "error", "error_description"];

/// An authorization code request under way: what must come back, and what proves that we asked.
pub struct Authorization {
    state: CsrfToken,
    verifier: Option<PkceCodeVerifier>,
    redirect_uri: String,
    scopes: Vec<String>,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

impl Authorization {
    /// The address that the browser is to open, and what has to be kept until it comes back.
    ///
    /// # Errors
    ///
    /// The server has no authorization endpoint, or `redirect_uri` is no URL.
    pub fn begin(
        server: &Server,
        client: &Client,
        redirect_uri: &str,
        scopes: &[String],
    ) -> Result<(String, Self), Error> {
        let problem = |name| move |_| Error::Url { name, problem: "is not a URL" };
        let endpoint = server.endpoint(Endpoint::Authorization)?.to_owned();
        let endpoint = AuthUrl::new(endpoint).map_err(problem("authorization endpoint"))?;
        let redirect =
            RedirectUrl::new(redirect_uri.to_owned()).map_err(problem("redirect URI"))?;
        let oauth = BasicClient::new(ClientId::new(client.id.clone()))
            .set_auth_uri(endpoint.clone())
            .set_redirect_uri(redirect);
        let mut request = oauth.authorize_url(|| CsrfToken::new_random_len(STATE));
        let verifier = server.pkce.then(PkceCodeChallenge::new_random_sha256);
        let verifier = match verifier {
            Some((challenge, verifier)) => {
                request = request.set_pkce_challenge(challenge);
                Some(verifier)
            }
            None => None,
        };
        if let Some(scope) = server.join(scopes) {
            request = match server.scope_param.as_str() {
                "scope" => request.add_scope(Scope::new(scope)),
                name => request.add_extra_param(name.to_owned(), scope),
            };
        }
        if let Some(resource) = &server.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        let present: Vec<String> =
            endpoint.url().query_pairs().map(|(n, _)| n.into_owned()).collect();
        for (name, value) in &server.authorization_params {
            if !ours(name, server) && !present.contains(name) {
                request = request.add_extra_param(name.clone(), value.clone());
            }
        }
        let (url, state) = request.url();
        let redirect_uri = redirect_uri.to_owned();
        Ok((url.into(), Self { state, verifier, redirect_uri, scopes: scopes.to_vec() }))
    }

    /// The `state` that will come back.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.secret()
    }

    /// Checks what the browser came back with, and exchanges the code.
    ///
    /// `query` is the callback's raw query; a whole address will do as well.
    ///
    /// # Errors
    ///
    /// The callback belongs to another login, is of another issuer, or says an error; or the token
    /// endpoint refuses the code.
    pub async fn finish(
        &self,
        http: &dyn Http,
        server: &Server,
        client: &Client,
        query: &str,
        now: Timestamp,
    ) -> Result<TokenSet, Error> {
        let code = self.code(server, query)?;
        let mut request = grant::token_request(server, server.endpoint(Endpoint::Token)?);
        request.param("grant_type", "authorization_code");
        request.secret("code", &SecretString::from(code.into_secret()));
        request.param("redirect_uri", &self.redirect_uri);
        if let Some(verifier) = &self.verifier {
            request.secret("code_verifier", &SecretString::from(verifier.secret().as_str()));
        }
        request.hide(&self.secret_state());
        grant::send(http, server, client, request, &self.scopes, now).await
    }

    fn code(&self, server: &Server, query: &str) -> Result<AuthorizationCode, Error> {
        let members = members(query)?;
        let member = |name| members.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let state = member("state").ok_or(Error::Callback { problem: "has no state" })?;
        if !same(state, self.state.secret()) {
            return Err(Error::Callback { problem: "is of another login" });
        }
        self.check_issuer(server, member("iss"))?;
        if let Some(code) = member("error") {
            let host = server.endpoint(Endpoint::Authorization).map(address::host)?;
            let said = Said { code, description: member("error_description") };
            let sent = [self.secret_state()];
            return Err(answer::refused((Endpoint::Authorization, &host), 302, said, None, &sent));
        }
        let code = member("code").ok_or(Error::Callback { problem: "has no code" })?;
        Ok(AuthorizationCode::new(code.to_owned()))
    }

    /// RFC 9207 §2.4. Where no issuer is known, one that is named means nothing.
    fn check_issuer(&self, server: &Server, iss: Option<&str>) -> Result<(), Error> {
        let Some(expected) = &server.issuer else { return Ok(()) };
        let wrong = match iss {
            Some(iss) => iss != expected,
            None => server.names_issuer,
        };
        if !wrong {
            return Ok(());
        }
        let found = iss.map(|iss| refusal::clean(iss, &[self.secret_state()], 255));
        let place = "the address that the browser came back to";
        Err(Error::Issuer { place, expected: expected.clone(), found })
    }

    fn secret_state(&self) -> SecretString {
        SecretString::from(self.state.secret().as_str())
    }
}

/// The `state` of a callback's query, to find which login it is for; none if there is none, or if it
/// is not clear.
#[must_use]
pub fn callback_state(query: &str) -> Option<String> {
    members(query).ok()?.remove("state").filter(|state| !state.is_empty())
}

/// Is this a parameter that the flow itself says?
fn ours(name: &str, server: &Server) -> bool {
    matches!(
        name,
        "response_type"
            | "client_id"
            | "redirect_uri"
            | "state"
            | "code_challenge"
            | "code_challenge_method"
    ) || (name == "resource" && server.resource.is_some())
        || name == server.scope_param
}

/// The members of a callback's query. What may come once only and comes twice is refused.
fn members(query: &str) -> Result<HashMap<String, String>, Error> {
    let whole = query.starts_with("https://") || query.starts_with("http://");
    let query = if whole { query.split_once('?').map_or("", |(_, query)| query) } else { query };
    let query = query.split('#').next().unwrap_or_default();
    let query = query.strip_prefix('?').unwrap_or(query);
    let mut members = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let again = members.insert(name.to_string(), value.into_owned()).is_some();
        if again && ONCE.contains(&name.as_ref()) {
            return Err(Error::Callback { problem: "says something twice" });
        }
    }
    Ok(members)
}

/// Are they the same? How long it takes says nothing about where they differ.
fn same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}
