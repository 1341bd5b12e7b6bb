//! What is decrypted: connections, clients, and which connection is a provider's default.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Error, Found, FoundClient, FoundConnection, FoundCredential, Profile, Tokens, key::Opener,
    store::Entry,
};

/// Records before this have each secret sealed on its own.
const SCHEMA: u32 = 2;

/// What a key of the store stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind<'k> {
    /// A connection.
    Connection { provider: &'k str, name: &'k str },
    /// Which connection is the default.
    Metadata { provider: &'k str },
    /// The user's own client.
    Client { provider: &'k str },
    /// Nothing that is taken over: when a token was refreshed last.
    Other,
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { provider, name } => write!(f, "{provider}/{name}"),
            Self::Metadata { provider } => write!(f, "the default connection of {provider}"),
            Self::Client { provider } => write!(f, "the OAuth client of {provider}"),
            Self::Other => f.write_str("a record"),
        }
    }
}

/// Reads `profile:NAME:PROVIDER:…` and `identity:HANDLE:PROVIDER:…`; a provider's name may have a
/// colon.
pub(super) fn kind(key: &str) -> Kind<'_> {
    let Some((_, rest)) = key.split_once(':').and_then(|(_, rest)| rest.split_once(':')) else {
        return Kind::Other;
    };
    if let Some((provider, name)) = rest.split_once(":connection:") {
        Kind::Connection { provider, name }
    } else if let Some(provider) = rest.strip_suffix(":metadata") {
        Kind::Metadata { provider }
    } else if let Some(provider) = rest.strip_suffix(":client") {
        Kind::Client { provider }
    } else {
        Kind::Other
    }
}

/// Takes what belongs to `profile` into `found`.
pub(super) fn collect(profile: &Profile, entries: Vec<Entry>, opener: &Opener, found: &mut Found) {
    let mut defaults = BTreeMap::new();
    let first = found.connections.len();
    for (key, sealed) in entries {
        let kind = kind(&key);
        let outcome = sealed.and_then(|sealed| match kind {
            Kind::Connection { .. } => {
                found.connections.extend(connection(profile, open(opener, &sealed)?)?);
                Ok(())
            }
            Kind::Metadata { provider } => {
                let metadata: Metadata = open(opener, &sealed)?;
                defaults.insert(provider.to_owned(), metadata.default_connection);
                Ok(())
            }
            Kind::Client { provider } => {
                let record = open(opener, &sealed)?;
                found.clients.extend(client(Some(profile.clone()), provider, record));
                Ok(())
            }
            Kind::Other => Ok(()),
        });
        if let Err(why) = outcome {
            found.unreadable(format!("{kind} of {}", profile.name), why);
        }
    }
    for connection in found.connections.iter_mut().skip(first) {
        let default = defaults.get(&connection.provider).map_or("default", String::as_str);
        connection.default = connection.name == default;
    }
}

/// The client of `provider`, if the record names one.
pub(super) fn client(
    profile: Option<Profile>,
    provider: &str,
    record: Client,
) -> Option<FoundClient> {
    Some(FoundClient {
        profile,
        provider: provider.to_owned(),
        id: record.client_id.filter(|id| !id.is_empty())?,
        secret: record.client_secret,
        base_url: record.base_url,
        scopes: record.scopes,
    })
}

/// Decrypts and parses. What the parser says is not repeated: it may quote a secret.
pub(super) fn open<T: DeserializeOwned>(opener: &Opener, sealed: &str) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        schema_version: u32,
    }
    let opened = opener.open(sealed)?;
    let problem = |problem| move |_| Error::Record { problem };
    let versioned: Versioned =
        serde_json::from_slice(&opened).map_err(problem("is not a record"))?;
    if versioned.schema_version < SCHEMA {
        return Err(Error::Record {
            problem: "is in the format of version 0.1, which is not read",
        });
    }
    serde_json::from_slice(&opened).map_err(problem("is a record of an unknown kind"))
}

#[derive(Deserialize)]
struct Record {
    provider: String,
    connection_name: String,
    status: String,
    base_url: Option<String>,
    scopes: Option<Vec<String>>,
    access_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
    token_type: Option<String>,
    expires_at: Option<String>,
    obtained_at: Option<String>,
    api_key: Option<SecretString>,
}

#[derive(Deserialize)]
struct Metadata {
    default_connection: String,
}

/// A client as it is stored.
#[derive(Debug, Deserialize)]
pub(super) struct Client {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    base_url: Option<String>,
    scopes: Option<Vec<String>>,
}

/// None if there is no credential and none was said to be there.
fn connection(profile: &Profile, record: Record) -> Result<Option<FoundConnection>, Error> {
    let credential = match (record.api_key, record.access_token) {
        (Some(key), _) => FoundCredential::ApiKey(key),
        (None, Some(access_token)) => FoundCredential::Tokens(Tokens {
            access_token,
            refresh_token: record.refresh_token,
            token_type: record.token_type,
            expires_at: time(record.expires_at.as_deref()),
            scopes: record.scopes.unwrap_or_default(),
        }),
        (None, None) if record.status == "connected" => {
            return Err(Error::Record { problem: "has neither a key nor a token" });
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(FoundConnection {
        profile: profile.clone(),
        provider: record.provider,
        name: record.connection_name,
        default: false,
        status: record.status,
        credential,
        base_url: record.base_url,
        created: time(record.obtained_at.as_deref()),
    }))
}

/// A time without a zone is UTC there.
fn time(text: Option<&str>) -> Option<Timestamp> {
    let text = text?;
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_apart_whatever_the_names_have_in_them() {
        let connection = |provider, name| Kind::Connection { provider, name };
        assert_eq!(kind("profile:p:github:connection:work"), connection("github", "work"));
        assert_eq!(kind("identity:h:a:b:connection:c:d"), connection("a:b", "c:d"));
        assert_eq!(kind("identity:h:github:metadata"), Kind::Metadata { provider: "github" });
        assert_eq!(kind("profile:p:github:client"), Kind::Client { provider: "github" });
        for other in ["", "profile", "profile:p", "profile:p:github:state", "__doctor_test__"] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        let wanted: Timestamp = "2026-05-17T10:00:00.5Z".parse().unwrap();
        for text in ["2026-05-17T10:00:00.5", "2026-05-17T12:00:00.5+02:00"] {
            assert_eq!(time(Some(text)), Some(wanted), "{text}");
        }
        assert_eq!(time(Some("soon")), None);
    }
}
