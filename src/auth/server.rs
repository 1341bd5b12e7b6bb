//! One authorization server: where its endpoints are, and what is peculiar about it.

use std::collections::BTreeMap;

use ::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Endpoint, Error, Http, address, metadata};
use crate::provider::{
    ClientAuthentication, DeviceTokenRequest, Encoding, Flow, OAuth, Revocation,
};

/// One authorization server with its peculiarities.
///
/// It is stored together with a client where it was discovered, since the client is of no use at
/// another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    pub(super) issuer: Option<String>,
    pub(super) authorization_url: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) refresh_url: Option<String>,
    pub(super) revocation_url: Option<String>,
    pub(super) device_authorization_url: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    /// RFC 8707.
    pub(super) resource: Option<String>,
    pub(super) scope_separator: String,
    pub(super) scope_param: String,
    pub(super) pkce: bool,
    /// Is the device flow wanted, if there is an endpoint for it?
    pub(super) device: bool,
    /// Is registration wanted, if there is an endpoint for it?
    pub(super) registration: bool,
    pub(super) authorization_params: BTreeMap<String, String>,
    pub(super) token_params: BTreeMap<String, String>,
    pub(super) token_headers: BTreeMap<String, String>,
    pub(super) token_request: Encoding,
    pub(super) device_token_request: DeviceTokenRequest,
    pub(super) token_response: BTreeMap<String, String>,
    /// Where the settings of a connection are in a token response, by field name.
    #[serde(default)]
    pub(super) settings_from_response: BTreeMap<String, String>,
    pub(super) expires_in: Option<u64>,
    pub(super) revocation: Revocation,
    /// What the definition says of clients; metadata knows better.
    pub(super) authorization_method: ClientAuthentication,
    /// `token_endpoint_auth_methods_supported`; none: no metadata was read.
    pub(super) methods: Option<Vec<String>>,
    /// `authorization_response_iss_parameter_supported`: a callback without `iss` is refused.
    pub(super) names_issuer: bool,
}

impl Server {
    /// From a definition. `base_url` fills `{base_url}`; `None` is the definition's default.
    ///
    /// # Errors
    ///
    /// [`Error::BaseUrl`], [`Error::Url`] or [`Error::Setting`]: an endpoint is not https (http only
    /// for loopback), has a user, a password or a fragment, or a value cannot be sent.
    pub fn new(oauth: &OAuth, base_url: Option<&str>) -> Result<Self, Error> {
        let base_url = base_url.or(oauth.base_url.as_deref());
        let base_url = base_url.map(address::base_url).transpose()?;
        let filled = |url: &Option<String>| {
            url.as_deref().map(|url| address::fill(url, base_url)).transpose()
        };
        let server = Self {
            issuer: filled(&oauth.issuer)?,
            authorization_url: filled(&oauth.authorization_url)?,
            token_url: filled(&oauth.token_url)?,
            refresh_url: filled(&oauth.refresh_url)?,
            revocation_url: filled(&oauth.revocation_url)?,
            device_authorization_url: filled(&oauth.device_authorization_url)?,
            registration_endpoint: filled(&oauth.registration_endpoint)?,
            resource: filled(&oauth.resource)?,
            scope_separator: or_if_empty(&oauth.scope_separator, " "),
            scope_param: or_if_empty(&oauth.scope_param, "scope"),
            pkce: oauth.pkce,
            device: oauth.supports_device_code || oauth.flow == Flow::DeviceCode,
            registration: oauth.supports_dcr || oauth.flow == Flow::DcrPkce,
            authorization_params: oauth.authorization_params.clone(),
            token_params: oauth.token_params.clone(),
            token_headers: oauth.token_headers.clone(),
            token_request: oauth.token_request,
            device_token_request: oauth.device_token_request,
            token_response: oauth.token_response.clone(),
            settings_from_response: oauth.settings_from_response.clone(),
            expires_in: oauth.expires_in,
            revocation: oauth.revocation.clone(),
            authorization_method: oauth.authorization_method,
            methods: None,
            names_issuer: false,
        };
        server.check()?;
        Ok(server)
    }

    /// One of which nothing is known but its issuer, with everything as the RFCs have it.
    pub(super) fn of_issuer(issuer: &str) -> Result<Self, Error> {
        let oauth = OAuth {
            issuer: Some(issuer.to_owned()),
            pkce: true,
            supports_device_code: true,
            supports_dcr: true,
            authorization_method: ClientAuthentication::Basic,
            ..OAuth::default()
        };
        Self::new(&oauth, None)
    }

    /// Refuses what would send a secret where it does not belong.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(issuer) = &self.issuer {
            address::check_issuer(issuer)?;
        }
        for (name, url) in [
            ("authorization endpoint", &self.authorization_url),
            ("token endpoint", &self.token_url),
            ("refresh endpoint", &self.refresh_url),
            ("device authorization endpoint", &self.device_authorization_url),
            ("registration endpoint", &self.registration_endpoint),
        ] {
            if let Some(url) = url {
                address::check(name, url)?;
            }
        }
        if let Some(url) = &self.revocation_url {
            address::check_template("revocation endpoint", url)?;
        }
        for (name, value) in &self.token_headers {
            let problem = "has a header that cannot be sent";
            let error = |_| Error::Setting { key: "token_headers", problem };
            HeaderName::try_from(name).map_err(|_| ()).map_err(error)?;
            HeaderValue::try_from(value).map_err(|_| ()).map_err(error)?;
        }
        Ok(())
    }

    /// Fills endpoints that are missing from the metadata of the issuer (RFC 8414, then OpenID
    /// Connect Discovery). Asks nobody where nothing is missing that a login could need, or where no
    /// issuer is known.
    ///
    /// # Errors
    ///
    /// There is no metadata, it is of another issuer, or names an address that [`Self::new`] refuses.
    pub async fn complete(self, http: &dyn Http) -> Result<Self, Error> {
        metadata::complete(self, http).await
    }

    /// Token endpoint.
    #[must_use]
    pub fn token_url(&self) -> Option<&str> {
        self.token_url.as_deref()
    }

    /// Every address that tokens come from.
    pub fn token_urls(&self) -> impl Iterator<Item = &str> {
        self.token_url.as_deref().into_iter().chain(self.refresh_url.as_deref())
    }

    /// Issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Does it know the device flow (RFC 8628)?
    #[must_use]
    pub fn has_device_flow(&self) -> bool {
        self.device && self.device_authorization_url.is_some()
    }

    /// Does it register clients (RFC 7591)?
    #[must_use]
    pub fn can_register(&self) -> bool {
        self.registration && self.registration_endpoint.is_some()
    }

    /// How a client of the user's own, with a secret or without, shows who it is here.
    #[must_use]
    pub fn client_authentication(&self, has_secret: bool) -> ClientAuthentication {
        let supported = |method: &str| {
            self.methods.as_ref().is_some_and(|methods| methods.iter().any(|name| name == method))
        };
        if !has_secret {
            return ClientAuthentication::None;
        }
        let basic = self.authorization_method == ClientAuthentication::Basic;
        if basic && supported("client_secret_post") && !supported("client_secret_basic") {
            return ClientAuthentication::Body;
        }
        self.authorization_method
    }

    /// Scopes as one parameter; none for none.
    pub(super) fn join(&self, scopes: &[String]) -> Option<String> {
        (!scopes.is_empty()).then(|| scopes.join(&self.scope_separator))
    }

    /// The address of an endpoint that a flow cannot do without.
    pub(super) fn endpoint(&self, endpoint: Endpoint) -> Result<&str, Error> {
        let url = match endpoint {
            Endpoint::Authorization => &self.authorization_url,
            Endpoint::Token => &self.token_url,
            Endpoint::DeviceAuthorization => &self.device_authorization_url,
            Endpoint::Registration => &self.registration_endpoint,
            Endpoint::Revocation => &self.revocation_url,
            Endpoint::Metadata | Endpoint::Resource => &None,
        };
        url.as_deref().ok_or(Error::Missing(endpoint))
    }
}

fn or_if_empty(text: &str, standard: &str) -> String {
    if text.is_empty() { standard.to_owned() } else { text.to_owned() }
}
