//! The OAuth part of a definition: endpoints and their peculiarities, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, tree::Section};

/// How a token is obtained from a provider.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OAuth {
    /// The flow a login uses unless told otherwise.
    pub flow: Flow,
    /// Field of the definition that the access token becomes; none: the first secret one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The authorization server's issuer identifier (RFC 8414): endpoints that are not named here come
    /// from its metadata, and `iss` of a callback must be it (RFC 9207). May hold `{base_url}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The resource tokens are asked for (RFC 8707); none: it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Authorization endpoint (RFC 6749 §3.1). May hold `{base_url}`, as all endpoints may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_url: Option<String>,
    /// Token endpoint (RFC 6749 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Further URLs of the token endpoint, which clients know it by. Never asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_aliases: Vec<String>,
    /// Where a token is refreshed, if not at the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_url: Option<String>,
    /// Revocation endpoint. Spoken to as RFC 7009 has it, unless `revocation` says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
    /// How a token is revoked.
    pub revocation: Revocation,
    /// Device authorization endpoint (RFC 8628).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_url: Option<String>,
    /// How the device flow asks for the token.
    pub device_token_request: DeviceTokenRequest,
    /// Client registration endpoint (RFC 7591); none: by discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Scopes asked for unless told otherwise.
    pub scopes: Vec<String>,
    /// What stands between scopes: a space (RFC 6749 §3.3), or what the provider takes instead.
    pub scope_separator: String,
    /// Name of the scope parameter of the authorization request: `scope`, unless the provider has
    /// another one for the scopes of a user.
    pub scope_param: String,
    /// Does the provider know PKCE (RFC 7636)?
    pub pkce: bool,
    /// Does the provider know the device flow?
    pub supports_device_code: bool,
    /// Does the provider know dynamic client registration?
    pub supports_dcr: bool,
    /// What `{base_url}` stands for unless a connection says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Added to the query of the authorization request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, String>,
    /// Added to every request to the token endpoint.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub token_params: BTreeMap<String, String>,
    /// Headers added to every request to the token endpoint.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub token_headers: BTreeMap<String, String>,
    /// How token requests are written.
    pub token_request: Encoding,
    /// Where the members of a token response are, if not at the top: a member's name to a path of
    /// names, such as `access_token` to `authed_user.access_token`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub token_response: BTreeMap<String, String>,
    /// Fields that a token response fills in: a field's name to a path of names, such as `host` to
    /// `instance_url`; see [`super::Definition::settings_from_response`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings_from_response: BTreeMap<String, String>,
    /// Life of an access token in seconds where the response does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// How the client authenticates at the token endpoint (RFC 6749 §2.3.1).
    pub authorization_method: ClientAuthentication,
    /// A public client of the provider's, for a login that brings none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where a client is registered, in a sentence for the one who logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_hint: Option<String>,
}

impl OAuth {
    /// Everything that may hold `{base_url}`.
    pub(super) fn urls_mut(&mut self) -> impl Iterator<Item = &mut String> {
        [
            &mut self.issuer,
            &mut self.resource,
            &mut self.authorization_url,
            &mut self.token_url,
            &mut self.refresh_url,
            &mut self.revocation_url,
            &mut self.device_authorization_url,
            &mut self.registration_endpoint,
        ]
        .into_iter()
        .flatten()
        .chain(&mut self.token_aliases)
    }

    /// The same, with their keys.
    pub(super) fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("issuer", &self.issuer),
            ("resource", &self.resource),
            ("authorization_url", &self.authorization_url),
            ("token_url", &self.token_url),
            ("refresh_url", &self.refresh_url),
            ("revocation_url", &self.revocation_url),
            ("device_authorization_url", &self.device_authorization_url),
            ("registration_endpoint", &self.registration_endpoint),
        ]
        .into_iter()
        .filter_map(|(key, url)| Some((key, url.as_deref()?)))
        .chain(self.token_aliases.iter().map(|url| ("token_aliases", url.as_str())))
    }
}

/// How a provider revokes a token. The defaults are RFC 7009's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// `POST` or `DELETE`.
    pub method: String,
    /// Which token is sent: `refresh_token` falls back on the access token, and `both` is two requests,
    /// the refresh token's first.
    pub token: RevokedToken,
    /// Who the request says it is.
    pub auth: RevocationAuth,
    /// How the body is written.
    pub body: RevocationBody,
    /// Members of the body; a value may hold `{token}`, `{token_type_hint}` and `{client_id}`, as the URL may.
    pub params: BTreeMap<String, String>,
    /// Member of a JSON answer that must be `true` for success, where the status does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok: Option<String>,
}

/// Which token a revocation sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedToken {
    /// The access token.
    AccessToken,
    /// The refresh token, or the access token where there is none.
    #[default]
    RefreshToken,
    /// Both, the refresh token first.
    Both,
}

/// Who a revocation request says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationAuth {
    /// The client, as at the token endpoint.
    #[default]
    Client,
    /// The client, by Basic whatever the token endpoint takes.
    Basic,
    /// The user: the access token as a bearer token.
    Bearer,
    /// Nobody.
    None,
}

/// How the body of a revocation request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationBody {
    /// As a form.
    #[default]
    Form,
    /// As a JSON object.
    Json,
    /// There is none.
    None,
}

impl Default for Revocation {
    fn default() -> Self {
        let params = [("token", "{token}"), ("token_type_hint", "{token_type_hint}")];
        Self {
            method: "POST".to_owned(),
            token: RevokedToken::default(),
            auth: RevocationAuth::default(),
            body: RevocationBody::default(),
            params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ok: None,
        }
    }
}

/// How a request's body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As a form (RFC 6749, appendix B).
    #[default]
    Form,
    /// As a JSON object.
    Json,
}

/// A way to obtain a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// Authorization code with PKCE.
    #[default]
    Pkce,
    /// Device authorization.
    DeviceCode,
    /// Dynamic client registration, then PKCE.
    DcrPkce,
    /// Client credentials (RFC 6749 §4.4): the client acts for itself, and there is no user.
    ClientCredentials,
}

impl Flow {
    /// As definitions and `--flow` spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pkce => "pkce",
            Self::DeviceCode => "device_code",
            Self::DcrPkce => "dcr_pkce",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// How the device flow's token request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceTokenRequest {
    /// As a form (RFC 8628).
    #[default]
    Oauth2Form,
    /// As a JSON object.
    Json,
}

/// How the client shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// Its secret goes into the request's body (`client_secret_post`).
    #[default]
    Body,
    /// Its secret goes into a Basic `Authorization` header (`client_secret_basic`).
    Basic,
    /// It has no secret (`none`): a public client.
    None,
    /// It signs an assertion (`private_key_jwt`, RFC 7523 §2.2).
    PrivateKeyJwt,
}

/// Reads the `oauth` table. `flow` comes from elsewhere in the files of the Python product.
pub(super) fn read(section: &mut Section<'_>, flow: Option<Flow>) -> Result<OAuth, Error> {
    const FLOWS: &[(&str, Flow)] = &[
        ("pkce", Flow::Pkce),
        ("device_code", Flow::DeviceCode),
        ("dcr_pkce", Flow::DcrPkce),
        ("client_credentials", Flow::ClientCredentials),
    ];
    const METHODS: &[(&str, ClientAuthentication)] = &[
        ("body", ClientAuthentication::Body),
        ("basic", ClientAuthentication::Basic),
        ("none", ClientAuthentication::None),
        ("private_key_jwt", ClientAuthentication::PrivateKeyJwt),
    ];
    const DEVICE: &[(&str, DeviceTokenRequest)] =
        &[("oauth2_form", DeviceTokenRequest::Oauth2Form), ("json", DeviceTokenRequest::Json)];
    const ENCODINGS: &[(&str, Encoding)] = &[("form", Encoding::Form), ("json", Encoding::Json)];
    let own_flow = one_of(section, "flow", FLOWS)?;
    let device_code = section.flag("supports_device_code")?;
    let device_flow = section.flag("supports_device_flow")?;
    let revocation = match section.section("revocation")? {
        Some(mut table) => {
            let revocation = read_revocation(&mut table)?;
            table.finish()?;
            revocation
        }
        None => Revocation::default(),
    };
    Ok(OAuth {
        flow: own_flow.or(flow).unwrap_or_default(),
        field: section.text("field")?,
        issuer: section.text("issuer")?,
        resource: section.text("resource")?,
        authorization_url: section.text("authorization_url")?,
        token_url: section.text("token_url")?,
        token_aliases: section.texts("token_aliases")?,
        refresh_url: section.text("refresh_url")?,
        revocation_url: section.text("revocation_url")?,
        revocation,
        device_authorization_url: section.text("device_authorization_url")?,
        device_token_request: one_of(section, "device_token_request", DEVICE)?.unwrap_or_default(),
        registration_endpoint: section.text("registration_endpoint")?,
        scopes: section.texts("scopes")?,
        scope_separator: section.text("scope_separator")?.unwrap_or_else(|| " ".to_owned()),
        scope_param: section.text("scope_param")?.unwrap_or_else(|| "scope".to_owned()),
        pkce: section.flag("pkce")?.unwrap_or(true),
        supports_device_code: device_code.or(device_flow).unwrap_or_default(),
        supports_dcr: section.flag("supports_dcr")?.unwrap_or_default(),
        base_url: section.text("base_url")?,
        authorization_params: section.strings("authorization_params")?,
        token_params: section.strings("token_params")?,
        token_headers: section.strings("token_headers")?,
        token_request: one_of(section, "token_request", ENCODINGS)?.unwrap_or_default(),
        token_response: section.strings("token_response")?,
        settings_from_response: section.strings("settings_from_response")?,
        expires_in: section.number("expires_in")?,
        authorization_method: one_of(section, "authorization_method", METHODS)?.unwrap_or_default(),
        client_id: section.text("client_id")?,
        client_hint: section.text("client_hint")?,
    })
}

fn read_revocation(section: &mut Section<'_>) -> Result<Revocation, Error> {
    const METHODS: &[(&str, &str)] = &[("POST", "POST"), ("DELETE", "DELETE")];
    const TOKENS: &[(&str, RevokedToken)] = &[
        ("access_token", RevokedToken::AccessToken),
        ("refresh_token", RevokedToken::RefreshToken),
        ("both", RevokedToken::Both),
    ];
    const AUTHS: &[(&str, RevocationAuth)] = &[
        ("client", RevocationAuth::Client),
        ("basic", RevocationAuth::Basic),
        ("bearer", RevocationAuth::Bearer),
        ("none", RevocationAuth::None),
    ];
    const BODIES: &[(&str, RevocationBody)] = &[
        ("form", RevocationBody::Form),
        ("json", RevocationBody::Json),
        ("none", RevocationBody::None),
    ];
    let standard = Revocation::default();
    let body = one_of(section, "body", BODIES)?.unwrap_or_default();
    let named = section.has("params");
    let params = section.strings("params")?;
    Ok(Revocation {
        method: one_of(section, "method", METHODS)?.unwrap_or("POST").to_owned(),
        token: one_of(section, "token", TOKENS)?.unwrap_or_default(),
        auth: one_of(section, "auth", AUTHS)?.unwrap_or_default(),
        body,
        params: if named || body == RevocationBody::None { params } else { standard.params },
        ok: section.text("ok")?,
    })
}

/// The value of a key that takes one of a few words.
fn one_of<T: Copy>(
    section: &mut Section<'_>,
    key: &'static str,
    words: &[(&str, T)],
) -> Result<Option<T>, Error> {
    let Some(text) = section.text(key)? else { return Ok(None) };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(Some(*value));
    }
    let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    Err(section.error(key, "has an unknown value", Some(words.join(" or "))))
}

/// The flow of this name.
#[must_use]
pub fn parse_flow(text: &str) -> Option<Flow> {
    let flows = [Flow::Pkce, Flow::DeviceCode, Flow::DcrPkce, Flow::ClientCredentials];
    flows.into_iter().find(|flow| flow.as_str() == text)
}
