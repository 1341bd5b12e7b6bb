//! One connection: what is stored of it, and what it is in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{oauth::Grant, snapshot::plain_path, sourced::Live};
use crate::{
    auth::Server,
    gate::Injection,
    protocol::{ConnectionView, Secret, chain, login_command},
    provider::{Definition, Values},
    scrub::Scrubber,
    source::Source,
};

/// Version of [`Stored`].
const VERSION: u32 = 1;

/// A connection as the vault keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Where the fields lie that are not in `fields`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) sources: BTreeMap<String, Source>,
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
            sources: BTreeMap::new(),
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
    /// Where the fields lie that `values` has not; then `live` is what is known of them now.
    pub(super) sources: BTreeMap<String, Source>,
    live: OnceLock<Arc<Live>>,
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
            sources: stored.sources,
            live: OnceLock::new(),
        }
    }

    /// The request changes that this connection means; made once, then shared. Not for one with
    /// sources, whose values may be others each time.
    pub(super) fn injection(&self) -> Result<Injection, String> {
        self.used();
        let issue =
            || self.grant.as_ref().filter(|grant| grant.can_renew()).map(|grant| grant.issue);
        self.injection.get_or_init(|| self.prepare(&self.values, None, issue())).clone()
    }

    /// The request changes that these values mean. The `former` ones may still come back.
    pub(super) fn prepare(
        &self,
        values: &Values,
        former: Option<&Values>,
        issue: Option<u64>,
    ) -> Result<Injection, String> {
        let changes = self.definition.changes(values).map_err(|error| chain(&error))?;
        let mut pairs = Vec::new();
        for values in std::iter::once(values).chain(former) {
            let found = self.definition.scrub_pairs(values, &self.placeholders);
            pairs.extend(found.map_err(|error| chain(&error))?);
        }
        Ok(Injection {
            connection: Arc::clone(&self.full_name),
            changes: changes.into(),
            scrubber: Arc::new(Scrubber::new(&pairs)),
            issue,
        })
    }

    /// Notes that a run has used it.
    pub(super) fn used(&self) {
        self.last_used.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    /// Do values of it lie elsewhere?
    pub(super) fn is_sourced(&self) -> bool {
        !self.sources.is_empty()
    }

    /// What is known now of the values that lie elsewhere.
    pub(super) fn live(&self) -> &Live {
        self.live.get_or_init(Arc::default)
    }

    /// Takes over what was known, if this is the same connection by the same definition.
    pub(super) fn keep_live(&self, former: &Self) {
        if let Some(live) = former.live.get()
            && self.created_at == former.created_at
            && self.sources == former.sources
            && Arc::ptr_eq(&self.definition, &former.definition)
        {
            let _ = self.live.set(Arc::clone(live));
        }
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

    /// Are these its values, no more and no fewer?
    pub(super) fn has_values(&self, values: &Values) -> bool {
        self.values.len() == values.len()
            && values.iter().all(|(name, value)| {
                self.values
                    .get(name)
                    .is_some_and(|known| known.expose_secret() == value.expose_secret())
            })
    }

    /// A field the definition does not know (any more) is taken for a secret.
    fn is_secret(&self, name: &str) -> bool {
        self.definition.field(name).is_none_or(|field| field.secret)
    }

    pub(super) fn secrets(&self) -> BTreeMap<String, Secret> {
        self.secrets_of(&self.values)
    }

    pub(super) fn secrets_of(&self, values: &Values) -> BTreeMap<String, Secret> {
        values
            .iter()
            .filter(|(name, _)| self.is_secret(name))
            .map(|(name, value)| (name.clone(), Secret(value.clone())))
            .collect()
    }

    pub(super) fn view(&self) -> ConnectionView {
        let used = self.last_used.load(Ordering::Relaxed);
        let login = self.grant.as_ref().and_then(|grant| grant.login_reason(Timestamp::now()));
        let source = self.live.get().and_then(|live| live.problem());
        let status = match (&login, &source) {
            (Some(_), _) => "needs_login",
            (None, Some(_)) => "source_failed",
            (None, None) => "connected",
        };
        ConnectionView {
            provider: self.definition.name.clone(),
            connection: self.name.clone(),
            default: self.default,
            status: status.to_owned(),
            reason: login.or(source),
            scopes: self.grant.as_ref().map(|grant| grant.scopes.clone()).unwrap_or_default(),
            fields: self.settings(),
            secret_fields: self
                .values
                .keys()
                .chain(self.sources.keys())
                .filter(|name| self.is_secret(name))
                .cloned()
                .collect(),
            sources: self
                .sources
                .iter()
                .map(|(name, source)| (name.clone(), source.to_string()))
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
