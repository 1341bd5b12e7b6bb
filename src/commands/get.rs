//! `authsome get`: one connection, its secrets only when asked for.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{Context, Error, definition, full_name};
use crate::{
    cli::GetArgs,
    protocol::{Credential, ErrorKind, Request},
};

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

pub(super) fn get(args: GetArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let provider = definition(&registry, &args.provider)?.name.clone();
    let credential: Credential = context.client()?.call(Request::GetConnection {
        provider,
        connection: args.connection,
        reveal: args.show_secret,
        purpose: "get".to_owned(),
    })?;
    let view = &credential.view;
    let secrets: BTreeMap<&str, &str> = view
        .secret_fields
        .iter()
        .map(|name| {
            let value = credential.secrets.get(name).map(|secret| secret.0.expose_secret());
            (name.as_str(), value.unwrap_or(REDACTED))
        })
        .collect();
    if let Some(field) = &args.field {
        return one_field(context, &credential, &secrets, field);
    }
    let members = json!({ "connection": view, "secrets": secrets });
    Ok(context.output.result(members, |text| {
        let default = if view.default { " (default)" } else { "" };
        let mut pairs = vec![
            ("connection", format!("{}{default}", full_name(view))),
            ("status", view.status.replace('_', " ")),
            ("created", view.created_at.clone()),
        ];
        pairs.extend(view.last_used_at.clone().map(|time| ("last used", time)));
        pairs.extend(view.expires_at.clone().map(|time| ("expires", time)));
        let sources = view.sources.iter();
        pairs.extend(sources.map(|(name, source)| ("source", format!("{name} from {source}"))));
        pairs.extend(view.fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
        pairs.extend(secrets.iter().map(|(name, value)| (*name, (*value).to_owned())));
        text.pairs(pairs);
        if !args.show_secret && !secrets.is_empty() {
            text.blank();
            text.dim("Secrets are shown with --show-secret");
        }
    })?)
}

fn one_field(
    context: &Context,
    credential: &Credential,
    secrets: &BTreeMap<&str, &str>,
    field: &str,
) -> Result<(), Error> {
    let view = &credential.view;
    let known = view.fields.get(field).map(String::as_str);
    let Some(value) = known.or_else(|| secrets.get(field).copied()) else {
        let names: Vec<&str> =
            view.fields.keys().chain(&view.secret_fields).map(String::as_str).collect();
        let message = format!("{} has no field `{field}`", full_name(view));
        let hint = format!("its fields: {}", names.join(", "));
        return Err(Error::new(ErrorKind::Failed, message).hint(hint));
    };
    let redacted = known.is_none() && !credential.secrets.contains_key(field);
    if context.output.is_json() {
        let members = json!({
            "provider": view.provider,
            "connection": view.connection,
            "field": field,
            "value": value,
            "redacted": redacted,
        });
        return Ok(context.output.result(members, |_| ())?);
    }
    context.output.raw(&format!("{value}\n"))?;
    if redacted {
        context.output.note("the value is shown with --show-secret");
    }
    Ok(())
}
