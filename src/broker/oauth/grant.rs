//! What is kept of a login by OAuth beside the access token, which is a field of the connection.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Client, Server, TokenSet},
    protocol::Secret,
    provider::{ClientAuthentication, Flow},
};

/// A token is renewed when this much of its life is left, or a fifth of it if that is less.
const AHEAD: Duration = Duration::from_secs(300);
/// A token counts as expired this long before it is, or a twentieth of its life if that is less: a
/// request takes time to arrive.
const MARGIN: Duration = Duration::from_secs(10);

/// Why a token that has expired is not simply renewed.
pub(super) const NOT_RENEWABLE: &str =
    "its token has expired, and the provider gave none to renew it with";

/// A connection's grant as the vault keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::broker) struct Grant {
    /// `pkce`, `device_code`, `dcr_pkce` or `client_credentials`.
    pub(in crate::broker) flow: String,
    /// Which issue of the access token this is; goes up with each renewal and never down.
    pub(in crate::broker) issue: u64,
    pub(in crate::broker) refresh_token: Option<Secret>,
    pub(in crate::broker) expires_at: Option<Timestamp>,
    pub(in crate::broker) obtained_at: Timestamp,
    pub(in crate::broker) scopes: Vec<String>,
    /// The client the grant was given to: a refresh token is bound to it (RFC 6749 §6).
    pub(in crate::broker) client: StoredClient,
    /// The server, where it was discovered rather than defined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::broker) server: Option<Server>,
    /// A renewal that has begun and of whose end nothing is known. On disk before the provider is
    /// asked: where refresh tokens rotate, a crash between the two loses the grant, and this says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::broker) renewing_since: Option<Timestamp>,
    /// Why only a new login helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::broker) needs_login: Option<String>,
}

/// A client as the vault keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::broker) struct StoredClient {
    pub(in crate::broker) id: String,
    pub(in crate::broker) secret: Option<Secret>,
    pub(in crate::broker) method: ClientAuthentication,
}

impl StoredClient {
    pub(in crate::broker) fn new(client: &Client) -> Self {
        let secret = client.secret.clone().map(Secret);
        Self { id: client.id.clone(), secret, method: client.method }
    }

    pub(in crate::broker) fn client(&self) -> Client {
        let secret = self.secret.as_ref().map(|secret| secret.0.clone());
        Client { id: self.id.clone(), secret, method: self.method }
    }
}

/// What a token's age means for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and get the next one meanwhile.
    Ageing,
    /// Wait for the next one.
    Expired,
}

impl Grant {
    /// A grant just given.
    pub(in crate::broker) fn new(
        flow: Flow,
        tokens: &TokenSet,
        client: &Client,
        server: Option<Server>,
        now: Timestamp,
    ) -> Self {
        Self {
            flow: flow.as_str().to_owned(),
            issue: issue_after(0, now),
            refresh_token: tokens.refresh_token.clone().map(Secret),
            expires_at: tokens.expires_at,
            obtained_at: now,
            scopes: tokens.scopes.clone(),
            client: StoredClient::new(client),
            server,
            renewing_since: None,
            needs_login: None,
        }
    }

    /// The same grant with the tokens of a renewal.
    pub(in crate::broker) fn renewed(&self, tokens: &TokenSet, now: Timestamp) -> Self {
        Self {
            issue: issue_after(self.issue, now),
            refresh_token: tokens.refresh_token.clone().map(Secret),
            expires_at: tokens.expires_at,
            obtained_at: now,
            scopes: tokens.scopes.clone(),
            renewing_since: None,
            needs_login: None,
            ..self.clone()
        }
    }

    /// Why only a new login helps, if so.
    pub(in crate::broker) fn login_reason(&self, now: Timestamp) -> Option<String> {
        let expired = self.expires_at.is_some_and(|expires_at| expires_at <= now);
        let unrenewable = expired && !self.can_renew();
        self.needs_login.clone().or_else(|| unrenewable.then(|| NOT_RENEWABLE.to_owned()))
    }

    /// Can the next token be had without the user?
    pub(in crate::broker) fn can_renew(&self) -> bool {
        self.needs_login.is_none() && (self.refresh_token.is_some() || self.is_for_client())
    }

    /// Does the client act for itself (RFC 6749 §4.4)? Then it simply asks again.
    pub(in crate::broker) fn is_for_client(&self) -> bool {
        self.flow == Flow::ClientCredentials.as_str()
    }

    pub(in crate::broker) fn freshness(&self, now: Timestamp) -> Freshness {
        let Some(expires_at) = self.expires_at else { return Freshness::Fresh };
        let left = expires_at.duration_since(now);
        let life = expires_at.duration_since(self.obtained_at);
        let within = |most: Duration, part: i32| {
            left <= SignedDuration::try_from(most).unwrap_or_default().min(life / part)
        };
        if within(MARGIN, 20) {
            Freshness::Expired
        } else if within(AHEAD, 5) {
            Freshness::Ageing
        } else {
            Freshness::Fresh
        }
    }
}

/// Issues of one connection differ even if it was deleted and made again: they are times.
fn issue_after(previous: u64, now: Timestamp) -> u64 {
    u64::try_from(now.as_microsecond()).unwrap_or_default().max(previous + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(life: i64) -> Grant {
        let tokens = TokenSet {
            access_token: "access".into(),
            refresh_token: None,
            expires_at: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(life)),
            scopes: Vec::new(),
            settings: serde_json::Value::Null,
        };
        let client =
            Client { id: "c".to_owned(), secret: None, method: ClientAuthentication::None };
        Grant::new(Flow::Pkce, &tokens, &client, None, Timestamp::UNIX_EPOCH)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn an_hour_is_renewed_five_minutes_ahead() {
        let grant = grant(3600);

        assert_eq!(grant.freshness(at(3299)), Freshness::Fresh);
        assert_eq!(grant.freshness(at(3300)), Freshness::Ageing);
        assert_eq!(grant.freshness(at(3589)), Freshness::Ageing);
        assert_eq!(grant.freshness(at(3590)), Freshness::Expired);
    }

    #[test]
    fn a_short_life_is_used_for_most_of_it() {
        let grant = grant(20);

        assert_eq!(grant.freshness(at(15)), Freshness::Fresh);
        assert_eq!(grant.freshness(at(16)), Freshness::Ageing);
        assert_eq!(grant.freshness(at(19)), Freshness::Expired);
    }

    #[test]
    fn a_token_without_end_stays_fresh() {
        let grant = Grant { expires_at: None, ..grant(1) };

        assert_eq!(grant.freshness(at(1 << 30)), Freshness::Fresh);
    }

    #[test]
    fn each_renewal_is_a_later_issue_even_if_the_clock_stands() {
        let first = grant(10);
        let tokens = TokenSet {
            access_token: "next".into(),
            refresh_token: None,
            expires_at: None,
            scopes: Vec::new(),
            settings: serde_json::Value::Null,
        };
        assert!(first.renewed(&tokens, Timestamp::UNIX_EPOCH).issue > first.issue);
    }
}
