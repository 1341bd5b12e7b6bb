//! `authsome logout`: deletes a connection.

use serde_json::json;

use super::{Context, Error, connections, definition, full_name};
use crate::{
    cli::LogoutArgs,
    output::Text,
    protocol::{ConnectionView, ErrorKind, Request, login::Removed},
};

pub(super) fn logout(args: LogoutArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let mut client = context.client()?;
    let known = connections(&mut client, Some(&args.provider))?;
    // The definition of a provider may be gone while its connections are not.
    let provider = match known.first() {
        Some(view) => view.provider.clone(),
        None => definition(&registry, &args.provider)?.name.clone(),
    };
    let connection = choose(&provider, &known, args.connection)?;
    let connection = Some(connection);
    let request = Request::DeleteConnections { provider, connection, forget_clients: false };
    let removed: Vec<Removed> = client.call(request)?;
    Ok(context.output.result(json!({ "removed": removed }), |text| tell_removed(text, &removed))?)
}

/// What became of connections, here and at their providers.
pub(super) fn tell_removed(text: &mut Text, removed: &[Removed]) {
    for gone in removed {
        let name = full_name(&gone.connection);
        text.line(match (gone.remote.as_str(), &gone.problem) {
            ("revoked", _) => format!("Deleted {name}, and revoked it at the provider."),
            (_, Some(problem)) => {
                format!("Deleted {name}. The provider has not revoked it: {problem}.")
            }
            _ => format!("Deleted {name}."),
        });
    }
    if removed.iter().any(|gone| gone.remote != "revoked") {
        text.dim("What is not revoked still works: revoke it at the provider if it may be known.");
    }
}

/// Which connection is meant: the one named, or the only one.
fn choose(
    provider: &str,
    known: &[ConnectionView],
    named: Option<String>,
) -> Result<String, Error> {
    let missing = |message: String| {
        Err(Error::new(ErrorKind::NotFound, message).hint("authsome list shows what there is"))
    };
    match (named, known) {
        (Some(name), _) if known.iter().any(|view| view.connection == name) => Ok(name),
        (Some(name), _) => missing(format!("there is no connection {provider}/{name}")),
        (None, []) => missing(format!("{provider} is not connected")),
        (None, [only]) => Ok(only.connection.clone()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|view| view.connection.as_str()).collect();
            Err(Error::new(
                ErrorKind::Usage,
                format!("{provider} has several connections: {}", names.join(", ")),
            )
            .hint("say which with --connection NAME, or delete all with authsome revoke"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str) -> ConnectionView {
        ConnectionView {
            reason: None,
            scopes: Vec::new(),
            provider: "github".into(),
            connection: name.into(),
            default: false,
            status: "connected".into(),
            fields: Default::default(),
            secret_fields: Vec::new(),
            sources: Default::default(),
            created_at: String::new(),
            last_used_at: None,
            expires_at: None,
        }
    }

    #[test]
    fn the_only_connection_needs_no_name() {
        assert_eq!(choose("github", &[view("work")], None).unwrap(), "work");
    }

    #[test]
    fn one_of_several_must_be_named() {
        let error = choose("github", &[view("a"), view("b")], None).unwrap_err();

        assert_eq!(error.kind, ErrorKind::Usage);
        assert_eq!(error.message, "github has several connections: a, b");
    }

    #[test]
    fn a_connection_that_is_not_there_is_not_found() {
        let named = choose("github", &[view("a")], Some("b".into())).unwrap_err();
        let none = choose("github", &[], None).unwrap_err();

        assert_eq!((named.kind, none.kind), (ErrorKind::NotFound, ErrorKind::NotFound));
    }
}
