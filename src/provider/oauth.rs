//! The OAuth part of a definition: endpoints and their peculiarities, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Error, tree::Section};

/// How a token is obtained from a provider.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OAuth {
    /// The flow a login uses unless told otherwise.
    pub flow: Flow,
    /// Authorization endpoint (RFC 6749 §3.1). May hold `{base_url}`, as all endpoints may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_url: Option<String>,
    /// Token endpoint (RFC 6749 §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Revocation endpoint (RFC 7009).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
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
    /// How the client authenticates at the token endpoint (RFC 6749 §2.3.1).
    pub authorization_method: ClientAuthentication,
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
}

/// How the device flow's token request is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceTokenRequest {
    /// As a form (RFC 8628).
    #[default]
    Oauth2Form,
    /// As a JSON object.
    Json,
}

/// Where the client's secret goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// Into the request's body.
    #[default]
    Body,
    /// Into a Basic `Authorization` header.
    Basic,
}

/// Reads the `oauth` table. `flow` comes from elsewhere in the files of the Python product.
pub(super) fn read(section: &mut Section<'_>, flow: Option<Flow>) -> Result<OAuth, Error> {
    let own_flow = match section.text("flow")? {
        Some(text) => Some(parse_flow(&text).ok_or_else(|| unknown_flow(section))?),
        None => None,
    };
    let device_code = section.flag("supports_device_code")?;
    let device_flow = section.flag("supports_device_flow")?;
    Ok(OAuth {
        flow: own_flow.or(flow).unwrap_or_default(),
        authorization_url: section.text("authorization_url")?,
        token_url: section.text("token_url")?,
        revocation_url: section.text("revocation_url")?,
        device_authorization_url: section.text("device_authorization_url")?,
        device_token_request: match section.text("device_token_request")?.as_deref() {
            None | Some("oauth2_form") => DeviceTokenRequest::Oauth2Form,
            Some("json") => DeviceTokenRequest::Json,
            Some(_) => {
                let hint = Some("`oauth2_form` or `json`".to_owned());
                return Err(section.error("device_token_request", "has an unknown value", hint));
            }
        },
        registration_endpoint: section.text("registration_endpoint")?,
        scopes: section.texts("scopes")?,
        pkce: section.flag("pkce")?.unwrap_or(true),
        supports_device_code: device_code.or(device_flow).unwrap_or_default(),
        supports_dcr: section.flag("supports_dcr")?.unwrap_or_default(),
        base_url: section.text("base_url")?,
        authorization_params: section.strings("authorization_params")?,
        authorization_method: match section.text("authorization_method")?.as_deref() {
            None | Some("body") => ClientAuthentication::Body,
            Some("basic") => ClientAuthentication::Basic,
            Some(_) => {
                let hint = Some("`body` or `basic`".to_owned());
                return Err(section.error("authorization_method", "has an unknown value", hint));
            }
        },
    })
}

/// The flow of this name.
pub(super) fn parse_flow(text: &str) -> Option<Flow> {
    match text {
        "pkce" => Some(Flow::Pkce),
        "device_code" => Some(Flow::DeviceCode),
        "dcr_pkce" => Some(Flow::DcrPkce),
        _ => None,
    }
}

fn unknown_flow(section: &Section<'_>) -> Error {
    let hint = Some("`pkce`, `device_code` or `dcr_pkce`".to_owned());
    section.error("flow", "has an unknown value", hint)
}
