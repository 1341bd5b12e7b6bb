//! The operations behind `login`, `list`, `get`, `export`, `set-default`, `logout` and `remove`.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
};

use secrecy::ExposeSecret;

use super::{
    Broker,
    entry::{Entry, Stored},
    snapshot::{connection_key, default_key},
    vault_error,
};
use crate::{
    audit::Event,
    protocol::{ConnectionView, Credential, ErrorKind, ErrorReply, Secret, chain},
    provider::{self, Definition, Values},
    vault::Vault,
};

/// A shorter secret could not be told from innocent text where it comes back in a response.
pub(super) const MIN_SECRET_LENGTH: usize = 8;
/// Longest connection name.
const MAX_NAME: usize = 64;

impl Broker {
    /// Connections of one provider, or all; damaged ones say so in their status.
    ///
    /// # Errors
    /// No such provider.
    pub fn connections(&self, provider: Option<&str>) -> Result<Vec<ConnectionView>, ErrorReply> {
        if let Some(provider) = provider {
            self.definition(provider)?;
        }
        let snapshot = self.snapshot();
        let mut views: Vec<_> = snapshot.entries().map(|entry| entry.view()).collect();
        for (name, reason) in snapshot.damaged() {
            let (provider, connection) = name.split_once('/').unwrap_or((name, ""));
            views.push(ConnectionView {
                provider: provider.to_owned(),
                connection: connection.to_owned(),
                default: false,
                status: format!("damaged: {reason}"),
                reason: None,
                scopes: Vec::new(),
                fields: BTreeMap::new(),
                secret_fields: Vec::new(),
                sources: BTreeMap::new(),
                created_at: String::new(),
                last_used_at: None,
                expires_at: None,
            });
        }
        views.retain(|view| provider.is_none_or(|provider| view.provider == provider));
        Ok(views)
    }

    /// Stores a credential; on disk when this returns.
    ///
    /// # Errors
    /// No such provider, a value the provider cannot have, a connection that exists, the vault's.
    pub fn put(
        &self,
        provider: &str,
        connection: &str,
        fields: BTreeMap<String, Secret>,
        replace: bool,
    ) -> Result<ConnectionView, ErrorReply> {
        let definition = self.definition(provider)?;
        check_name(connection)?;
        let values = accept(&definition, fields)?;
        let changing = self.lock();
        let snapshot = self.snapshot();
        if let Some(existing) = snapshot.find(provider, Some(connection)) {
            if !existing.is_sourced() && existing.has_values(&values) {
                return Ok(existing.view());
            }
            if !replace {
                return Err(exists(provider, connection));
            }
        }
        let placeholders = placeholders(&definition, &values)?;
        let fields = values.into_iter().map(|(name, value)| (name, Secret(value))).collect();
        let stored = Stored::new(provider, connection, fields, placeholders);
        self.keep(&changing, stored, definition, "put")?;
        self.view(provider, connection)
    }

    /// Stores a connection, its provider's first as the default; on disk, and on record as
    /// `operation`, when this returns.
    pub(super) fn keep(
        &self,
        changing: &MutexGuard<'_, ()>,
        stored: Stored,
        definition: Arc<Definition>,
        operation: &'static str,
    ) -> Result<(), ErrorReply> {
        let bytes = stored.to_bytes().map_err(|_| failed("the credential cannot be written"))?;
        // Prepared once before it is stored: what could never be injected is refused here, not
        // when an agent waits for it.
        let entry = Entry::new(stored, definition, false);
        if !entry.is_sourced() {
            entry.injection().map_err(|error| failed(&error))?;
        }
        let (provider, connection) = (&entry.definition.name, &entry.name);
        self.oauth.renewals.forget(&entry.full_name);
        let put = |key: &str, value: &[u8]| {
            self.vault.put(key, value).map_err(|error| vault_error(&error))
        };
        put(&connection_key(provider, connection), &bytes)?;
        if self.snapshot().of(provider).is_empty() {
            put(&default_key(provider), connection.as_bytes())?;
        }
        self.refresh(changing)?;
        self.note(operation, &entry.full_name)
    }

    /// One connection, with its secrets if `reveal`: fetched, where they lie elsewhere. Not for a
    /// `login`, which compares with what is stored. Who asked
    /// for secrets is on record, `identity` too.
    ///
    /// # Errors
    /// No such provider or connection; a value that cannot be fetched.
    pub async fn credential(
        self: &Arc<Self>,
        provider: &str,
        connection: Option<&str>,
        reveal: bool,
        purpose: &str,
        identity: Option<&str>,
    ) -> Result<Credential, ErrorReply> {
        self.definition(provider)?;
        let snapshot = self.snapshot();
        let entry = snapshot
            .find(provider, connection)
            .ok_or_else(|| not_connected(provider, connection))?;
        let secrets = if reveal {
            let operation = if purpose == "export" { "export" } else { "reveal" };
            let agent = identity.map(|name| self.agent(name)).transpose()?;
            let event = self.vault_event(operation, Arc::clone(&entry.full_name));
            // Not revealed unless it is on record.
            self.note_event(Event { agent, ..event })?;
            if entry.is_sourced() && purpose != "login" {
                self.revealed(entry).await?
            } else {
                entry.secrets()
            }
        } else {
            BTreeMap::new()
        };
        Ok(Credential { view: entry.view(), secrets })
    }

    /// Makes a connection the provider's default.
    ///
    /// # Errors
    /// No such provider or connection, the vault's.
    pub fn set_default(
        &self,
        provider: &str,
        connection: &str,
    ) -> Result<ConnectionView, ErrorReply> {
        self.definition(provider)?;
        let changing = self.lock();
        let snapshot = self.snapshot();
        let entry = snapshot
            .find(provider, Some(connection))
            .ok_or_else(|| not_connected(provider, Some(connection)))?;
        self.vault
            .put(&default_key(provider), connection.as_bytes())
            .map_err(|error| vault_error(&error))?;
        self.refresh(&changing)?;
        self.note("set-default", &entry.full_name)?;
        self.view(provider, connection)
    }

    /// Deletes a connection, or all of the provider's. When the default goes, the next one becomes
    /// it.
    pub(super) fn delete(
        &self,
        provider: &str,
        connection: Option<&str>,
    ) -> Result<Vec<Arc<Entry>>, ErrorReply> {
        let changing = self.lock();
        let snapshot = self.snapshot();
        let doomed: Vec<Arc<Entry>> = snapshot
            .of(provider)
            .iter()
            .filter(|entry| connection.is_none_or(|name| entry.name == name))
            .cloned()
            .collect();
        // A damaged record must be removable too.
        let damaged: Vec<&str> = snapshot
            .damaged()
            .iter()
            .filter_map(|(name, _)| name.split_once('/'))
            .filter(|(of, name)| *of == provider && connection.is_none_or(|wanted| wanted == *name))
            .map(|(_, name)| name)
            .collect();
        if doomed.is_empty() && damaged.is_empty() {
            if let Some(name) = connection {
                self.definition(provider)?;
                return Err(not_connected(provider, Some(name)));
            }
            return Ok(Vec::new());
        }
        let names = doomed.iter().map(|entry| entry.name.as_str()).chain(damaged);
        for name in names {
            self.vault
                .delete(&connection_key(provider, name))
                .map_err(|error| vault_error(&error))?;
            self.note("delete", &format!("{provider}/{name}"))?;
        }
        self.repair_default(provider, &doomed)?;
        self.refresh(&changing)?;
        for entry in &doomed {
            self.oauth.renewals.forget(&entry.full_name);
        }
        Ok(doomed)
    }

    /// After `gone` have been deleted.
    fn repair_default(&self, provider: &str, gone: &[Arc<Entry>]) -> Result<(), ErrorReply> {
        if !gone.iter().any(|entry| entry.default) {
            return Ok(());
        }
        let snapshot = self.snapshot();
        let next = snapshot
            .of(provider)
            .iter()
            .find(|entry| !gone.iter().any(|gone| gone.name == entry.name));
        match next {
            Some(entry) => self.vault.put(&default_key(provider), entry.name.as_bytes()),
            None => self.vault.delete(&default_key(provider)).map(drop),
        }
        .map_err(|error| vault_error(&error))
    }

    pub(super) fn view(
        &self,
        provider: &str,
        connection: &str,
    ) -> Result<ConnectionView, ErrorReply> {
        self.snapshot()
            .find(provider, Some(connection))
            .map(|entry| entry.view())
            .ok_or_else(|| not_connected(provider, Some(connection)))
    }

    pub(super) fn definition(&self, provider: &str) -> Result<Arc<Definition>, ErrorReply> {
        let registry = self.registry();
        registry.get(provider).cloned().ok_or_else(|| ErrorReply {
            kind: ErrorKind::NotFound,
            message: format!("no provider is called {provider:?}"),
            hint: Some(registry.closest(provider).map_or_else(
                || "authsome list".to_owned(),
                |name| format!("did you mean {name:?}?"),
            )),
        })
    }
}

/// Fake values that are this connection's own, made from fresh randomness.
pub(super) fn placeholders(
    definition: &Definition,
    values: &Values,
) -> Result<BTreeMap<String, String>, ErrorReply> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|_| failed("the kernel gives no random numbers"))?;
    let secrets = definition.fields.iter().filter(|field| field.secret);
    Ok(secrets
        .filter_map(|field| {
            let length = values.get(&field.name)?.expose_secret().len();
            Some((field.name.clone(), provider::placeholder(field, length, &seed)))
        })
        .collect())
}

pub(super) fn check_name(name: &str) -> Result<(), ErrorReply> {
    let good = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
    if good {
        return Ok(());
    }
    Err(ErrorReply {
        kind: ErrorKind::Usage,
        message: format!("{name:?} cannot be a connection's name"),
        hint: Some("use letters, digits and . _ - @, at most 64".to_owned()),
    })
}

/// The same checks as `login` makes, since the daemon trusts no client with them.
pub(super) fn accept(
    definition: &Definition,
    fields: BTreeMap<String, Secret>,
) -> Result<Values, ErrorReply> {
    let usage = |message: String, hint| ErrorReply { kind: ErrorKind::Usage, message, hint };
    let given = fields.into_iter().map(|(name, value)| (name, value.0)).collect();
    let values = definition
        .accept(given)
        .map_err(|error| usage(chain(&error), error.hint().map(str::to_owned)))?;
    for field in definition.fields.iter().filter(|field| field.secret) {
        let length = values.get(&field.name).map(|value| value.expose_secret().len());
        if length.is_some_and(|length| length < MIN_SECRET_LENGTH) {
            return Err(usage(
                format!(
                    "the {} is shorter than {MIN_SECRET_LENGTH} characters: too short to be kept \
                     out of responses",
                    field.label
                ),
                None,
            ));
        }
    }
    Ok(values)
}

pub(super) fn failed(message: &str) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message: message.to_owned(), hint: None }
}

pub(super) fn exists(provider: &str, connection: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Exists,
        message: format!("{provider}/{connection} is already connected"),
        hint: Some(format!(
            "authsome login {provider} --connection {connection} --force, or another \
             --connection name"
        )),
    }
}

pub(super) fn not_connected(provider: &str, connection: Option<&str>) -> ErrorReply {
    let (what, flag) = connection.map_or_else(
        || (provider.to_owned(), String::new()),
        |name| (format!("{provider}/{name}"), format!(" --connection {name}")),
    );
    ErrorReply {
        kind: ErrorKind::NotFound,
        message: format!("{what} is not connected"),
        hint: Some(format!("authsome login {provider}{flag}")),
    }
}
