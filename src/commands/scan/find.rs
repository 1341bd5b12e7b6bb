//! Matching variables against definitions. Pure.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::{
    commands::chain,
    provider::{Definition, Field, Values},
};

/// Variables from one place.
#[derive(Debug)]
pub(super) struct Source {
    /// `environment`, or a file.
    pub(super) name: String,
    /// Names and values, in order.
    pub(super) values: Vec<(String, SecretString)>,
}

/// What was found for one provider.
#[derive(Debug)]
pub(in crate::commands) struct Found {
    /// The provider.
    pub(in crate::commands) provider: String,
    /// Variables it was found in, one a field.
    pub(super) variables: Vec<String>,
    /// Places it was found in.
    pub(super) sources: Vec<String>,
    /// What it is.
    pub(in crate::commands) status: Status,
    /// What a person should know about it; no value.
    pub(in crate::commands) note: Option<String>,
    /// A connection's values, if they can be one.
    pub(in crate::commands) values: Values,
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Status {
    /// A credential that can be stored.
    Found,
    /// One of that name is stored; which value it has was not looked at.
    Connected,
    /// A part is missing.
    Incomplete,
    /// It does not look like one of this provider's.
    Unlikely,
    /// Two places have different values.
    Ambiguous,
    /// Stored now.
    Imported,
    /// Stored before, with this value.
    Unchanged,
    /// Stored before, with another value.
    Different,
}

impl Found {
    /// Can it be stored?
    #[cfg(target_os = "linux")]
    pub(in crate::commands) fn is_credential(&self) -> bool {
        self.status == Status::Found
    }
}

impl Status {
    /// For people.
    pub(in crate::commands) fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Connected => "connected",
            Self::Incomplete => "incomplete",
            Self::Unlikely => "unlikely",
            Self::Ambiguous => "ambiguous",
            Self::Imported => "imported",
            Self::Unchanged => "unchanged",
            Self::Different => "different",
        }
    }
}

/// Findings for every definition of which at least one secret is there.
pub(super) fn find<'d>(
    definitions: impl Iterator<Item = &'d Definition>,
    sources: &[Source],
) -> Vec<Found> {
    definitions.filter_map(|definition| look(definition, sources)).collect()
}

fn look(definition: &Definition, sources: &[Source]) -> Option<Found> {
    let mut found = Found {
        provider: definition.name.clone(),
        variables: Vec::new(),
        sources: Vec::new(),
        status: Status::Found,
        note: None,
        values: Values::new(),
    };
    let mut secrets = 0;
    let mut missing = None;
    let mut ambiguous = false;
    for field in definition.fields.iter().filter(|field| field.derive.is_none()) {
        let mut hits = hits(field, sources);
        let Some((source, variable, value)) = hits.next() else {
            if !field.optional {
                missing = missing.or(Some(field));
            }
            continue;
        };
        let other =
            |hit: (&str, &str, &SecretString)| hit.2.expose_secret() != value.expose_secret();
        ambiguous |= hits.any(other);
        secrets += usize::from(field.secret);
        found.variables.push(variable.to_owned());
        if !found.sources.iter().any(|known| known == source) {
            found.sources.push(source.to_owned());
        }
        found.values.insert(field.name.clone(), value.clone());
    }
    if secrets == 0 {
        return None;
    }
    if let Some(field) = missing {
        found.status = Status::Incomplete;
        let variable = field.env.first().unwrap_or(&field.name);
        found.note = Some(format!("{variable} is missing"));
    } else if ambiguous {
        found.status = Status::Ambiguous;
        found.note = Some(format!(
            "several values: authsome login {} --secret-file or --secret-env says which",
            definition.name
        ));
    } else {
        match definition.accept(std::mem::take(&mut found.values)) {
            Ok(values) => found.values = values,
            Err(error) => {
                found.status = Status::Unlikely;
                found.note = Some(error.hint().map_or_else(|| chain(&error), str::to_owned));
            }
        }
    }
    Some(found)
}

/// Where a field's value is: source, variable and value, in the order of the sources.
fn hits<'s>(
    field: &'s Field,
    sources: &'s [Source],
) -> impl Iterator<Item = (&'s str, &'s str, &'s SecretString)> {
    sources.iter().flat_map(move |source| {
        let values = source.values.iter().filter(|(name, value)| {
            field.env.contains(name) && !value.expose_secret().trim().is_empty()
        });
        values.map(|(name, value)| (source.name.as_str(), name.as_str(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        name = "example"
        display_name = "Example"
        auth_type = "api_key"
        hosts = ["api.example.com"]
        [[fields]]
        name = "account"
        secret = false
        env = ["EXAMPLE_ACCOUNT"]
        [[fields]]
        name = "token"
        env = ["EXAMPLE_TOKEN"]
        pattern = "t-.*"
        pattern_hint = "starts with t-"
        [[inject]]
        kind = "basic"
        username = "{account}"
        password = "{token}"
    "#;

    fn source(name: &str, pairs: &[(&str, &str)]) -> Source {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
        Source { name: name.to_owned(), values: values.collect() }
    }

    fn one(sources: &[Source]) -> Option<Found> {
        let definition = Definition::parse_toml(TWO, "example.toml").unwrap();
        let mut found = find(std::iter::once(&definition), sources);
        assert!(found.len() <= 1);
        found.pop()
    }

    #[test]
    fn a_credential_may_be_spread_over_places() {
        let found = one(&[
            source("environment", &[("EXAMPLE_ACCOUNT", "a1"), ("OTHER", "x")]),
            source(".env", &[("EXAMPLE_TOKEN", "t-hunter22")]),
        ])
        .unwrap();

        assert_eq!(found.status, Status::Found);
        assert_eq!(found.variables, ["EXAMPLE_ACCOUNT", "EXAMPLE_TOKEN"]);
        assert_eq!(found.sources, ["environment", ".env"]);
        assert_eq!(found.values.len(), 2);
    }

    #[test]
    fn a_plain_field_alone_is_no_finding() {
        assert!(one(&[source(".env", &[("EXAMPLE_ACCOUNT", "a1")])]).is_none());
    }

    #[test]
    fn an_empty_variable_is_no_finding() {
        assert!(one(&[source(".env", &[("EXAMPLE_TOKEN", " ")])]).is_none());
    }

    #[test]
    fn half_a_credential_names_the_other_half() {
        let found = one(&[source(".env", &[("EXAMPLE_TOKEN", "t-hunter22")])]).unwrap();

        assert_eq!(found.status, Status::Incomplete);
        assert_eq!(found.note.as_deref(), Some("EXAMPLE_ACCOUNT is missing"));
    }

    #[test]
    fn two_values_for_one_field_are_not_chosen_from() {
        let found = one(&[
            source(".env", &[("EXAMPLE_ACCOUNT", "a1"), ("EXAMPLE_TOKEN", "t-hunter22")]),
            source(".env.prod", &[("EXAMPLE_TOKEN", "t-hunter33")]),
        ])
        .unwrap();

        assert_eq!(found.status, Status::Ambiguous);
    }

    #[test]
    fn what_does_not_look_like_a_key_is_unlikely_and_not_repeated() {
        let found =
            one(&[source(".env", &[("EXAMPLE_ACCOUNT", "a1"), ("EXAMPLE_TOKEN", "hunter22")])])
                .unwrap();

        assert_eq!(found.status, Status::Unlikely);
        assert!(!format!("{found:?}").contains("hunter22"));
    }
}
