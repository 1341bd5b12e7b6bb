//! What a run's agent finds in its environment.

use super::{connections::not_connected, snapshot::Snapshot, sourced};
use crate::{
    protocol::{EnvFrom, ErrorKind, ErrorReply, RunOpened, RunOptions, chain},
    provider::{self, Connected, Registry},
};

/// The placeholders of the connections, under the names where clients look for secrets and under those
/// that the run asks for.
///
/// # Errors
///
/// A connection or field that a variable is to be set from and that does not exist.
pub(super) fn of_run(
    registry: &Registry,
    snapshot: &Snapshot,
    options: &RunOptions,
) -> Result<RunOpened, ErrorReply> {
    let mut members = Vec::new();
    for definition in registry.iter() {
        let entries = snapshot.of(&definition.name);
        let chosen = options.connections.get(&definition.name).map(String::as_str);
        let chosen = snapshot.find(&definition.name, chosen).map(|entry| entry.name.as_str());
        for entry in entries {
            let plain = chosen == Some(entry.name.as_str());
            // With one connection there is nothing to tell apart.
            let suffixed = entries.len() > 1 && (!entry.default || !plain);
            members.push((entry, entry.settings(), plain, suffixed));
        }
    }
    let connected: Vec<_> = members
        .iter()
        .map(|(entry, settings, plain, suffixed)| Connected {
            definition: &entry.definition,
            connection: &entry.name,
            placeholders: &entry.placeholders,
            settings,
            plain: *plain,
            suffixed: *suffixed,
        })
        .collect();
    let mut plan = provider::environment(registry.iter().map(AsRef::as_ref), &connected);
    for from in &options.env {
        plan.set.insert(from.name.clone(), value(from, snapshot)?);
        plan.remove.retain(|name| *name != from.name);
    }
    let mut warnings = plan.warnings;
    for conflict in snapshot.routes().conflicts() {
        warnings.push(format!(
            "{} is claimed by {} alike: choose one with --connection",
            conflict.host,
            conflict.providers.join(" and ")
        ));
    }
    warnings.extend(snapshot.routes().problems().iter().map(|error| chain(error)));
    for (name, reason) in snapshot.damaged() {
        warnings.push(format!("{name} cannot be used: {reason}"));
    }
    let mut opened =
        RunOpened { set_env: plan.set, remove_env: plan.remove, warnings, ..RunOpened::default() };
    sourced::guard(snapshot, &mut opened);
    Ok(opened)
}

/// A secret field's placeholder, another field's value.
fn value(from: &EnvFrom, snapshot: &Snapshot) -> Result<String, ErrorReply> {
    let EnvFrom { provider, connection, .. } = from;
    let entry = snapshot
        .find(provider, Some(connection))
        .ok_or_else(|| not_connected(provider, Some(connection)))?;
    let mut settings = entry.settings();
    let field = match &from.field {
        Some(field) => Some(field.as_str()),
        None => {
            let secret = entry.definition.fields.iter().filter(|field| field.secret);
            let mut names = secret.map(|field| field.name.as_str());
            names.find(|name| entry.placeholders.contains_key(*name))
        }
    };
    let known = field.and_then(|field| {
        entry.placeholders.get(field).cloned().or_else(|| settings.remove(field))
    });
    known.ok_or_else(|| {
        let names = entry.placeholders.keys().chain(settings.keys());
        let field = field.unwrap_or("api_key");
        ErrorReply {
            kind: ErrorKind::NotFound,
            message: format!("{provider}/{connection} has no field `{field}`"),
            hint: Some(format!("it has {}", names.cloned().collect::<Vec<_>>().join(", "))),
        }
    })
}
