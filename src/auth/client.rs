//! Who asks: a client and how it shows at an endpoint who it is.

use base64::Engine;
use http::{HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use oauth2::url::form_urlencoded;
use secrecy::{ExposeSecret, SecretString};

use super::{Error, Server, assertion, request::Request};
use crate::provider::ClientAuthentication;

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that is registered at a server.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; the private key (PKCS#8 PEM) where `method` signs.
    pub secret: Option<SecretString>,
    /// How it shows who it is. Without a secret it only says so, whatever stands here.
    pub method: ClientAuthentication,
}

impl Client {
    /// Adds to `request` who is asking.
    pub(super) fn authenticate(
        &self,
        server: &Server,
        request: &mut Request,
        now: Timestamp,
    ) -> Result<(), Error> {
        match (self.method, &self.secret) {
            (ClientAuthentication::Basic, Some(secret)) => return self.basic(secret, request),
            (ClientAuthentication::PrivateKeyJwt, key) => {
                let key = key.as_ref().ok_or(Error::Key { problem: "is missing" })?;
                let audience = server.token_url().or(server.issuer());
                let audience = audience.unwrap_or_else(|| request.url());
                let jwt = assertion::sign(key, &self.id, audience, now)?;
                request.secret("client_assertion", &jwt);
                request.param("client_assertion_type", JWT_BEARER);
            }
            (ClientAuthentication::Body, Some(secret)) => request.secret("client_secret", secret),
            (ClientAuthentication::Body | ClientAuthentication::Basic, None)
            | (ClientAuthentication::None, _) => {}
        }
        self.identify(request);
        Ok(())
    }

    /// By Basic, id and secret in form encoding each (RFC 6749 §2.3.1).
    pub(super) fn basic(&self, secret: &SecretString, request: &mut Request) -> Result<(), Error> {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.id), encode(secret.expose_secret()));
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut value =
            HeaderValue::try_from(format!("Basic {pair}")).map_err(|_| Error::NoClient)?;
        value.set_sensitive(true);
        request.header(AUTHORIZATION, value);
        request.hide(secret);
        request.hide(&SecretString::from(pair));
        Ok(())
    }

    /// Without showing anything.
    pub(super) fn identify(&self, request: &mut Request) {
        if !self.id.is_empty() {
            request.param("client_id", &self.id);
        }
    }
}
