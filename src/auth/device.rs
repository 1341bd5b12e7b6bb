//! The device flow (RFC 8628): a code that the user types into a page on any device.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    Client, Endpoint, Error, Http, Server, TokenSet, address, grant,
    request::{Body, Request},
    token,
};
use crate::provider::DeviceTokenRequest;

/// `grant_type` of the flow.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Time between two requests where the server does not say, in seconds.
const INTERVAL: u64 = 5;
/// What `slow_down` adds (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// Longest interval that time-outs alone lead to, and the longest a server can begin with.
const SLOWEST: Duration = Duration::from_secs(60);
/// Life of a code where the server does not say, in seconds.
const LIFE: u64 = 10 * 60;
/// Longest life that is believed, in seconds.
const LONGEST_LIFE: u64 = 60 * 60;

/// A code that waits for its user.
pub struct DeviceGrant {
    /// What the user types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same page with the code filled in, if the provider has one.
    pub verification_uri_complete: Option<String>,
    /// When the code ends.
    pub expires_at: Timestamp,
    device_code: SecretString,
    interval: Duration,
    scopes: Vec<String>,
}

impl fmt::Debug for DeviceGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceGrant")
            .field("verification_uri", &self.verification_uri)
            .field("expires_at", &self.expires_at)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl DeviceGrant {
    /// Asks for a code.
    ///
    /// # Errors
    ///
    /// See [`Error::kind`].
    pub async fn begin(
        http: &dyn Http,
        server: &Server,
        client: &Client,
        scopes: &[String],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let url = server.endpoint(Endpoint::DeviceAuthorization)?;
        let body = match server.device_token_request {
            DeviceTokenRequest::Oauth2Form => Body::Form,
            DeviceTokenRequest::Json => Body::Json,
        };
        let mut request = Request::post(Endpoint::DeviceAuthorization, url, body);
        client.authenticate(server, &mut request, now)?;
        if let Some(scope) = server.join(scopes) {
            request.param("scope", &scope);
        }
        let answer = request.send(http).await?;
        let members = answer.members()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let device_code = text("device_code").ok_or_else(|| answer.problem("no device code"))?;
        let user_code = text("user_code").ok_or_else(|| answer.problem("no user code"))?;
        if user_code.len() > 64 || !user_code.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(answer.problem("an unusable user code"));
        }
        // Google's name for it is older than the RFC.
        let page = text("verification_uri").or_else(|| text("verification_url"));
        let page = page.ok_or_else(|| answer.problem("no address to enter the code at"))?;
        let complete = text("verification_uri_complete");
        // They are shown, and opened in a browser.
        if [Some(page), complete].into_iter().flatten().any(|page| address::parse(page).is_err()) {
            return Err(answer.problem("an unusable address to enter the code at"));
        }
        let life = members.get("expires_in").and_then(token::seconds).unwrap_or(LIFE);
        let interval = members.get("interval").and_then(token::seconds).unwrap_or(INTERVAL);
        Ok(Self {
            user_code: user_code.to_owned(),
            verification_uri: page.to_owned(),
            verification_uri_complete: complete.map(ToOwned::to_owned),
            expires_at: token::after(now, life.min(LONGEST_LIFE)).unwrap_or(now),
            device_code: SecretString::from(device_code),
            interval: Duration::from_secs(interval).min(SLOWEST),
            scopes: scopes.to_vec(),
        })
    }

    /// How long to wait before the next [`Self::poll`]: before the first one too, and anew after each.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Asks whether the user has entered the code. `None`: not yet.
    ///
    /// A server that does not answer, or says "not now", counts as "not yet" and makes the interval
    /// longer; so does `slow_down` (RFC 8628 §3.5).
    ///
    /// # Errors
    ///
    /// The user said no, the code has expired, or the server refuses for good.
    pub async fn poll(
        &mut self,
        http: &dyn Http,
        server: &Server,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<TokenSet>, Error> {
        if now >= self.expires_at {
            return Err(Error::Expired);
        }
        let url = server.endpoint(Endpoint::Token)?;
        let mut request = match server.device_token_request {
            DeviceTokenRequest::Oauth2Form => grant::token_request(server, url),
            DeviceTokenRequest::Json => Request::post(Endpoint::Token, url, Body::Json),
        };
        request.param("grant_type", GRANT);
        request.secret("device_code", &self.device_code);
        match grant::send(http, server, client, request, &self.scopes, now).await {
            Ok(tokens) => Ok(Some(tokens)),
            Err(error) => self.not_yet(error).map(|()| None),
        }
    }

    /// Sets the interval after an error that only says to wait.
    fn not_yet(&mut self, error: Error) -> Result<(), Error> {
        if let Error::Refused { code, .. } = &error {
            match code.as_str() {
                "authorization_pending" => return Ok(()),
                "slow_down" => {
                    self.interval = self.interval.saturating_add(SLOWER);
                    return Ok(());
                }
                "expired_token" => return Err(Error::Expired),
                _ => {}
            }
        }
        if !error.is_transient() {
            return Err(error);
        }
        let doubled = self.interval.saturating_mul(2).min(SLOWEST).max(self.interval);
        self.interval = doubled.max(error.retry_after().unwrap_or_default());
        Ok(())
    }
}
