//! `login --from`: stores where a secret lies.
//!
//! What is relative is made absolute here, where the user's directory and `PATH` are; the daemon, which
//! fetches the value, has others.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Context, Error, given, hosts, sources, tell, usage_error};
use crate::{
    cli::LoginArgs,
    protocol::{
        ErrorKind, ErrorReply, Request, Secret,
        source::{PutSourced, Sourced},
    },
    provider::Definition,
    source::Source,
};

pub(super) fn login(
    args: &LoginArgs,
    definition: &Definition,
    context: &Context,
) -> Result<(), Error> {
    let pointers = pointers(args, definition)?;
    let elsewhere = |name: &str| pointers.contains_key(name);
    let values =
        sources::gather(definition, &given(args), others(args, definition, elsewhere)?, elsewhere)?;
    let variables = pointers.values().filter_map(Source::variable).map(str::to_owned);
    let mut client = context.client_with(&variables.collect::<Vec<_>>())?;
    let stored: Sourced = client.call(Request::PutSourced(Box::new(PutSourced {
        provider: definition.name.clone(),
        connection: args.connection.clone(),
        fields: values.into_iter().map(|(name, value)| (name, Secret(value))).collect(),
        sources: pointers.iter().map(|(name, source)| (name.clone(), source.to_string())).collect(),
        replace: args.force,
        check: !args.no_check,
    })))?;
    let Sourced { status, connection } = stored;
    let hosts = hosts(definition);
    let members = json!({ "status": status, "hosts": hosts, "connection": connection });
    Ok(context.output.result(members, |text| tell(text, &status, &connection, &hosts))?)
}

/// Directory that runs hide because of a source.
pub(super) fn hidden(source: &str) -> Option<PathBuf> {
    Source::parse(source).ok()?.directory().map(Path::to_owned)
}

/// The sources, by field.
fn pointers(args: &LoginArgs, definition: &Definition) -> Result<BTreeMap<String, Source>, Error> {
    let cwd = env::current_dir()
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    let mut pointers = BTreeMap::new();
    for pointer in &args.from {
        let field = field(definition, &pointer.name)?;
        let refused = |error: crate::source::Error| {
            Error::from(ErrorReply::caused(ErrorKind::Usage, &error, error.hint()))
        };
        let source = Source::parse(&pointer.value).map_err(refused)?;
        let path = env::var_os("PATH").unwrap_or_default();
        let source = at_home(source).anchored(&cwd, &path).map_err(refused)?;
        if pointers.insert(field.to_owned(), source).is_some() {
            return Err(usage_error(
                format!("`{field}` has two sources"),
                "--from FIELD=SOURCE, once for each field",
            ));
        }
    }
    Ok(pointers)
}

/// The field that is meant. Not repeated if there is none: it may be a secret in the wrong place.
fn field<'d>(definition: &'d Definition, name: &str) -> Result<&'d str, Error> {
    let fields = definition.fields.iter();
    let secrets: Vec<&str> = fields
        .filter(|field| field.secret && field.derive.is_none())
        .map(|field| field.name.as_str())
        .collect();
    let found = match (name, secrets.as_slice()) {
        ("", [only]) => Some(*only),
        ("", _) => definition.token_field().map(|field| field.name.as_str()),
        (name, secrets) => secrets.iter().find(|secret| **secret == name).copied(),
    };
    found.ok_or_else(|| {
        usage_error(
            format!("--from does not say which of the secrets of {} it is", definition.name),
            format!("--from FIELD=SOURCE, with one of these fields: {}", secrets.join(", ")),
        )
    })
}

/// `file:~/…`, which no shell expands.
fn at_home(source: Source) -> Source {
    let Source::File(path) = &source else { return source };
    match (path.strip_prefix("~"), env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Source::File(Path::new(&home).join(rest)),
        (Ok(_) | Err(_), _) => source,
    }
}

/// Where the secrets come from that are not pointed at. Nobody is asked if there are none.
fn others(
    args: &LoginArgs,
    definition: &Definition,
    elsewhere: impl Fn(&str) -> bool,
) -> Result<sources::Source, Error> {
    let needed = definition.fields.iter().any(|field| {
        field.secret && !field.optional && field.derive.is_none() && !elsewhere(&field.name)
    });
    if super::secret_given(args) || needed {
        sources::Source::of(args)
    } else {
        Ok(sources::Source::Values(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(fields: &[&str]) -> Definition {
        let fields: String =
            fields.iter().map(|name| format!("[[fields]]\nname = \"{name}\"\n")).collect();
        let text = format!(
            "name = \"x\"\ndisplay_name = \"X\"\nauth_type = \"api_key\"\nhosts = [\"x.com\"]\n{fields}"
        );
        Definition::parse_toml(&text, "x.toml").unwrap()
    }

    #[test]
    fn the_only_secret_needs_no_name() {
        assert_eq!(field(&definition(&["api_key"]), "").unwrap(), "api_key");
    }

    #[test]
    fn one_of_several_secrets_must_be_named() {
        let definition = definition(&["api_key", "other"]);
        assert_eq!(field(&definition, "other").unwrap(), "other");
        assert!(field(&definition, "").is_err());
    }

    #[test]
    fn a_field_that_is_not_there_may_be_a_secret_and_is_not_repeated() {
        let error = field(&definition(&["api_key"]), "hunter2").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
