//! `authsome export`: real secrets, for programs that authsome does not run.

use std::collections::{BTreeMap, btree_map::Entry};

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    Context, Error, connections, definition,
    export_format::{dotenv, shell, variable},
};
use crate::{
    cli::{ExportArgs, ExportFormat},
    daemon::client::Client,
    protocol::{ConnectionView, Credential, ErrorKind, Request},
    provider::Registry,
};

pub(super) fn export(args: ExportArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let provider = match &args.provider {
        Some(name) => Some(definition(&registry, name)?.name.clone()),
        None => None,
    };
    let mut client = context.client()?;
    let mut views = connections(&mut client, provider.as_deref())?;
    if let Some(name) = &args.connection {
        views.retain(|view| view.connection == *name);
    }
    if views.is_empty() {
        return Err(nothing(provider.as_deref(), args.connection.as_deref()));
    }
    // Defaults first, so that it is the others that make way where names meet.
    views.sort_by_key(|view| !view.default);
    let mut variables = BTreeMap::new();
    for view in &views {
        let bare = view.default || args.connection.is_some();
        for (name, field, value) in fields(&mut client, &registry, view, bare)? {
            let name = match variables.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                    continue;
                }
                Entry::Occupied(taken) => taken.key().clone(),
            };
            let connection = (!bare).then_some(view.connection.as_str());
            let other = variable(None, &view.provider, &field, connection);
            context.output.warning(format!("{name} is taken: {} is in {other}", view.provider));
            variables.insert(other, value);
        }
    }
    write(context, args.format, variables)
}

fn write(
    context: &Context,
    format: ExportFormat,
    variables: BTreeMap<String, String>,
) -> Result<(), Error> {
    let output = context.output;
    if output.is_terminal() {
        output.warning("these are the real secrets, and now they are on the screen");
    }
    if output.is_json() || format == ExportFormat::Json {
        return Ok(output.json(json!({ "credentials": variables }))?);
    }
    let variables: Vec<(String, String)> = variables.into_iter().collect();
    let text = if format == ExportFormat::Shell { shell(&variables) } else { dotenv(&variables) };
    Ok(output.raw(&text)?)
}

/// Variable, field and value of everything in a connection.
fn fields(
    client: &mut Client,
    registry: &Registry,
    view: &ConnectionView,
    bare: bool,
) -> Result<Vec<(String, String, String)>, Error> {
    let credential: Credential = client.call(Request::GetConnection {
        provider: view.provider.clone(),
        connection: Some(view.connection.clone()),
        reveal: true,
        purpose: "export".to_owned(),
    })?;
    let definition = registry.get(&view.provider);
    let connection = (!bare).then_some(view.connection.as_str());
    let secrets = credential.secrets.iter().map(|(name, value)| (name, value.0.expose_secret()));
    let plain = credential.view.fields.iter().map(|(name, value)| (name, value.as_str()));
    let named = plain.chain(secrets).map(|(field, value)| {
        let known = definition.and_then(|definition| definition.field(field)?.env.first());
        let name = variable(known.map(String::as_str), &view.provider, field, connection);
        (name, field.clone(), value.to_owned())
    });
    Ok(named.collect())
}

fn nothing(provider: Option<&str>, connection: Option<&str>) -> Error {
    let (message, hint) = match (provider, connection) {
        (Some(provider), Some(name)) => (
            format!("there is no connection {provider}/{name}"),
            "authsome list shows what there is".to_owned(),
        ),
        (Some(provider), None) => {
            (format!("{provider} is not connected"), format!("authsome login {provider}"))
        }
        (None, _) => {
            ("there is no connection to export".to_owned(), "authsome login PROVIDER".to_owned())
        }
    };
    Error::new(ErrorKind::NotFound, message).hint(hint)
}
