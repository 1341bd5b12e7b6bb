//! The published schema, and the names in it.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};

use super::Error;

/// The schema that every policy is checked against.
pub const TEXT: &str = include_str!("../../policy/schema.cedarschema");

/// Where the id of an agent of this machine begins.
pub(super) const AGENT_PREFIX: &str = "agent://local/";

/// Entity types, by what they are.
#[derive(Debug)]
pub(super) struct Types {
    pub(super) action: EntityTypeName,
    pub(super) agent: EntityTypeName,
    pub(super) user: EntityTypeName,
    pub(super) provider: EntityTypeName,
    pub(super) connection: EntityTypeName,
    pub(super) host: EntityTypeName,
}

/// The schema and its types, parsed once.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) schema: Schema,
    pub(super) types: Types,
}

/// The parsed schema.
///
/// # Errors
/// [`Error::Internal`], which a test rules out.
pub(super) fn parsed() -> Result<&'static Parsed, Error> {
    static PARSED: LazyLock<Result<Parsed, String>> = LazyLock::new(parse);
    PARSED.as_ref().map_err(|message| Error::Internal { message: message.clone() })
}

fn parse() -> Result<Parsed, String> {
    let name = |text: &str| text.parse::<EntityTypeName>().map_err(|error| error.to_string());
    let (schema, _) = Schema::from_cedarschema_str(TEXT).map_err(|error| error.to_string())?;
    let types = Types {
        action: name("Action")?,
        agent: name("Agent")?,
        user: name("User")?,
        provider: name("Provider")?,
        connection: name("Connection")?,
        host: name("Host")?,
    };
    Ok(Parsed { schema, types })
}

pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// The id of an agent that somebody names: its whole identity, or the name of one of this machine.
#[must_use]
pub fn agent_id(name: &str) -> String {
    if name.contains("://") { name.to_owned() } else { format!("{AGENT_PREFIX}{name}") }
}

/// The name of an agent: without what all of this machine's begin with.
pub(super) fn agent_name(id: &str) -> &str {
    id.strip_prefix(AGENT_PREFIX).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::action;

    #[test]
    fn the_schema_has_exactly_the_actions_that_requests_are_given() {
        let parsed = parsed().unwrap();
        let named: BTreeSet<_> =
            parsed.schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
        let ours = action::all().chain(["read", "write"]).map(str::to_owned).collect();
        assert_eq!(named, ours);
    }
}
