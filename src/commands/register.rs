//! `authsome register`: adds a provider definition.
//!
//! A definition says which hosts get a credential, so a person is shown what it claims, and what it
//! takes from others, before it counts.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Context, Error, chain, hosts};
use crate::{
    cli::RegisterArgs,
    output, paths,
    protocol::ErrorKind,
    provider::{Definition, Finding, Registry, Severity, lint},
};

/// No definition is longer.
const MAX_BYTES: u64 = 256 * 1024;

pub(super) fn register(args: &RegisterArgs, context: &Context) -> Result<(), Error> {
    let (definition, text, extension) = read(&args.file)?;
    let findings = lint(&definition);
    let (registry, _) = Registry::load(Some(&context.home.providers()));
    let name = definition.name.as_str();
    let present = registry.file(name).map(PathBuf::from);
    if let Some(path) = present.as_ref().filter(|_| !args.force) {
        let message = format!("{name} is registered already: {}", path.display());
        return Err(Error::new(ErrorKind::Exists, message).hint("--force replaces it"));
    }
    let overrides = overrides(&registry, &definition);
    let agreed = agree(args.yes, context, &definition, &findings, &overrides)?;
    let path = match agreed {
        true => Some(write(context, name, &text, extension, present.as_deref())?),
        false => None,
    };
    let members = json!({
        "status": if agreed { "registered" } else { "cancelled" },
        "provider": name,
        "path": path.as_ref().map(|path| path.display().to_string()),
        "hosts": hosts(&definition),
        "overrides": overrides,
        "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
    });
    Ok(context.output.result(members, |text| {
        if let Some(path) = &path {
            text.line(format!("Registered {name}: {}", path.display()));
            text.blank();
            text.line(format!("Next: authsome login {name}"));
        } else {
            text.line("Nothing was changed.");
        }
    })?)
}

/// Stores a definition in place of the one in `present`, and tells the daemon.
pub(super) fn write(
    context: &Context,
    name: &str,
    text: &str,
    extension: &str,
    present: Option<&Path>,
) -> Result<PathBuf, Error> {
    let path = context.home.providers().join(format!("{name}.{extension}"));
    context.home.ensure()?;
    paths::create_private_dir(&context.home.providers())?;
    paths::write_private(&path, text.as_bytes())?;
    if let Some(old) = present.filter(|old| **old != path) {
        fs::remove_file(old).map_err(|error| {
            Error::caused(format_args!("cannot remove {}", old.display()), &error)
        })?;
    }
    context.reload_providers()?;
    Ok(path)
}

/// The definition, its text, and the extension it is stored with.
fn read(path: &Path) -> Result<(Definition, String, &'static str), Error> {
    let shown = path.display().to_string();
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| Error::caused(format_args!("cannot read {shown}"), &error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::failed(format!("{shown} is too long for a definition")));
    }
    let json = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "jsonc") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let parsed = if json {
        Definition::parse_json(&text, &shown)
    } else {
        Definition::parse_toml(&text, &shown)
    };
    let definition = parsed.map_err(|error| {
        let refused = Error::failed(chain(&error));
        match error.hint() {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })?;
    Ok((definition, text, if json { "json" } else { "toml" }))
}

fn finding_json(finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "severity": severity,
        "key": finding.key,
        "message": finding.problem,
        "hint": finding.hint,
    })
}

/// What changes for other providers, one sentence each.
pub(super) fn overrides(registry: &Registry, definition: &Definition) -> Vec<String> {
    let mut overrides = Vec::new();
    // A custom definition is only replaced by who said --force.
    let name = &definition.name;
    if registry.get(name).is_some() && registry.file(name).is_none() {
        overrides.push(format!("it replaces the bundled definition of {name}"));
    }
    let claimed = hosts(definition);
    for other in registry.iter().filter(|other| other.name != definition.name) {
        for host in hosts(other).into_iter().filter(|host| claimed.contains(host)) {
            overrides.push(format!("{host} is claimed by {} too", other.name));
        }
    }
    overrides
}

/// Shows what a definition claims, and asks unless the answer is `yes`.
pub(super) fn agree(
    yes: bool,
    context: &Context,
    definition: &Definition,
    findings: &[Finding],
    overrides: &[String],
) -> Result<bool, Error> {
    let output = context.output;
    output.note(format!(
        "{} ({}) will get credentials into requests to: {}",
        definition.name,
        definition.display_name,
        hosts(definition).join(", ")
    ));
    for finding in findings {
        output.warning(format!("`{}` {} ({})", finding.key, finding.problem, finding.hint));
    }
    for sentence in overrides {
        output.warning(sentence);
    }
    if yes {
        return Ok(true);
    }
    if output::can_prompt() {
        return Ok(output::confirm("Register it?")?);
    }
    // Nobody is there to ask: what is harmless may pass, the rest needs a word.
    let doubtful = findings.iter().any(|finding| finding.severity == Severity::Error);
    if overrides.is_empty() && !doubtful {
        return Ok(true);
    }
    let message = format!("{} could send a credential to the wrong host", definition.name);
    let message = if doubtful {
        message
    } else {
        format!("{} takes something from another definition", definition.name)
    };
    Err(Error::new(ErrorKind::Usage, message).hint("--yes agrees to it"))
}
