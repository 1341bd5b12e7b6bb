//! Definitions the user had added. One decides where credentials are sent, so none is taken without
//! somebody saying yes to the hosts it claims.

use super::{Outcome, Status};
use crate::{
    cli::ImportArgs,
    commands::{Context, Error, hosts, register},
    import::FoundDefinition,
    output,
    provider::{AuthType, Definition, Registry, lint},
};

/// What became of one.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) provider: String,
    pub(super) origin: String,
    pub(super) hosts: Vec<String>,
    pub(super) outcome: Outcome,
}

/// Registers what is agreed to.
pub(super) fn take(
    args: &ImportArgs,
    context: &Context,
    found: Vec<FoundDefinition>,
) -> Result<Vec<Taken>, Error> {
    let mut taken = Vec::new();
    for found in found {
        let outcome = offer(args, context, &found)?;
        taken.push(Taken {
            provider: found.definition.name.clone(),
            origin: found.origin,
            hosts: hosts(&found.definition),
            outcome,
        });
    }
    Ok(taken)
}

fn offer(args: &ImportArgs, context: &Context, found: &FoundDefinition) -> Result<Outcome, Error> {
    let definition = &found.definition;
    // Read anew for each: one may take something from the one before.
    let (registry, _) = Registry::load(Some(&context.home.providers()));
    let here = registry.get(&definition.name);
    let file = registry.file(&definition.name);
    if let Some(here) = here {
        if file.is_none() && is_covered(definition, here) {
            return Ok(Outcome::noted(Status::Skipped, "the bundled definition claims its hosts"));
        }
        if file.is_some() && same(definition, here) {
            return Ok(Outcome::new(Status::Unchanged));
        }
        if file.is_some() && !args.force {
            let note = "kept the one here; --force replaces it";
            return Ok(Outcome::noted(Status::Different, note));
        }
    }
    if args.dry_run {
        return Ok(Outcome::new(Status::Found));
    }
    // Where what it claims cannot be shown, only --yes agrees to it.
    if !args.yes && (context.output.is_json() || !output::can_prompt()) {
        return Ok(Outcome::noted(Status::Refused, "--yes agrees to the hosts it claims"));
    }
    let overrides = register::overrides(&registry, definition);
    if !register::agree(args.yes, context, definition, &lint(definition), &overrides)? {
        return Ok(Outcome::noted(Status::Refused, "not agreed to"));
    }
    register::write(context, &definition.name, &found.text, "json", file)?;
    Ok(Outcome::new(if file.is_some() { Status::Replaced } else { Status::Imported }))
}

fn same(one: &Definition, other: &Definition) -> bool {
    serde_json::to_value(one).ok() == serde_json::to_value(other).ok()
}

/// Does the bundled definition of the same name do what this one does? Its text never is the same: it
/// was written for another program.
fn is_covered(definition: &Definition, bundled: &Definition) -> bool {
    let claimed = hosts(bundled);
    let same_hosts = hosts(definition).iter().all(|host| claimed.contains(host));
    let same_paths = match (&definition.path_prefix, &bundled.path_prefix) {
        (_, None) => true,
        (one, other) => serde_json::to_value(one).ok() == serde_json::to_value(other).ok(),
    };
    // A key may go elsewhere on purpose; how a token travels is standardised.
    let same_slot = match definition.auth_type {
        AuthType::OAuth2 => true,
        AuthType::ApiKey => places(definition) == places(bundled),
    };
    same_hosts && same_paths && same_slot
}

/// Where in a request the credential goes, whatever the fields are called.
fn places(definition: &Definition) -> Vec<String> {
    let mut places = Vec::new();
    for inject in &definition.inject {
        let mut text = serde_json::to_string(&inject.slot).unwrap_or_default();
        for field in &definition.fields {
            text = text.replace(&format!("{{{}}}", field.name), "{}");
            text = text.replace(&format!("\"{}\"", field.name), "\"\"");
        }
        places.push(text);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUNDLED: &str = r#"
        name = "x"
        display_name = "X"
        auth_type = "api_key"
        hosts = ["api.example.com", "eu.example.com"]
        [[fields]]
        name = "token"
        [[inject]]
        kind = "header"
        name = "X-Key"
        template = "{token}"
    "#;

    fn covered(url: &str, header: &str) -> bool {
        let text = format!(
            r#"{{"name": "x", "display_name": "X", "auth_type": "api_key", "flow": "api_key",
                "api_url": "{url}", "api_key": {{"header_name": "{header}", "header_prefix": ""}}}}"#
        );
        let old = Definition::parse_json(&text, "x.json").unwrap();
        is_covered(&old, &Definition::parse_toml(BUNDLED, "x.toml").unwrap())
    }

    #[test]
    fn a_definition_that_does_the_same_is_covered() {
        assert!(covered("https://api.example.com/v1", "X-Key"));
    }

    #[test]
    fn another_host_or_header_is_not() {
        assert!(!covered("api.other-example.com", "X-Key"));
        assert!(!covered("api.example.com", "X-Other"));
    }
}
