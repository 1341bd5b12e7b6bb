//! Where a sidecar's credentials come from besides its vault: files that an engine mounts, variables,
//! and whatever else `login --from` takes.
//!
//! A secret that lies in a file or a variable stays there: the connection points at it, and a file that
//! is replaced counts from the next request on. What was named and cannot be is an error: an agent that
//! finds itself without a credential is harder to understand than a sidecar that does not start.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::is_set;
use crate::{
    cli::{Connect, SidecarArgs},
    commands::{Context, Error, definition, scan, store},
    daemon::client::Client,
    protocol::{
        ErrorKind, ErrorReply, Request, Secret,
        source::{PutSourced, Sourced},
    },
    provider::{Definition, Registry},
    source::Source,
};

/// How long a value that is no secret may take to be fetched.
const FETCH_LIMIT: Duration = Duration::from_secs(30);

/// Is what was named there? Asked before anything is closed.
pub(super) fn check(args: &SidecarArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    planned(args, &registry, context).map(drop)
}

/// Connects what was named. Returns the connections' names.
pub(super) fn connect(
    args: &SidecarArgs,
    context: &Context,
    client: &mut Client,
) -> Result<Vec<String>, Error> {
    let registry = context.registry();
    let mut names = Vec::new();
    for ((provider, connection), pointers) in planned(args, &registry, context)? {
        let definition = definition(&registry, &provider)?;
        let mut put = PutSourced {
            provider,
            connection,
            fields: BTreeMap::new(),
            sources: BTreeMap::new(),
            replace: true,
            check: true,
        };
        for (field, source) in pointers {
            let is_secret =
                definition.fields.iter().any(|known| known.name == field && known.secret);
            if is_secret {
                put.sources.insert(field, source.to_string());
            } else {
                let value = source.fetch(FETCH_LIMIT).map_err(|error| refused(&error))?;
                put.fields.insert(field, Secret(value));
            }
        }
        names.push(format!("{}/{}", put.provider, put.connection));
        let _: Sourced = client.call(Request::PutSourced(Box::new(put)))?;
    }
    if args.from_env {
        for found in scan::in_environment(&registry) {
            if let Some(note) = &found.note {
                context.output.warning(format!("{}: {note}", found.provider));
            }
            if !found.is_credential() {
                continue;
            }
            store::store(client, &found.provider, "default", &found.values, true)?;
            names.push(format!("{}/default", found.provider));
        }
    }
    Ok(names)
}

/// Sources by field, by provider and connection.
type Planned = BTreeMap<(String, String), BTreeMap<String, Source>>;

fn planned(args: &SidecarArgs, registry: &Registry, context: &Context) -> Result<Planned, Error> {
    let mut planned = Planned::new();
    for directory in &args.credentials {
        for (name, path) in files(directory)? {
            let Some((definition, connection)) = named(registry, &name) else {
                context.output.warning(format!("{}: no provider is called so", path.display()));
                continue;
            };
            let field = field(definition, None)?;
            let key = (definition.name.clone(), connection.to_owned());
            planned.entry(key).or_default().insert(field, anchored(Source::File(path))?);
        }
    }
    for connect in &args.connect {
        let Connect { provider, connection, field: named, source } = connect;
        let definition = definition(registry, provider)?;
        let source = Source::parse(source).map_err(|error| refused(&error))?;
        if let Some(variable) = source.variable().filter(|name| !is_set(name)) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("the variable {variable} is not set"),
            )
            .hint("give it to the sidecar's container, not to the agent's"));
        }
        let field = field(definition, named.as_deref())?;
        let key = (definition.name.clone(), connection.clone());
        // What is named is meant more than what lies about.
        planned.entry(key).or_default().insert(field, anchored(source)?);
    }
    Ok(planned)
}

/// What of the directories of secrets this user cannot read, each with the reason.
pub(in crate::commands) fn unreadable(directories: &[PathBuf]) -> Vec<String> {
    let mut wrong = Vec::new();
    for directory in directories {
        match files(directory) {
            Ok(found) => wrong.extend(found.into_iter().filter_map(|(_, path)| {
                let error = fs::File::open(&path).err()?;
                Some(format!("{}: {error}", path.display()))
            })),
            Err(error) => wrong.push(error.message),
        }
    }
    wrong
}

/// The files of a directory that are no engine's own, by name.
fn files(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let entries = fs::read_dir(directory).map_err(|error| {
        Error::caused(format_args!("cannot read {}", directory.display()), &error)
    })?;
    let mut files: Vec<_> = entries
        .flatten()
        // A link is followed: Kubernetes keeps what it mounts behind two.
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    files.sort();
    Ok(files)
}

/// `PROVIDER` or `PROVIDER.CONNECTION`; a provider's own name may have dots.
fn named<'r, 'n>(registry: &'r Registry, name: &'n str) -> Option<(&'r Definition, &'n str)> {
    if let Some(definition) = registry.get(name) {
        return Some((definition.as_ref(), "default"));
    }
    let (provider, connection) = name.rsplit_once('.')?;
    Some((registry.get(provider)?.as_ref(), connection))
}

/// The field that is meant. Not repeated if there is none: it may be a secret in the wrong place.
fn field(definition: &Definition, name: Option<&str>) -> Result<String, Error> {
    let known = || definition.fields.iter().filter(|field| field.derive.is_none());
    let mut secrets = known().filter(|field| field.secret);
    let found = match name {
        Some(name) => known().find(|field| field.name == name),
        None => match (secrets.next(), secrets.next()) {
            (Some(only), None) => Some(only),
            (Some(_) | None, _) => definition.token_field(),
        },
    };
    let found = found.map(|field| field.name.clone());
    found.ok_or_else(|| {
        let names: Vec<_> = known().map(|field| field.name.as_str()).collect();
        let name = &definition.name;
        Error::new(ErrorKind::Usage, format!("it is not said which secret of {name} it is"))
            .hint(format!("--connect {name}:FIELD=SOURCE, with one of: {}", names.join(", ")))
    })
}

fn anchored(source: Source) -> Result<Source, Error> {
    let cwd = env::current_dir()
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    let path = env::var_os("PATH").unwrap_or_default();
    source.anchored(&cwd, &path).map_err(|error| refused(&error))
}

fn refused(error: &crate::source::Error) -> Error {
    Error::from(ErrorReply::caused(ErrorKind::Usage, error, error.hint()))
}
