//! Grants on disk.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::ExposeSecret as _;

use super::{
    super::{
        Broker,
        connections::{MIN_SECRET_LENGTH, exists, failed, placeholders},
        entry::{Entry, Stored},
        snapshot::connection_key,
        vault_error,
    },
    Grant,
};
use crate::{
    auth::TokenSet,
    protocol::{ErrorKind, ErrorReply, Secret},
    provider::Definition,
    vault::Vault as _,
};

/// What stands for the refresh token where an agent does OAuth itself.
pub(super) const REFRESH_TOKEN: &str = "refresh_token";

/// A connection that a login has made.
pub(super) struct NewConnection {
    pub(super) definition: Arc<Definition>,
    pub(super) connection: String,
    /// Values of fields that are no secrets.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) tokens: TokenSet,
    pub(super) grant: Grant,
    pub(super) replace: bool,
}

impl Broker {
    /// Stores what a login gave; on disk when this returns. Says whether it replaced a connection.
    pub(super) fn store_login(&self, new: NewConnection) -> Result<bool, ErrorReply> {
        let NewConnection { definition, connection, settings, tokens, grant, replace } = new;
        if tokens.access_token.expose_secret().len() < MIN_SECRET_LENGTH {
            return Err(failed(
                "the provider's access token is too short to be kept out of responses",
            ));
        }
        let settings = settings.into_iter().map(|(name, value)| (name, value.into())).collect();
        let values = definition.accept_token(settings, tokens.access_token).map_err(|error| {
            ErrorReply::caused(ErrorKind::Usage, &error, error.hint().map(str::to_owned))
        })?;
        let changing = self.lock();
        let snapshot = self.snapshot();
        let existing = snapshot.find(&definition.name, Some(&connection)).cloned();
        if existing.is_some() && !replace {
            return Err(exists(&definition.name, &connection));
        }
        // An agent that runs holds the ones there are.
        let mut fakes = placeholders(&definition, &values)?;
        fakes.insert(REFRESH_TOKEN.to_owned(), placeholder(&definition)?);
        if let Some(existing) = &existing {
            fakes.extend(existing.placeholders.clone());
        }
        let fields = values.into_iter().map(|(name, value)| (name, Secret(value))).collect();
        let mut stored = Stored::new(&definition.name, &connection, fields, fakes);
        stored.grant = Some(grant);
        self.keep(&changing, stored, definition, "login")?;
        Ok(existing.is_some())
    }

    /// Changes a grant on disk if it is still this issue of it; shown to requests only if `publish`.
    pub(super) async fn change_grant<T: Send + 'static>(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        issue: u64,
        publish: bool,
        change: impl FnOnce(&mut Grant) -> T + Send + 'static,
    ) -> Result<T, ErrorReply> {
        self.change_stored(entry, issue, publish, |_, stored| {
            stored.grant.as_mut().map(change).ok_or_else(changed)
        })
        .await
    }

    /// Stores a renewal.
    pub(super) async fn store_renewed(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        issue: u64,
        tokens: TokenSet,
    ) -> Result<(), ErrorReply> {
        self.change_stored(entry, issue, true, move |definition, stored| {
            let grant = stored.grant.as_ref().ok_or_else(changed)?;
            let field = definition.token_field().ok_or_else(changed)?;
            stored.grant = Some(grant.renewed(&tokens, jiff::Timestamp::now()));
            stored.fields.insert(field.name.clone(), Secret(tokens.access_token));
            Ok(())
        })
        .await
    }

    /// Reads, changes and writes a record off the runtime: the disk may be slow.
    async fn change_stored<T: Send + 'static>(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        issue: u64,
        publish: bool,
        change: impl FnOnce(&Definition, &mut Stored) -> Result<T, ErrorReply> + Send + 'static,
    ) -> Result<T, ErrorReply> {
        let (broker, entry) = (Arc::clone(self), Arc::clone(entry));
        let work = move || {
            let changing = broker.lock();
            let key = connection_key(&entry.definition.name, &entry.name);
            let bytes = broker.vault.get(&key).map_err(|error| vault_error(&error))?;
            let bytes = bytes.ok_or_else(changed)?;
            let mut stored =
                Stored::from_bytes(bytes.expose_secret()).map_err(|reason| failed(&reason))?;
            // Deleted, or made anew, while the provider was asked.
            if stored.grant.as_ref().map(|grant| grant.issue) != Some(issue) {
                return Err(changed());
            }
            let result = change(&entry.definition, &mut stored)?;
            let bytes =
                stored.to_bytes().map_err(|_| failed("the connection cannot be written"))?;
            broker.vault.put(&key, &bytes).map_err(|error| vault_error(&error))?;
            if publish {
                broker.refresh(&changing)?;
            }
            Ok(result)
        };
        let done = self.oauth.runtime.spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(failed("the connection could not be changed")))
    }
}

/// A fake refresh token.
fn placeholder(definition: &Definition) -> Result<String, ErrorReply> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|_| failed("the kernel gives no random numbers"))?;
    let field = crate::provider::Field::new(REFRESH_TOKEN, &definition.display_name);
    Ok(crate::provider::placeholder(&field, 48, &seed))
}

fn changed() -> ErrorReply {
    failed("the connection was changed or deleted meanwhile")
}
