//! Reads a home of the earlier product, a Python program of the same name: what its vault holds, and
//! the provider definitions its user added.
//!
//! Pure reading: files become values, and nothing in that home is changed, created or locked. It knows
//! neither our vault nor the daemon, and of providers only how a definition is parsed. What cannot be
//! read is named in [`Found::unreadable`], and the rest still counts; only a home that is none is an
//! [`Error`]. No message repeats what was decrypted.
//!
//! Two layouts are known: `profiles/*/store.db` (versions 0.2) and `server/kv_store` (0.3). A home
//! that was upgraded has both, since neither version moved what the one before had stored.

mod error;
mod files;
mod key;
mod record;
mod store;
mod v2;
mod v3;

use std::path::Path;

use jiff::Timestamp;
use secrecy::SecretString;

pub use self::error::Error;
use crate::provider::Definition;

/// What a home holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Everybody who can have connections.
    pub profiles: Vec<Profile>,
    /// Credentials.
    pub connections: Vec<FoundConnection>,
    /// OAuth clients the user has registered with providers.
    pub clients: Vec<FoundClient>,
    /// Definitions the user has added.
    pub definitions: Vec<FoundDefinition>,
    /// Providers whose added definition is among what could not be read. Another one of that name
    /// would send their keys to other hosts.
    pub lost_definitions: Vec<String>,
    /// What is there and could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Whose a connection is: a profile (0.2), or an identity's handle (0.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Is it the one that was used unless another was named?
    pub active: bool,
}

/// A credential.
#[derive(Debug)]
pub struct FoundConnection {
    /// Whose it is.
    pub profile: Profile,
    /// Provider's name there.
    pub provider: String,
    /// Connection's name there.
    pub name: String,
    /// Was it the provider's default?
    pub default: bool,
    /// `connected`, or what that product knew against it: `expired`, `revoked`, `invalid`.
    pub status: String,
    /// The secret itself.
    pub credential: FoundCredential,
    /// The user's own instance of the service.
    pub base_url: Option<String>,
    /// When it was obtained, if that is known.
    pub created: Option<Timestamp>,
}

/// The secret part of a connection.
#[derive(Debug)]
pub enum FoundCredential {
    /// A key that a person entered.
    ApiKey(SecretString),
    /// Tokens of an OAuth login.
    Tokens(Tokens),
}

/// Tokens of an OAuth login.
#[derive(Debug)]
pub struct Tokens {
    /// Access token.
    pub access_token: SecretString,
    /// Refresh token, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// What the provider called it: `Bearer`.
    pub token_type: Option<String>,
    /// When the access token expires, if that is known.
    pub expires_at: Option<Timestamp>,
    /// Scopes that were asked for, which need not be those that were granted.
    pub scopes: Vec<String>,
}

/// A client the user has registered with a provider.
#[derive(Debug)]
pub struct FoundClient {
    /// Whose it is; none: everybody's.
    pub profile: Option<Profile>,
    /// Provider's name there.
    pub provider: String,
    /// Client id.
    pub id: String,
    /// Client secret; none: a public client.
    pub secret: Option<SecretString>,
    /// The user's own instance of the service.
    pub base_url: Option<String>,
    /// Scopes to ask for in place of the provider's own.
    pub scopes: Option<Vec<String>>,
}

/// A definition the user has added.
#[derive(Debug)]
pub struct FoundDefinition {
    /// Where it stands, relative to the home.
    pub origin: String,
    /// What it means.
    pub definition: Definition,
    /// Its text, JSON.
    pub text: String,
}

/// What could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// What it is, by its name there.
    pub what: String,
    /// Why not.
    pub why: Error,
}

impl Found {
    fn unreadable(&mut self, what: impl Into<String>, why: Error) {
        self.unreadable.push(Unreadable { what: what.into(), why });
    }
}

/// Entries that a home of that product has at least one of, and ours never.
const MARKS: [&str; 4] = ["config.json", "version", "client", "server"];

/// Reads the home at `home`. Connections of the active profile come first.
///
/// # Errors
///
/// [`Error::Missing`] and [`Error::NotAHome`]: there is nothing to read.
pub fn read(home: &Path) -> Result<Found, Error> {
    if !home.is_dir() {
        return Err(Error::Missing { path: home.to_owned() });
    }
    if !MARKS.iter().any(|mark| home.join(mark).exists()) {
        return Err(Error::NotAHome { path: home.to_owned() });
    }
    let mut found = Found::default();
    // The newer layout first: where both have something, its is the one that was used last.
    v3::read(home, &mut found);
    v2::read(home, &mut found);
    found.connections.sort_by_key(|connection| !connection.profile.active);
    Ok(found)
}
