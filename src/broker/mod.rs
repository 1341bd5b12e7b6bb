//! Where the layers meet: provider definitions, the vault and the audit log, composed into answers.
//!
//! The broker keeps an immutable [`Snapshot`] of the connections. A change writes the vault first
//! (which flushes before it acknowledges) and then replaces the snapshot, so a request sees either
//! the state before or the one after, in every run at once. Deciding about a request touches neither
//! disk nor vault.

pub mod asks;
mod audit_key;
mod choice;
mod common;
mod connections;
mod egress;
mod entry;
mod environment;
mod files;
mod identity;
mod keeper;
mod oauth;
mod observed;
mod policy;
mod profiles;
mod record;
mod restore;
mod run;
mod snapshot;
mod sourced;
mod standing;
#[cfg(test)]
mod testing;
mod vaults;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use self::{
    common::Common,
    keeper::{ChooseKey, KeyKeeper},
    oauth::{Network, OAuthOptions},
    policy::{Current as CurrentPolicy, LivePolicy, PolicyProblem},
    profiles::{DEFAULT_PROFILE, Profiles},
    restore::{is_in_use, restore},
    run::RunGate,
    standing::Principal,
};
use self::{identity::Identities, oauth::OAuth, snapshot::Snapshot};
pub use crate::vault::backup::Error as BackupError;
use crate::{
    audit::{self, Event},
    paths::{self, Home},
    protocol::{ErrorKind, ErrorReply, VaultReport, asks::AskView, chain},
    provider::Registry,
    vault::{self, SledVault},
};

/// How long a daemon that was killed may still hold its files, and how often we look.
const HELD_LIMIT: Duration = Duration::from_secs(2);
const HELD_PAUSE: Duration = Duration::from_millis(5);

/// Told about what the `run` that began a run should know.
pub trait Notice: std::fmt::Debug + Send + Sync {
    /// `name` now has `address`, for as long as the run lasts.
    fn named(&self, name: &str, address: SocketAddr);

    /// A request of the run waits for a person, and none did before.
    fn asked(&self, ask: &AskView);
}

/// The composition of the layers for one profile of a user.
#[derive(Debug)]
pub struct Broker {
    common: Arc<Common>,
    profile: Arc<str>,
    vault: Arc<SledVault>,
    /// Serialises changes; requests read `snapshot` only.
    changing: Mutex<()>,
    snapshot: Mutex<Arc<Snapshot>>,
    oauth: OAuth,
    identities: Identities,
}

/// An event of the audit log as its JSON object, before it has a place in the log.
pub type LiveEvent = serde_json::Map<String, serde_json::Value>;

impl Broker {
    /// Opens a profile's vault, making it where there is none, and reads the connections. A second
    /// broker of the same profile waits in vain for the first one's store: see [`Profiles`].
    ///
    /// # Errors
    /// The vault's, as the commands show them; a name that is none.
    pub fn open(common: &Arc<Common>, profile: &str) -> Result<Arc<Self>, ErrorReply> {
        let vault = match common.audit.vault() {
            Some(vault) if profile == DEFAULT_PROFILE => Arc::clone(vault),
            _ => Arc::new(open_vault(&common.home, &common.keeper, profile)?),
        };
        let registry = common.definitions();
        let snapshot = Snapshot::read(&*vault, &registry).map_err(|error| vault_error(&error))?;
        let broker = Arc::new(Self {
            common: Arc::clone(common),
            profile: profile.into(),
            vault,
            changing: Mutex::new(()),
            snapshot: Mutex::new(Arc::new(snapshot)),
            oauth: OAuth::new(common.oauth.clone()),
            identities: Identities::default(),
        });
        common.enlist(&broker);
        // They may have changed before it was enlisted.
        if !Arc::ptr_eq(&registry, &common.definitions()) {
            broker.reread()?;
        }
        Ok(broker)
    }

    /// What it shares with the other profiles.
    #[must_use]
    pub fn common(&self) -> &Arc<Common> {
        &self.common
    }

    /// The profile's name.
    #[must_use]
    pub fn profile(&self) -> &Arc<str> {
        &self.profile
    }

    /// Reads the provider definitions again, and what they mean for the connections.
    ///
    /// # Errors
    /// The vaults'.
    pub fn reload_providers(&self) -> Result<(), ErrorReply> {
        self.common.reload_providers()
    }

    /// Reads the connections again: what they mean may have changed.
    fn reread(&self) -> Result<(), ErrorReply> {
        let changing = self.lock();
        self.refresh(&changing)
    }

    /// What keeps it from serving as it should.
    #[must_use]
    pub fn problems(&self) -> Vec<ErrorReply> {
        let mut problems = self.common.problems();
        let snapshot = self.snapshot();
        let damaged = snapshot.damaged().iter().map(|(name, reason)| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("{name} cannot be used: {reason}"),
            hint: Some(format!(
                "authsome login {} --force",
                name.split('/').next().unwrap_or(name)
            )),
        });
        problems.extend(damaged);
        let conflicts = snapshot.routes().conflicts();
        problems.extend(conflicts.into_iter().map(|conflict| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!(
                "{} is claimed by {} alike",
                conflict.host,
                conflict.providers.join(" and ")
            ),
            hint: Some("choose one for each run with --connection, or log out of one".to_owned()),
        }));
        problems
    }

    /// Puts an event on record, and shows it to whoever looks on.
    fn append(&self, event: Event) -> audit::Result<()> {
        self.common.append(Event { profile: Some(Arc::clone(&self.profile)), ..event })
    }

    /// Reads and decrypts every record.
    ///
    /// # Errors
    /// The vault's, if it cannot be read at all.
    pub fn verify(&self) -> Result<VaultReport, ErrorReply> {
        let report = self.vault.verify().map_err(|error| vault_error(&error))?;
        Ok(VaultReport { records: report.records, damaged: report.damaged })
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry(&self) -> Arc<Registry> {
        self.common.definitions()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the connections from the vault again.
    fn refresh(&self, _changing: &MutexGuard<'_, ()>) -> Result<(), ErrorReply> {
        self.identities.forget();
        let next =
            Snapshot::read(&*self.vault, &self.registry()).map_err(|error| vault_error(&error))?;
        let variables = sourced::variables(&next);
        {
            let mut current = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            next.keep_use_of(&current);
            *current = Arc::new(next);
        }
        // Requests wait for the lock above, and need not wait for the disk.
        let path = self.common.home.variables(&self.profile);
        if let Err(error) = path.and_then(|path| paths::name_variables(&path, &variables)) {
            tracing::warn!(error = chain(&error), "the next daemon may miss variables");
        }
        Ok(())
    }

    /// Puts an operation on the vault on record, on disk when this returns.
    fn note(&self, operation: &'static str, connection: &str) -> Result<(), ErrorReply> {
        self.note_event(self.vault_event(operation, connection.into()))
    }

    /// Puts an event on record, on disk when this returns.
    fn note_event(&self, event: Event) -> Result<(), ErrorReply> {
        self.append(event)
            .and_then(|()| self.common.audit.flush())
            .map_err(|error| audit_error(&error))
    }
}

impl Broker {
    fn vault_event(&self, operation: &'static str, connection: Arc<str>) -> Event {
        Event {
            user: Some(Arc::clone(&self.common.user)),
            connection: Some(connection),
            operation: Some(operation.into()),
            ..Event::new(audit::Kind::Vault)
        }
    }

    /// Puts what happened to a connection on record, without waiting for the disk.
    fn note_soon(&self, operation: &'static str, connection: &Arc<str>) {
        let event = self.vault_event(operation, Arc::clone(connection));
        if let Err(error) = self.append(event) {
            tracing::error!(error = chain(&error), "an event is not on record");
        }
    }
}

/// Opens a profile's vault, making it where there is none.
fn open_vault(home: &Home, keeper: &KeyKeeper, profile: &str) -> Result<SledVault, ErrorReply> {
    let directory = home.vault(profile).map_err(|error| path_error(&error))?;
    patiently(|| keeper.open_vault(&directory), |error| matches!(error, vault::Error::Held { .. }))
        .map_err(|error| vault_error(&error))
}

/// Tries again for a while if another process holds what is to be opened. We hold the home's lock, so
/// it can only be a daemon that was killed: the kernel closes its files one after the other.
fn patiently<T, E>(open: impl Fn() -> Result<T, E>, held: impl Fn(&E) -> bool) -> Result<T, E> {
    let deadline = Instant::now() + HELD_LIMIT;
    loop {
        match open() {
            Err(error) if held(&error) && Instant::now() < deadline => {
                std::thread::sleep(HELD_PAUSE);
            }
            result => return result,
        }
    }
}

fn load_registry(directory: &std::path::Path) -> Registry {
    let (registry, problems) = Registry::load(Some(directory));
    for problem in problems {
        tracing::warn!(problem = chain(&problem.error), "a provider definition is left out");
    }
    registry
}

fn path_error(error: &paths::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Unavailable, error, error.hint())
}

fn vault_error(error: &vault::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Unavailable, error, error.hint())
}

fn audit_error(error: &audit::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Unavailable, error, error.hint())
}

/// The user's name, from the password database rather than a variable.
fn user_name() -> String {
    let uid = nix::unistd::getuid();
    nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}
