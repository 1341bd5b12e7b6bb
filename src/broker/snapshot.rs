//! All connections at one moment, and which of them claims what.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
};

use secrecy::ExposeSecret;

use super::entry::{Entry, Stored};
use crate::{
    protocol::chain,
    provider::{Member, Registry, Routes},
    scrub::Finder,
    vault::{self, Vault},
};

/// Records of connections are named `connection/PROVIDER/NAME`.
const CONNECTION_PREFIX: &str = "connection/";
/// The default connection's name is kept under `default/PROVIDER`.
const DEFAULT_PREFIX: &str = "default/";

/// An immutable view of the vault.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// By provider; the default connection first.
    providers: BTreeMap<String, Vec<Arc<Entry>>>,
    routes: Arc<Routes>,
    /// By host: the paths of token endpoints, and whose they are.
    token_endpoints: HashMap<String, Vec<(String, Arc<Entry>)>>,
    /// Finds the placeholders of all connections.
    placeholders: Arc<Finder>,
    /// Records that could not be read: name and reason.
    damaged: Vec<(String, String)>,
}

impl Snapshot {
    /// Reads everything. A record that cannot be read is kept as damaged; it costs no other.
    pub(super) fn read(vault: &dyn Vault, registry: &Registry) -> Result<Self, vault::Error> {
        let mut providers: BTreeMap<String, Vec<Arc<Entry>>> = BTreeMap::new();
        let mut damaged = Vec::new();
        for key in vault.list(CONNECTION_PREFIX)? {
            let stored = match vault.get(&key) {
                Ok(Some(bytes)) => Stored::from_bytes(bytes.expose_secret()),
                Ok(None) => continue,
                Err(error) => Err(chain(&error)),
            };
            let name = key.strip_prefix(CONNECTION_PREFIX).unwrap_or(&key);
            let stored = match stored {
                Ok(stored) => stored,
                Err(reason) => {
                    damaged.push((name.to_owned(), reason));
                    continue;
                }
            };
            let Some(definition) = registry.get(&stored.provider) else {
                damaged.push((name.to_owned(), "its provider is not defined any more".to_owned()));
                continue;
            };
            let default =
                default_of(vault, &stored.provider)?.as_deref() == Some(&stored.connection);
            let entry = Arc::new(Entry::new(stored, Arc::clone(definition), default));
            let entries = providers.entry(definition.name.clone()).or_default();
            entries.insert(if default { 0 } else { entries.len() }, entry);
        }
        let members: Vec<_> = providers
            .values()
            .flatten()
            .map(|entry| Member {
                definition: Arc::clone(&entry.definition),
                connection: entry.name.as_str().into(),
                settings: entry.settings(),
            })
            .collect();
        let mut token_endpoints: HashMap<_, Vec<_>> = HashMap::new();
        for entry in providers.values().flatten() {
            for (host, path) in entry.token_endpoints() {
                token_endpoints.entry(host).or_default().push((path, Arc::clone(entry)));
            }
        }
        let placeholders = Arc::new(Finder::new(providers.values().flatten().flat_map(|entry| {
            let texts = entry.placeholders.values();
            texts.map(|text| (text.as_str(), Arc::clone(&entry.full_name)))
        })));
        let routes = Arc::new(Routes::build(&members));
        Ok(Self { providers, routes, token_endpoints, placeholders, damaged })
    }

    /// Is there a token endpoint of a connected provider on this host?
    pub(super) fn has_token_endpoint(&self, host: &str) -> bool {
        self.token_endpoints.contains_key(host)
    }

    /// The connections whose provider has its token endpoint there.
    pub(super) fn token_endpoint(&self, host: &str, path: &str) -> Vec<Arc<Entry>> {
        let Some(endpoints) = self.token_endpoints.get(host) else { return Vec::new() };
        let path = plain_path(path);
        let there = endpoints.iter().filter(|(endpoint, _)| *endpoint == path);
        there.map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// Takes over when each connection was last used, and what was fetched for it.
    pub(super) fn keep_use_of(&self, previous: &Self) {
        let used: HashMap<_, _> =
            previous.entries().map(|entry| (Arc::clone(&entry.full_name), entry)).collect();
        for entry in self.entries() {
            if let Some(former) = used.get(&entry.full_name) {
                let last = former.last_used.load(Ordering::Relaxed);
                entry.last_used.store(last, Ordering::Relaxed);
                entry.keep_live(former);
            }
        }
    }

    pub(super) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Finds the placeholders of all connections, by full name.
    pub(super) fn placeholders(&self) -> &Arc<Finder> {
        &self.placeholders
    }

    /// A connection by its full name.
    pub(super) fn named(&self, full_name: &str) -> Option<&Arc<Entry>> {
        let (provider, connection) = full_name.split_once('/')?;
        self.find(provider, Some(connection))
    }

    pub(super) fn damaged(&self) -> &[(String, String)] {
        &self.damaged
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.providers.values().flatten()
    }

    /// A provider's connections, the default first; empty if it has none.
    pub(super) fn of(&self, provider: &str) -> &[Arc<Entry>] {
        self.providers.get(provider).map_or(&[], Vec::as_slice)
    }

    /// A connection by name, or the provider's default.
    pub(super) fn find(&self, provider: &str, connection: Option<&str>) -> Option<&Arc<Entry>> {
        let entries = self.of(provider);
        match connection {
            Some(name) => entries.iter().find(|entry| entry.name == name),
            None => entries.first(),
        }
    }
}

/// A path as servers that are lenient see it: decoded, without empty segments.
pub(super) fn plain_path(path: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split('/').filter(|segment| !segment.is_empty());
    segments.fold(String::new(), |path, segment| path + "/" + segment)
}

/// The record name of a connection.
pub(super) fn connection_key(provider: &str, connection: &str) -> String {
    format!("{CONNECTION_PREFIX}{provider}/{connection}")
}

/// The record name of a provider's default.
pub(super) fn default_key(provider: &str) -> String {
    format!("{DEFAULT_PREFIX}{provider}")
}

fn default_of(vault: &dyn Vault, provider: &str) -> Result<Option<String>, vault::Error> {
    let bytes = match vault.get(&default_key(provider)) {
        Ok(bytes) => bytes,
        // A pointer that cannot be read is no pointer: the first connection is the default then.
        Err(vault::Error::Damaged { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes.expose_secret().to_vec()).ok()))
}
