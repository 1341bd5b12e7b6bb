//! What is known about services: their hosts, what their credentials look like, and where in a
//! request a credential goes.
//!
//! Everything here is data and pure functions over it. A [`Definition`] is checked when it is parsed
//! and correct from then on; what is merely unwise about one is for [`lint()`] to say. This module knows
//! no vault, no network and no run: it is given values and returns values. The only files it reads are
//! the user's own definitions, in [`Registry::load`], where a broken one is reported and the others
//! still count.

mod base;
mod bundled;
mod environment;
mod error;
mod field;
mod host;
mod inject;
mod instance;
mod jsonc;
mod legacy;
mod lint;
mod lint_oauth;
mod native;
mod oauth;
mod path;
mod placeholder;
mod registry;
mod routes;
pub mod scan;
mod shape;
mod suggest;
mod template;
mod tree;
mod values;

use secrecy::SecretString;
use serde::Serialize;

pub use environment::{Connected, EnvPlan, environment};
pub use error::Error;
pub use field::{Derive, Field, Pattern};
pub use host::HostPattern;
pub use inject::{Inject, Slot};
pub use instance::Instance;
pub use lint::{Finding, Severity, lint, lint_all};
pub use oauth::{
    ClientAuthentication, DeviceTokenRequest, Encoding, Flow, OAuth, Revocation, RevocationAuth,
    RevocationBody, RevokedToken, parse_flow,
};
pub use path::PathPrefix;
pub use placeholder::{MARKER, placeholder};
pub use registry::{Problem, Registry};
pub use routes::{Claim, Conflict, Member, Route, Routes};
pub use template::Template;

use tree::{Document, Section};

/// One service.
///
/// Its serialised form is that of the files it is read from.
#[derive(Clone, Debug, Serialize)]
pub struct Definition {
    /// Unique name: `[a-z0-9][a-z0-9._-]*`.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// What kind of credential it takes.
    pub auth_type: AuthType,
    /// The vendor's documentation of authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// Where a credential is to be had, in a sentence for the one who logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
    /// Names it claims. Empty: requests are never routed to it.
    pub hosts: Vec<HostPattern>,
    /// Part of those hosts it claims; none: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
    /// Further parts of those hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_path_prefixes: Vec<PathPrefix>,
    /// What a connection claims instead that has a base URL of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Providers that claim the same with another kind of credential: meant for one user to have one
    /// of them, or to choose between them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternative_to: Vec<String>,
    /// What a connection consists of; at least one.
    pub fields: Vec<Field>,
    /// Where it goes; all of them are applied.
    pub inject: Vec<Inject>,
    /// How a token is obtained, if the credential is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
}

/// What kind of credential a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    /// Values that a person enters.
    ApiKey,
    /// A token set from an OAuth 2 flow.
    #[serde(rename = "oauth2")]
    OAuth2,
}

impl Definition {
    /// Reads a definition from TOML. `origin` is what errors call the text: a file name.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] or [`Error::Key`], with the line and, where there is one, the mend.
    pub fn parse_toml(text: &str, origin: &str) -> Result<Self, Error> {
        Self::read(&Document::toml(text, origin)?)
    }

    /// Reads a definition from JSON, with comments or without: the structure of the TOML files, or
    /// that of the provider files of the Python product, in any of its versions.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_toml`].
    pub fn parse_json(text: &str, origin: &str) -> Result<Self, Error> {
        Self::read(&Document::json(text, origin)?)
    }

    fn read(document: &Document) -> Result<Self, Error> {
        let root = document.root()?;
        if legacy::is_legacy(&root) { legacy::read(root) } else { native::read(root) }
    }

    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that an access token becomes; none if the definition has no OAuth.
    #[must_use]
    pub fn token_field(&self) -> Option<&Field> {
        let named = self.oauth.as_ref()?.field.as_deref().and_then(|name| self.field(name));
        Some(named.unwrap_or_else(|| self.main_field()))
    }

    /// The name that templates of other definitions would call "the key": the first secret field, or
    /// the first one.
    fn main_field(&self) -> &Field {
        static NONE: std::sync::LazyLock<Field> =
            std::sync::LazyLock::new(|| Field::new(API_KEY, API_KEY_LABEL));
        let secret = self.fields.iter().find(|field| field.secret);
        secret.or(self.fields.first()).unwrap_or(&NONE)
    }

    /// The parts of its hosts it claims; none is all of them.
    fn path_prefixes(&self) -> Vec<Option<&PathPrefix>> {
        let also = self.also_path_prefixes.iter().map(Some);
        std::iter::once(self.path_prefix.as_ref()).chain(also).collect()
    }

    fn value_error(&self, field: &str, problem: &str, hint: Option<String>) -> Error {
        Error::Value {
            provider: self.name.clone(),
            field: field.to_owned(),
            problem: problem.to_owned(),
            hint,
        }
    }
}

const API_KEY: &str = "api_key";
const API_KEY_LABEL: &str = "API key";
const ACCESS_TOKEN: &str = "access_token";
const ACCESS_TOKEN_LABEL: &str = "Access token";

/// The field a definition has that names none.
fn default_field(auth_type: AuthType) -> Field {
    match auth_type {
        AuthType::ApiKey => Field::new(API_KEY, API_KEY_LABEL),
        AuthType::OAuth2 => Field::new(ACCESS_TOKEN, ACCESS_TOKEN_LABEL),
    }
}

/// Reads and checks `name`.
fn read_name(section: &mut Section<'_>) -> Result<String, Error> {
    let name = section.required("name")?;
    let first = name.bytes().next();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_well = first.is_some_and(plain);
    let goes_on_well = name.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
    if !starts_well || !goes_on_well || name.len() > 64 {
        let hint =
            "lower-case letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first";
        return Err(section.error("name", "is no provider name", Some(hint.to_owned())));
    }
    Ok(name)
}

/// Is this a name an environment variable can have?
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A value on its way into a connection, by field name.
pub type Values = std::collections::BTreeMap<String, SecretString>;
