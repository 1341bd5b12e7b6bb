//! Where the values of a credential come from.

use std::{
    collections::VecDeque,
    env, fs,
    io::{self, Read as _},
    path::Path,
};

use secrecy::{ExposeSecret as _, SecretString};

use super::{person, usage_error};
use crate::{
    cli::{FieldValue, LoginArgs, usage},
    commands::{Error, chain},
    output,
    protocol::ErrorKind,
    provider::{Definition, Field, Values},
};

/// Shorter secrets are a slip of the clipboard; and replacing them in answers would find chance
/// matches.
const MIN_SECRET_CHARS: usize = 8;

/// No credential is longer.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

/// Where the secrets come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A person types them.
    Terminal,
    /// Read already: the whole text.
    Text(SecretString),
    /// Read already: one by one.
    Values(Vec<SecretString>),
}

impl Source {
    /// The source the flags name, read.
    pub(super) fn of(args: &LoginArgs) -> Result<Self, Error> {
        if args.secret_stdin {
            return read(io::stdin().lock(), "standard input").map(Self::Text);
        }
        if let Some(path) = &args.secret_file {
            return read_file(path).map(Self::Text);
        }
        if !args.secret_env.is_empty() {
            return args
                .secret_env
                .iter()
                .map(|name| variable(name))
                .collect::<Result<_, _>>()
                .map(Self::Values);
        }
        if person() {
            return Ok(Self::Terminal);
        }
        Err(usage_error("there is no terminal to ask for the secret on", usage::SECRET_HINT))
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }
}

/// A secret that comes on standard input.
pub(super) fn read_stdin() -> Result<SecretString, Error> {
    read(io::stdin().lock(), "standard input").map(trimmed)
}

/// Reads one value for each field of `definition`, and checks them.
pub(super) fn collect(
    definition: &Definition,
    given: &[FieldValue],
    source: Source,
) -> Result<Values, Error> {
    let values = gather(definition, given, source, |_| false)?;
    definition.accept(values).map_err(|error| {
        let refused = Error::new(ErrorKind::Usage, chain(&error));
        match error.hint() {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })
}

/// Reads one value for each field of `definition` that does not lie `elsewhere`.
pub(super) fn gather(
    definition: &Definition,
    given: &[FieldValue],
    source: Source,
    elsewhere: impl Fn(&str) -> bool,
) -> Result<Values, Error> {
    let mut values = plain(definition, given)?;
    // What is derived from another field is asked of nobody.
    let fields = definition.fields.iter();
    let asked = || fields.clone().filter(|field| field.derive.is_none() && !elsewhere(&field.name));
    let secrets: Vec<&Field> = asked().filter(|field| field.secret).collect();
    let mut read = match source {
        Source::Terminal => None,
        Source::Text(text) if secrets.len() == 1 => Some(VecDeque::from([text])),
        Source::Text(text) => {
            Some(text.expose_secret().lines().map(SecretString::from).collect::<VecDeque<_>>())
        }
        Source::Values(values) => Some(values.into()),
    };
    for field in asked() {
        let value = match &mut read {
            _ if values.contains_key(&field.name) => continue,
            None if field.secret => Some(output::prompt_secret(&question(field))?),
            None => Some(output::prompt_line(&question(field))?.into()),
            Some(read) if field.secret => read.pop_front(),
            Some(_) => field.env.iter().find_map(|name| env::var(name).ok()).map(Into::into),
        };
        let value = value.map(trimmed).filter(|value| !value.expose_secret().is_empty());
        match value {
            Some(value) => drop(values.insert(field.name.clone(), value)),
            None if field.optional => {}
            None => return Err(missing(field, &secrets)),
        }
    }
    if read.is_some_and(|rest| rest.iter().any(|value| !value.expose_secret().trim().is_empty())) {
        let message = format!("more was given than the secrets of {}", definition.name);
        return Err(usage_error(message, expected(&secrets)));
    }
    check(&secrets, values)
}

/// The values of `--field`: of known fields, and of none that is a secret.
fn plain(definition: &Definition, given: &[FieldValue]) -> Result<Values, Error> {
    let mut values = Values::new();
    for FieldValue { name, value } in given {
        let Some(field) = definition.field(name) else {
            let names: Vec<&str> = definition.fields.iter().map(|field| &*field.name).collect();
            let message = format!("{} has no such field", definition.name);
            return Err(usage_error(message, format!("its fields: {}", names.join(", "))));
        };
        if field.secret {
            let message = format!("field `{name}` is a secret: it is never an argument");
            return Err(usage_error(message, usage::SECRET_HINT));
        }
        values.insert(name.clone(), SecretString::from(value.as_str()));
    }
    Ok(values)
}

fn check(secrets: &[&Field], values: Values) -> Result<Values, Error> {
    for field in secrets {
        let short = |value: &SecretString| value.expose_secret().chars().count() < MIN_SECRET_CHARS;
        if values.get(&field.name).is_some_and(short) {
            let message = format!("`{}` has fewer than {MIN_SECRET_CHARS} characters", field.name);
            return Err(usage_error(message, "was it cut off when it was copied?"));
        }
    }
    Ok(values)
}

fn missing(field: &Field, secrets: &[&Field]) -> Error {
    let hint =
        if field.secret { expected(secrets) } else { format!("--field {}=VALUE", field.name) };
    usage_error(format!("`{}` is missing", field.name), hint)
}

/// Says what the source should have held.
fn expected(secrets: &[&Field]) -> String {
    let names: Vec<&str> = secrets.iter().map(|field| field.name.as_str()).collect();
    if names.len() == 1 {
        format!("expected one value: {}", names.join(""))
    } else {
        format!("expected one value each, in this order: {}", names.join(", "))
    }
}

fn question(field: &Field) -> String {
    let optional = if field.optional { " (optional)" } else { "" };
    let hint = match &field.pattern_hint {
        Some(hint) => format!(" [{hint}]"),
        None => String::new(),
    };
    format!("{}{optional}{hint}", field.label)
}

fn trimmed(value: SecretString) -> SecretString {
    let text = value.expose_secret();
    let inner = text.trim();
    if inner.len() == text.len() { value } else { SecretString::from(inner) }
}

fn variable(name: &str) -> Result<SecretString, Error> {
    match env::var(name) {
        Ok(value) => Ok(value.into()),
        // Not the name: it may be the secret itself, put where its variable's name belongs.
        Err(_) => Err(usage_error(
            "the variable of --secret-env is not set, or is not text",
            "--secret-env takes the variable's name, not its value",
        )),
    }
}

fn read_file(path: &Path) -> Result<SecretString, Error> {
    let file = fs::File::open(path)
        .map_err(|error| Error::caused("cannot read the file of --secret-file", &error))?;
    read(file, "the file of --secret-file")
}

fn read(input: impl io::Read, what: &str) -> Result<SecretString, Error> {
    // Large enough from the start, so that growing leaves no copies behind.
    let mut text = String::with_capacity(MAX_INPUT_BYTES as usize + 1);
    input
        .take(MAX_INPUT_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| Error::caused(format_args!("cannot read {what}"), &error))?;
    let text = SecretString::from(text);
    if text.expose_secret().len() as u64 > MAX_INPUT_BYTES {
        return Err(Error::new(ErrorKind::Usage, format!("{what} is too long for a secret")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWILIO: &str = r#"
        name = "example"
        display_name = "Example"
        auth_type = "api_key"
        hosts = ["api.example.com"]
        [[fields]]
        name = "account"
        secret = false
        env = ["AUTHSOME_TEST_NO_SUCH_VARIABLE"]
        [[fields]]
        name = "first"
        [[fields]]
        name = "second"
        pattern = "s-.*"
        pattern_hint = "starts with s-"
        [[inject]]
        kind = "basic"
        username = "{first}"
        password = "{second}"
    "#;

    const ACCOUNT: &str = "account";

    fn definition() -> Definition {
        Definition::parse_toml(TWILIO, "example.toml").unwrap()
    }

    fn field(name: &str, value: &str) -> FieldValue {
        FieldValue { name: name.into(), value: value.into() }
    }

    fn text(text: &str) -> Source {
        Source::Text(text.into())
    }

    fn refused(fields: &[FieldValue], source: Source) -> Error {
        let error = collect(&definition(), fields, source).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter"), "repeats the secret: {error:?}");
        error
    }

    #[test]
    fn each_line_is_one_secret_in_the_definitions_order() {
        let values =
            collect(&definition(), &[field(ACCOUNT, "a1")], text("first-hunter\r\ns-hunter2\n"))
                .unwrap();

        let shown: Vec<_> =
            values.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(shown, [(ACCOUNT, "a1"), ("first", "first-hunter"), ("second", "s-hunter2")]);
    }

    #[test]
    fn a_missing_line_is_named() {
        let error = refused(&[field(ACCOUNT, "a1")], text("first-hunter\n"));

        assert_eq!(error.message, "`second` is missing");
        assert_eq!(
            error.hint.as_deref(),
            Some("expected one value each, in this order: first, second")
        );
    }

    #[test]
    fn a_line_too_many_is_refused() {
        let error = refused(&[field(ACCOUNT, "a1")], text("first-hunter\ns-hunter2\nhunter3"));

        assert_eq!(error.message, "more was given than the secrets of example");
    }

    #[test]
    fn a_value_that_does_not_look_right_is_not_repeated() {
        let error = refused(&[field(ACCOUNT, "a1")], text("first-hunter\nx-hunter2\n"));

        assert_eq!(error.hint.as_deref(), Some("starts with s-"));
    }

    #[test]
    fn a_short_secret_is_refused() {
        let error = refused(&[field(ACCOUNT, "a1")], text("hunter2\ns-hunter2\n"));

        assert_eq!(error.message, "`first` has fewer than 8 characters");
    }

    #[test]
    fn a_secret_is_not_taken_from_field() {
        let error = refused(&[field("first", "hunter-hunter")], text(""));

        assert_eq!(error.message, "field `first` is a secret: it is never an argument");
    }

    #[test]
    fn an_unknown_field_may_be_a_secret_and_is_not_repeated() {
        let error = refused(&[field("hunter-hunter", "x")], text(""));

        assert_eq!(error.hint.as_deref(), Some("its fields: account, first, second"));
    }

    #[test]
    fn a_plain_field_that_is_missing_says_how_to_give_it() {
        let error = refused(&[], text("first-hunter\ns-hunter2\n"));

        assert_eq!(error.hint.as_deref(), Some("--field account=VALUE"));
    }

    #[test]
    fn what_is_too_long_for_a_secret_is_refused() {
        let long = io::repeat(b'x');

        assert!(read(long, "it").unwrap_err().message.contains("too long"));
    }
}
