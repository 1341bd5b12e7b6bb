//! One connection: what is stored of it, and what it is in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{oauth::Grant, snapshot::plain_path};
use crate::{
    auth::Server,
    gate::Injection,
    protocol::{ConnectionView, Secret, chain, login_command},
    provider::{Definition, Values},
    scrub::Scrubber,
};

/// Version of [`Stored`].
const VERSION: u32 = 1;

/// A connection as the vault keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    v: u32,
    pub(super) provider: String,
    pub(super) connection: String,
    pub(super) fields: BTreeMap<String, Secret>,
    /// The fake value of each secret field, the same in every run.
    pub(super) placeholders: BTreeMap<String, String>,
    pub(super) created_at: Timestamp,
    /// What came with the access token, if that is what the connection is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<Grant>,
}

impl Stored {
    pub(super) fn new(
        provider: &str,
        connection: &str,
        fields: BTreeMap<String, Secret>,
        placeholders: BTreeMap<String, String>,
    ) -> Self {
        Self {
            v: VERSION,
            provider: provider.to_owned(),
            connection: connection.to_owned(),
            fields,
            placeholders,
            created_at: Timestamp::now(),
            grant: None,
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        serde_json::to_vec(self).map(Zeroizing::new)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        // A serde message can quote what it read.
        let stored: Self = serde_json::from_slice(bytes)
            .map_err(|_| "the record is not one this version knows".to_owned())?;
        if stored.v == VERSION {
            Ok(stored)
        } else {
            Err(format!("the record has version {}, this version knows {VERSION}", stored.v))
        }
    }
}

/// A connection in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) definition: Arc<Definition>,
    pub(super) name: String,
    /// `provider/connection`.
    pub(super) full_name: Arc<str>,
    pub(super) values: Values,
    pub(super) placeholders: BTreeMap<String, String>,
    pub(super) created_at: Timestamp,
    pub(super) default: bool,
    /// Unix time in milliseconds; 0: not since the daemon started.
    pub(super) last_used: Arc<AtomicI64>,
    grant: Option<Grant>,
    injection: OnceLock<Result<Injection, String>>,
}

impl Entry {
    pub(super) fn new(stored: Stored, definition: Arc<Definition>, default: bool) -> Self {
        Self {
            definition,
            full_name: format!("{}/{}", stored.provider, stored.connection).into(),
            name: stored.connection,
            values: stored.fields.into_iter().map(|(name, value)| (name, value.0)).collect(),
            placeholders: stored.placeholders,
            created_at: stored.created_at,
            default,
            last_used: Arc::default(),
            grant: stored.grant,
            injection: OnceLock::new(),
        }
    }

    /// The request changes that this connection means; made once, then shared.
    pub(super) fn injection(&self) -> Result<Injection, String> {
        self.last_used.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
        self.injection.get_or_init(|| self.prepare()).clone()
    }

    fn prepare(&self) -> Result<Injection, String> {
        let changes = self.definition.changes(&self.values).map_err(|error| chain(&error))?;
        let pairs = self
            .definition
            .scrub_pairs(&self.values, &self.placeholders)
            .map_err(|error| chain(&error))?;
        Ok(Injection {
            connection: Arc::clone(&self.full_name),
            changes: changes.into(),
            scrubber: Arc::new(Scrubber::new(&pairs)),
            issue: self.grant.as_ref().filter(|grant| grant.can_renew()).map(|grant| grant.issue),
        })
    }

    /// What came with the access token, if that is what the connection is.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Hosts and paths of the endpoints that give and renew its tokens.
    pub(super) fn token_endpoints(&self) -> Vec<(String, String)> {
        let discovered = self.grant.as_ref().and_then(|grant| grant.server.as_ref());
        let urls = discovered.into_iter().flat_map(Server::token_urls);
        let places = urls.filter_map(|url| {
            let uri: http::Uri = url.parse().ok()?;
            Some((uri.host()?.to_ascii_lowercase(), uri.path().to_owned()))
        });
        let defined = self.definition.token_endpoints(&self.settings());
        let mut endpoints: Vec<_> = defined
            .into_iter()
            .chain(places)
            .map(|(host, path)| (host, plain_path(&path)))
            .collect();
        endpoints.sort();
        endpoints.dedup();
        endpoints
    }

    /// What connects it again.
    pub(super) fn login_command(&self) -> String {
        format!("{} --force", login_command(&self.definition.name, &self.name))
    }

    /// Does the agent hold one value for this connection and that one? It does where clients of both
    /// look into one variable, or where both get their tokens at one place, as all services of a vendor
    /// do.
    pub(super) fn is_kin_of(&self, other: &Self) -> bool {
        let variables = |of: &Self| -> Vec<String> {
            let secret = of.definition.fields.iter().filter(|field| field.secret);
            secret.flat_map(|field| field.env.iter().cloned()).collect()
        };
        let (own, theirs) = (variables(self), variables(other));
        let (own_ends, their_ends) = (self.token_endpoints(), other.token_endpoints());
        own.iter().any(|variable| theirs.contains(variable))
            || own_ends.iter().any(|endpoint| their_ends.contains(endpoint))
    }

    /// The values that are no secrets, by field name.
    pub(super) fn settings(&self) -> BTreeMap<String, String> {
        self.definition.settings(&self.values)
    }

    /// A field the definition does not know (any more) is taken for a secret.
    fn is_secret(&self, name: &str) -> bool {
        self.definition.field(name).is_none_or(|field| field.secret)
    }

    pub(super) fn secrets(&self) -> BTreeMap<String, Secret> {
        self.values
            .iter()
            .filter(|(name, _)| self.is_secret(name))
            .map(|(name, value)| (name.clone(), Secret(value.clone())))
            .collect()
    }

    pub(super) fn view(&self) -> ConnectionView {
        let used = self.last_used.load(Ordering::Relaxed);
        let reason = self.grant.as_ref().and_then(|grant| grant.login_reason(Timestamp::now()));
        ConnectionView {
            provider: self.definition.name.clone(),
            connection: self.name.clone(),
            default: self.default,
            status: if reason.is_some() { "needs_login" } else { "connected" }.to_owned(),
            reason,
            scopes: self.grant.as_ref().map(|grant| grant.scopes.clone()).unwrap_or_default(),
            fields: self.settings(),
            secret_fields: self
                .values
                .keys()
                .filter(|name| self.is_secret(name))
                .cloned()
                .collect(),
            created_at: self.created_at.to_string(),
            last_used_at: (used != 0)
                .then(|| Timestamp::from_millisecond(used).map(|time| time.to_string()).ok())
                .flatten(),
            expires_at: self
                .grant
                .as_ref()
                .and_then(|grant| grant.expires_at)
                .map(|time| time.to_string()),
        }
    }
}
