//! `authsome import`: takes over what the earlier product has stored.
//!
//! [`crate::import`] says what is there. Here it is decided what each thing is called, whether it is
//! known, and what becomes of it; each has one [`Status`]. No value is shown. Nothing that goes wrong
//! with one thing keeps another from being stored, but a vault that is not available ends it all.

mod definitions;
mod plan;
mod report;
mod tokens;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use self::{
    definitions::Taken,
    plan::{Planned, Secret},
};
use super::{
    Context, Error, connections,
    store::{Stored, store},
};
use crate::{
    cli::ImportArgs,
    daemon::client::Client,
    import::{self, Found},
    protocol::{ConnectionView, ErrorKind, Request, login::ImportTokens, login_command},
    provider::Registry,
};

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It would be imported.
    Found,
    /// It is stored now.
    Imported,
    /// It is stored in place of another value.
    Replaced,
    /// It was stored before.
    Unchanged,
    /// Another value is stored, and was kept.
    Different,
    /// It cannot be taken over; its user has to log in.
    NeedsLogin,
    /// There is no definition of its provider.
    UnknownProvider,
    /// It is not what it should be here, or nobody agreed to it.
    Refused,
    /// It is of no use any more, or has a better one here.
    Skipped,
}

impl Status {
    /// For people.
    fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Imported => "imported",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Different => "different",
            Self::NeedsLogin => "needs login",
            Self::UnknownProvider => "unknown provider",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        }
    }

    /// Is nothing lost if the old home goes?
    fn is_settled(self) -> bool {
        match self {
            Self::Found | Self::Imported | Self::Replaced | Self::Unchanged | Self::Skipped => true,
            Self::Different | Self::NeedsLogin | Self::UnknownProvider | Self::Refused => false,
        }
    }
}

/// A status, and what a person should know or do about it.
#[derive(Debug)]
struct Outcome {
    status: Status,
    note: Option<String>,
}

impl Outcome {
    fn new(status: Status) -> Self {
        Self { status, note: None }
    }

    fn noted(status: Status, note: impl Into<String>) -> Self {
        Self { status, note: Some(note.into()) }
    }
}

pub(super) fn import(args: &ImportArgs, context: &Context) -> Result<ExitCode, Error> {
    let home = home(args)?;
    let found = import::read(&home)?;
    check_profile(args, &found, &home)?;
    let Found { definitions, lost_definitions, unreadable, connections, clients, .. } = found;
    let definitions = definitions::take(args, context, definitions)?;
    let known = Known::new(context.registry(), &definitions, lost_definitions);
    let profile = args.only.as_deref();
    let planned = plan::connections(connections, profile, args.force, |name| known.name(name));
    let (planned, clients) = plan::with_clients(planned, clients, profile, |name| known.name(name));
    let mut outcomes = Vec::new();
    let mut vault = Vault::open(args, context, !planned.is_empty() || !clients.is_empty())?;
    for planned in &planned {
        let verdict = match &planned.useless {
            Some(reason) => Some(Outcome::noted(Status::Skipped, reason)),
            None => known.objection(&planned.provider),
        };
        outcomes.push(match verdict {
            Some(outcome) => outcome,
            None => vault.take(planned, &known.registry, args.force)?,
        });
    }
    vault.choose_defaults(&planned, &outcomes)?;
    let clients = clients.into_iter().map(|client| {
        let outcome = match known.objection(&client.provider) {
            Some(outcome) => outcome,
            None => vault.take_tokens(&client)?,
        };
        Ok((client, outcome))
    });
    let clients = clients.collect::<Result<Vec<_>, Error>>()?;
    let connections = planned.into_iter().zip(outcomes).collect();
    report::Report { home, connections, clients, definitions, unreadable }.tell(args, context)
}

fn home(args: &ImportArgs) -> Result<PathBuf, Error> {
    match &args.path {
        Some(path) => Ok(path.clone()),
        None => env::home_dir().map(|home| home.join(".authsome")).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "HOME is not set").hint("authsome import PATH")
        }),
    }
}

fn check_profile(args: &ImportArgs, found: &Found, home: &Path) -> Result<(), Error> {
    let Some(wanted) = &args.only else { return Ok(()) };
    if found.profiles.iter().any(|profile| profile.name == *wanted) {
        return Ok(());
    }
    let names: BTreeSet<&str> =
        found.profiles.iter().map(|profile| profile.name.as_str()).collect();
    let message = format!("no profile is called `{wanted}` in {}", home.display());
    let error = Error::new(ErrorKind::NotFound, message);
    Err(if names.is_empty() {
        error
    } else {
        let names: Vec<&str> = names.into_iter().collect();
        error.hint(format!("there are: {}", names.join(", ")))
    })
}

/// Which providers things can be stored for.
struct Known {
    registry: Registry,
    /// Had a definition of their own there, which counts here too, or would with `--dry-run`.
    own: Vec<String>,
    /// Had a definition of their own there, and have another or none here.
    lost: Vec<String>,
}

impl Known {
    fn new(registry: Registry, definitions: &[Taken], mut lost: Vec<String>) -> Self {
        let mut own = Vec::new();
        for taken in definitions {
            let status = taken.outcome.status;
            if !status.is_settled() {
                lost.push(taken.provider.clone());
            } else if status != Status::Skipped {
                own.push(taken.provider.clone());
            }
        }
        // What is unreadable in one place may have been read from another.
        lost.retain(|name| !own.contains(name));
        Self { registry, own, lost }
    }

    /// What a provider there is called here. A definition of the user's own keeps its name.
    fn name(&self, provider: &str) -> String {
        if self.own.iter().chain(&self.lost).any(|name| name == provider) {
            provider.to_owned()
        } else {
            plan::renamed(provider).to_owned()
        }
    }

    /// Why nothing is stored for `provider`.
    fn objection(&self, provider: &str) -> Option<Outcome> {
        if self.lost.iter().any(|name| name == provider) {
            // Under another definition of that name it would be sent to other hosts.
            let note = format!("the definition of {provider} was not taken over");
            return Some(Outcome::noted(Status::Refused, note));
        }
        let known =
            self.registry.get(provider).is_some() || self.own.iter().any(|name| name == provider);
        (!known).then(|| unknown(&self.registry, provider))
    }
}

fn unknown(registry: &Registry, provider: &str) -> Outcome {
    let note = match registry.closest(provider) {
        Some(close) => format!("did you mean {close}?"),
        None => "authsome register adds one".to_owned(),
    };
    Outcome::noted(Status::UnknownProvider, note)
}

/// The daemon, where things are stored; without one nothing is.
struct Vault {
    client: Option<Client>,
    before: Vec<ConnectionView>,
}

impl Vault {
    fn open(args: &ImportArgs, context: &Context, needed: bool) -> Result<Self, Error> {
        if args.dry_run || !needed {
            return Ok(Self { client: None, before: Vec::new() });
        }
        let mut client = context.client()?;
        let before = connections(&mut client, None)?;
        Ok(Self { client: Some(client), before })
    }

    fn take(
        &mut self,
        planned: &Planned,
        registry: &Registry,
        force: bool,
    ) -> Result<Outcome, Error> {
        let Some(client) = &mut self.client else { return Ok(Outcome::new(Status::Found)) };
        let key = match &planned.secret {
            Secret::Key(key) => key,
            Secret::Tokens(tokens) => return tokens::store_tokens(client, tokens),
        };
        let Some(definition) = registry.get(&planned.provider) else {
            return Ok(unknown(registry, &planned.provider));
        };
        let (provider, connection) = (&planned.provider, &planned.connection);
        let values = match plan::values(definition, key) {
            Ok(values) => values,
            Err(missing) => {
                let note = format!("{missing} is missing: {}", login_command(provider, connection));
                return Ok(Outcome::noted(Status::NeedsLogin, note));
            }
        };
        match store(client, provider, connection, &values, force) {
            Ok(Stored::New(_)) if self.had(provider, connection) => {
                Ok(Outcome::new(Status::Unchanged))
            }
            Ok(Stored::New(_)) => Ok(Outcome::new(Status::Imported)),
            Ok(Stored::Replaced(_)) => Ok(Outcome::new(Status::Replaced)),
            Ok(Stored::Unchanged(_)) => Ok(Outcome::new(Status::Unchanged)),
            Ok(Stored::Different(_)) => {
                Ok(Outcome::noted(Status::Different, "kept the one here; --force replaces it"))
            }
            Err(error) if error.kind == ErrorKind::Unavailable => Err(error),
            Err(error) => {
                let note = match error.hint {
                    Some(hint) => format!("{} ({hint})", error.message),
                    None => error.message,
                };
                Ok(Outcome::noted(Status::Refused, note))
            }
        }
    }

    fn take_tokens(&mut self, tokens: &ImportTokens) -> Result<Outcome, Error> {
        match &mut self.client {
            Some(client) => tokens::store_tokens(client, tokens),
            None => Ok(Outcome::new(Status::Found)),
        }
    }

    fn had(&self, provider: &str, connection: &str) -> bool {
        self.before.iter().any(|view| view.provider == provider && view.connection == connection)
    }

    /// Makes the old defaults the defaults of providers that had no connection here.
    fn choose_defaults(&mut self, planned: &[Planned], outcomes: &[Outcome]) -> Result<(), Error> {
        let Some(client) = &mut self.client else { return Ok(()) };
        for (planned, outcome) in planned.iter().zip(outcomes) {
            let first_here = !self.before.iter().any(|view| view.provider == planned.provider);
            if planned.default && outcome.status == Status::Imported && first_here {
                client.call::<ConnectionView>(Request::SetDefault {
                    provider: planned.provider.clone(),
                    connection: planned.connection.clone(),
                })?;
            }
        }
        Ok(())
    }
}
