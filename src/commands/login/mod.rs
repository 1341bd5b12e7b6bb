//! `authsome login`: takes a credential from the person or the script that has it.
//!
//! The secret comes from the terminal (hidden), standard input, a variable or a file, never from an
//! argument. It is checked against the provider's definition before it leaves this process; no error
//! repeats it.

mod from;
mod oauth;
mod sources;

use serde_json::json;

use super::{
    Context, Error, definition, full_name, hosts,
    store::{Stored, store},
};
use crate::{
    cli::{FieldValue, LoginArgs, usage},
    output::{self, Text},
    protocol::{ConnectionView, ErrorKind},
    provider::{AuthType, Definition},
};

/// More hosts than these are counted.
const SHOWN_HOSTS: usize = 4;

pub(super) fn login(args: LoginArgs, context: &Context) -> Result<(), Error> {
    if !args.surplus.is_empty() {
        let message = "a secret is never an argument (not repeated here)";
        return Err(Error::new(ErrorKind::Usage, message).hint(usage::SECRET_HINT));
    }
    let registry = context.registry();
    if args.provider.contains("://") {
        return oauth::login(&args, None, context);
    }
    let definition = definition(&registry, &args.provider)?;
    if !args.from.is_empty() {
        return from::login(&args, definition, context);
    }
    if by_oauth(&args, definition) {
        return oauth::login(&args, Some(definition), context);
    }
    let source = sources::Source::of(&args)?;
    if source.is_terminal() {
        introduce(definition, context);
    }
    let values = sources::collect(definition, &given(&args), source)?;
    let mut client = context.client()?;
    let stored = store(&mut client, &definition.name, &args.connection, &values, args.force)?;
    let (status, view) = match stored {
        Stored::New(view) => ("stored", view),
        Stored::Replaced(view) => ("replaced", view),
        Stored::Unchanged(view) => ("unchanged", view),
        Stored::Different(error) => {
            let hint = "--force replaces it, --connection NAME stores a second one";
            return Err(Error::from(error).hint(hint));
        }
    };
    let hosts = hosts(definition);
    let members = json!({ "status": status, "hosts": hosts, "connection": view });
    Ok(context.output.result(members, |text| tell(text, status, &view, &hosts))?)
}

/// The values that were given as arguments.
fn given(args: &LoginArgs) -> Vec<FieldValue> {
    let base_url = args.base_url.clone();
    let base_url = base_url.map(|value| FieldValue { name: "base_url".to_owned(), value });
    args.fields.iter().cloned().chain(base_url).collect()
}

/// Does an argument say where a secret is?
fn secret_given(args: &LoginArgs) -> bool {
    args.secret_stdin || !args.secret_env.is_empty() || args.secret_file.is_some()
}

/// Is it OAuth that is wanted? Not where a token is given, nor where a key is asked for by name.
fn by_oauth(args: &LoginArgs, definition: &Definition) -> bool {
    match args.flow.as_deref() {
        Some("api_key") => false,
        Some(_) => true,
        None => !secret_given(args) && definition.auth_type == AuthType::OAuth2,
    }
}

/// Says where a key is to be had, before it is asked for.
fn introduce(definition: &Definition, context: &Context) {
    if let Some(hint) = &definition.login_hint {
        context.output.note(format!("{}: {hint}", definition.display_name));
    }
    if let Some(url) = &definition.docs_url {
        context.output.note(url);
    }
}

fn tell(text: &mut Text, status: &str, view: &ConnectionView, hosts: &[String]) {
    let name = full_name(view);
    text.line(match status {
        "unchanged" => format!("{name} has this value already."),
        "replaced" => format!("Replaced {name}."),
        _ => format!("Stored {name}."),
    });
    for (field, source) in &view.sources {
        text.line(format!("Its {field} comes from {source} when a request needs it."));
        if let Some(directory) = from::hidden(source) {
            text.line(format!("Agents do not see {} from their next run on.", directory.display()));
        }
    }
    let shown: Vec<&str> = hosts.iter().take(SHOWN_HOSTS).map(String::as_str).collect();
    let more = match hosts.len().saturating_sub(SHOWN_HOSTS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    if shown.is_empty() {
        text.line("No host is known for it, so no request gets it.");
    } else {
        text.line(format!("Requests of a run to {}{more} get it.", shown.join(", ")));
    }
    text.blank();
    if view.default {
        text.line("Next: authsome run -- CMD");
    } else {
        let (provider, connection) = (&view.provider, &view.connection);
        text.line(format!("Next: authsome run --connection {provider}={connection} -- CMD"));
        text.line(format!("  or: authsome set-default {provider} {connection}"));
    }
}

/// A refusal that is about how the command was given.
fn usage_error(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message).hint(hint)
}

/// Is there a person to ask?
fn person() -> bool {
    output::can_prompt()
}
