//! `authsome scan`: keys that lie about, for the vault to take in.
//!
//! Looks at `.env` files and the environment for the variables that definitions name. No value is
//! shown, and none leaves this process but into the vault.

mod files;
mod find;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use self::find::{Found, Source, Status, find};
use super::{
    Context, Error, connections, count,
    store::{Stored, store},
};
use crate::{
    cli::ScanArgs,
    daemon::client::Client,
    output::{Table, Text},
    provider::{
        self, Registry,
        scan::{Variable, parse_env},
    },
};

/// No `.env` file is longer.
const MAX_BYTES: u64 = 1 << 20;

/// Ends of names that mark a file as an example.
const EXAMPLES: [&str; 5] = ["example", "sample", "template", "dist", "defaults"];

pub(super) fn scan(args: &ScanArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let sources = without_examples(sources(args, context)?, &registry);
    let mut found = find(registry.iter().map(AsRef::as_ref), &sources);
    let client = if found.is_empty() { None } else { client(args, context)? };
    if let Some(mut client) = client {
        for found in &mut found {
            compare(&mut client, args, found)?;
        }
    }
    let home = env::home_dir();
    let files = home.as_deref().map(files::present).unwrap_or_default();
    let findings: Vec<_> = found
        .iter()
        .map(|found| {
            json!({
                "provider": found.provider,
                "connection": args.connection,
                "variables": found.variables,
                "sources": found.sources,
                "status": found.status,
                "note": found.note,
            })
        })
        .collect();
    let members = json!({ "findings": findings, "files": files });
    Ok(context.output.result(members, |text| tell(text, args, &found, &files))?)
}

/// The daemon; without `--import` a scan is useful without it.
fn client(args: &ScanArgs, context: &Context) -> Result<Option<Client>, Error> {
    match context.client() {
        Ok(client) => Ok(Some(client)),
        Err(error) if args.import => Err(error),
        Err(error) => {
            context.output.warning(format!("what is connected is not known: {error}"));
            Ok(None)
        }
    }
}

/// Compares a finding with the vault; with `--import` puts it there.
fn compare(client: &mut Client, args: &ScanArgs, found: &mut Found) -> Result<(), Error> {
    if found.status != Status::Found {
        return Ok(());
    }
    if !args.import {
        let connected = connections(client, Some(&found.provider))?;
        if connected.iter().any(|view| view.connection == args.connection) {
            found.status = Status::Connected;
        }
        return Ok(());
    }
    let stored = store(client, &found.provider, &args.connection, &found.values, false)?;
    found.status = match stored {
        Stored::New(_) | Stored::Replaced(_) => Status::Imported,
        Stored::Unchanged(_) => Status::Unchanged,
        Stored::Different(_) => {
            let first = found.variables.first().map_or("VAR", String::as_str);
            let provider = &found.provider;
            found.note = Some(format!(
                "kept the other value: authsome login {provider} --force --secret-env {first}"
            ));
            Status::Different
        }
    };
    Ok(())
}

/// What is in this process's environment.
#[cfg(target_os = "linux")]
pub(super) fn in_environment(registry: &Registry) -> Vec<Found> {
    let sources = without_examples(vec![environment()], registry);
    find(registry.iter().map(AsRef::as_ref), &sources)
}

fn environment() -> Source {
    let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
        Some((name.into_string().ok()?, value.into_string().ok()?.into()))
    };
    let values = env::vars_os().filter_map(|(name, value)| text(name, value)).collect();
    Source { name: "environment".to_owned(), values }
}

/// The environment, then the files.
fn sources(args: &ScanArgs, context: &Context) -> Result<Vec<Source>, Error> {
    let mut sources = vec![environment()];
    let here = [PathBuf::from(".")];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    for path in paths {
        let named = |error: io::Error| {
            Error::caused(format_args!("cannot read {}", path.display()), &error)
        };
        let files =
            if path.is_dir() { env_files(path).map_err(named)? } else { vec![path.clone()] };
        for file in files {
            match read(&file) {
                Ok(text) => sources.push(Source {
                    name: file.strip_prefix("./").unwrap_or(&file).display().to_string(),
                    values: parse_env(&text),
                }),
                Err(error) if args.paths.contains(&file) => return Err(named(error)),
                Err(error) => {
                    context.output.warning(format!("cannot read {}: {error}", file.display()));
                }
            }
        }
    }
    Ok(sources)
}

/// Drops secrets that are no values: placeholders, `<your-key>`, `${OTHER}`.
fn without_examples(mut sources: Vec<Source>, registry: &Registry) -> Vec<Source> {
    let variables: Vec<Variable> = sources
        .iter()
        .flat_map(|source| {
            source.values.iter().map(|(name, value)| Variable {
                name: name.clone(),
                value: value.clone(),
                source: source.name.clone(),
            })
        })
        .collect();
    // Nothing is compared with the vault here, so that no fingerprint is made and no salt needed.
    let real: BTreeSet<(String, String)> =
        provider::scan::scan(&variables, registry, &BTreeMap::new(), &[0; 32])
            .into_iter()
            .map(|finding| (finding.source, finding.variable))
            .collect();
    let secrets: BTreeSet<&String> = registry
        .iter()
        .flat_map(|definition| definition.fields.iter().filter(|field| field.secret))
        .flat_map(|field| &field.env)
        .collect();
    for source in &mut sources {
        source.values.retain(|(name, _)| {
            !secrets.contains(name) || real.contains(&(source.name.clone(), name.clone()))
        });
    }
    sources
}

/// The `.env*` files of a directory that are no examples, by name.
fn env_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(".env")
                && !EXAMPLES.iter().any(|end| name.ends_with(end))
                && path.is_file()
        })
        .collect();
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is too long for a .env file"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))
}

fn tell(text: &mut Text, args: &ScanArgs, found: &[Found], files: &[files::SecretFile]) {
    if found.is_empty() {
        text.line("No key of a known provider in the environment or in .env files here.");
    } else {
        let mut table = Table::new(["PROVIDER", "VARIABLE", "IN", "STATUS", ""]);
        for found in found {
            table.row([
                &found.provider,
                &found.variables.join(", "),
                &found.sources.join(", "),
                found.status.word(),
                found.note.as_deref().unwrap_or_default(),
            ]);
        }
        text.table(&table);
    }
    let waiting = found.iter().filter(|found| found.status == Status::Found).count();
    let imported = found.iter().filter(|found| found.status == Status::Imported).count();
    if waiting > 0 && !args.import {
        text.blank();
        text.line(format!("Store {}: authsome scan --import", count(waiting, "key")));
    }
    if imported > 0 {
        text.blank();
        text.line("An agent can still read the files: delete the keys there, or hide the files.");
    }
    if !files.is_empty() {
        text.blank();
        text.line("Other programs' secrets in your home, which an agent can read unless hidden:");
        let mut table = Table::new(["WHAT", "FLAG OF authsome run"]);
        for file in files {
            table.row([file.what, &file.hide]);
        }
        text.table(&table);
    }
}
