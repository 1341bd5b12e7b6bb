//! Versions 0.3: one store for everything, sealed; connections by the handle of an identity.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    Error, Found, Profile, files,
    key::{Encryption, Opener},
    record,
    store::{self, Entry},
    v2,
};

/// What is in the store, relative to the home.
const STORE: &str = "server/kv_store";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerConfig {
    encryption: Encryption,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClientConfig {
    active_identity: Option<String>,
}

/// A value of the store, below what the store itself adds.
#[derive(Debug, Deserialize)]
struct Wrapped {
    value: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    /// Sealed.
    data: Option<String>,
    /// Later versions seal the whole value.
    #[serde(rename = "__encrypted_data__")]
    later: Option<IgnoredAny>,
}

/// Adds what is in this layout.
pub(super) fn read(home: &Path, found: &mut Found) {
    let directory = home.join(STORE);
    let later = home.join("server/authsome.db").exists();
    if !directory.join("cache.db").exists() {
        if later {
            found.unreadable("server/authsome.db", Error::Version);
        }
        return;
    }
    let entries = match store::cache(&directory) {
        Ok(entries) => entries,
        Err(error) => return found.unreadable(format!("{STORE}/cache.db"), error),
    };
    let (collections, sealed_later) = collections(entries);
    if sealed_later || later {
        found.unreadable(format!("{STORE}/cache.db"), Error::Version);
    }
    if sealed_later {
        return;
    }
    let server = home.join("server");
    let config: ServerConfig = files::config(&server.join("config.json"));
    let opener = Opener::new(&config.encryption, &server.join("master.key"));
    take(home, collections, &opener, found);
}

/// Entries by collection, and whether a later version has sealed any of them.
fn collections(entries: Vec<Entry>) -> (BTreeMap<String, Vec<Entry>>, bool) {
    let mut collections: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut later = false;
    for (key, value) in entries {
        let Some((collection, key)) = key.split_once("::") else { continue };
        later |= collection == "__vault_meta__";
        // The names of a collection's keys, not sealed.
        if key == "__index__" {
            continue;
        }
        let sealed = value.and_then(|value| match serde_json::from_str::<Wrapped>(&value) {
            Ok(Wrapped { value: Content { data: Some(sealed), .. } }) => Ok(sealed),
            Ok(wrapped) => {
                later |= wrapped.value.later.is_some();
                Err(Error::Record { problem: "has no content" })
            }
            Err(_) => Err(Error::Record { problem: "is not a value of this store" }),
        });
        collections.entry(collection.to_owned()).or_default().push((key.to_owned(), sealed));
    }
    (collections, later)
}

fn take(
    home: &Path,
    collections: BTreeMap<String, Vec<Entry>>,
    opener: &Opener,
    found: &mut Found,
) {
    let client: ClientConfig = files::config(&home.join("client/config.json"));
    let handles = collections.keys().filter(|name| name.starts_with("vault:")).count();
    for (collection, entries) in collections {
        if let Some(handle) = collection.strip_prefix("vault:") {
            let active = match &client.active_identity {
                Some(active) => active == handle,
                None => handles == 1,
            };
            let profile = Profile { name: handle.to_owned(), active };
            record::collect(&profile, entries, opener, found);
            found.profiles.push(profile);
        } else if collection == "providers" {
            for (name, sealed) in entries {
                let origin = format!("definition of {name}");
                let text = sealed.and_then(|sealed| opener.open(&sealed));
                v2::definition(&name, origin, text, found);
            }
        } else if collection == "server" {
            for (key, sealed) in entries {
                clients(&key, sealed, opener, found);
            }
        }
    }
}

/// A client that is everybody's: `server:provider:PROVIDER:client`.
fn clients(key: &str, sealed: Result<String, Error>, opener: &Opener, found: &mut Found) {
    let record::Kind::Client { provider } = record::kind(key) else { return };
    match sealed.and_then(|sealed| record::open(opener, &sealed)) {
        Ok(record) => found.clients.extend(record::client(None, provider, record)),
        Err(error) => found.unreadable(format!("the OAuth client of {provider}"), error),
    }
}
