//! `authsome policy`: writes, checks, shows, tries and explains the user's policy.
//!
//! Reads the files itself: what is to be mended must be seen without a daemon.

mod ask;
mod cases;
mod explain;
mod show;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Context, Error, count};
use crate::{
    cli::{PolicyArgs, PolicyCommand, PolicyPath},
    paths,
    policy::{self, Policy, RULES_FILE, Warning},
    protocol::ErrorKind,
};

/// What `init` writes.
const TEMPLATE: &str = include_str!("template.toml");
/// What its default is.
const TEMPLATE_DEFAULT: &str = "default = \"allow\"";

pub(super) fn policy(args: &PolicyArgs, context: &Context) -> Result<(), Error> {
    match &args.command {
        PolicyCommand::Init => init(context),
        PolicyCommand::Check(args) => check(args, context),
        PolicyCommand::Show(args) => show::show(args, context),
        PolicyCommand::Test(args) => cases::test(args, context),
        PolicyCommand::Explain(args) => explain::explain(args, context),
        PolicyCommand::Schema => schema(context),
    }
}

fn init(context: &Context) -> Result<(), Error> {
    context.home.ensure()?;
    let directory = context.home.policy();
    paths::create_private_dir(&directory)?;
    let path = directory.join(RULES_FILE);
    let exists = || {
        let message = format!("{} exists", path.display());
        Error::new(ErrorKind::Exists, message).hint("authsome policy show")
    };
    if path.exists() {
        return Err(exists());
    }
    // Where files in Cedar's language stand alone, what they do not permit is denied, and stays so.
    let default = Policy::load(&directory)?.default_verdict().as_str();
    let text = TEMPLATE.replacen(TEMPLATE_DEFAULT, &format!("default = \"{default}\""), 1);
    match paths::create_private(&path, text.as_bytes()) {
        Ok(()) => {}
        Err(paths::Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            return Err(exists());
        }
        Err(error) => return Err(error.into()),
    }
    let shown = path.display().to_string();
    Ok(context.output.result(json!({ "status": "created", "path": shown }), |text| {
        text.line(format!(
            "Wrote {shown}. It changes nothing: the default is to {default}, as it was without it."
        ));
        text.dim("Next: edit it, then authsome policy check");
    })?)
}

fn check(args: &PolicyPath, context: &Context) -> Result<(), Error> {
    let (path, policy) = load(args.path.as_deref(), context)?;
    let warnings: Vec<Value> = policy
        .warnings()
        .iter()
        .map(|Warning { place, message }| {
            json!({
                "file": place.path.display().to_string(),
                "line": place.line,
                "column": place.column,
                "message": message,
            })
        })
        .collect();
    for warning in policy.warnings() {
        context.output.warning(format!("{}: {}", warning.place, warning.message));
    }
    let members = json!({
        "valid": true,
        "path": path.display().to_string(),
        "default": policy.default_verdict(),
        "statements": policy.statements().len(),
        "limits": policy.limits().len(),
        "warnings": warnings,
    });
    Ok(context.output.result(members, |text| {
        text.line(format!(
            "{}: {}, {}; the default is to {}.",
            path.display(),
            count(policy.statements().len(), "rule"),
            count(policy.limits().len(), "limit"),
            policy.default_verdict().as_str(),
        ));
    })?)
}

fn schema(context: &Context) -> Result<(), Error> {
    let text = policy::schema::TEXT;
    if context.output.is_json() {
        return Ok(context.output.json(json!({ "schema": text }))?);
    }
    Ok(context.output.raw(text)?)
}

/// The policy in force, or the one at `path`.
fn load(path: Option<&Path>, context: &Context) -> Result<(PathBuf, Policy), Error> {
    let Some(path) = path else {
        let directory = context.home.policy();
        let policy = Policy::load(&directory)?;
        return Ok((directory, policy));
    };
    let policy = match path.metadata() {
        Ok(found) if found.is_dir() => Policy::load(path)?,
        Ok(_) => Policy::load_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no {}", path.display());
            return Err(Error::new(ErrorKind::NotFound, message).hint("authsome policy init"));
        }
        Err(error) => {
            return Err(Error::caused(format_args!("cannot read {}", path.display()), &error));
        }
    };
    Ok((path.to_owned(), policy))
}
