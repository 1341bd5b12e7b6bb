//! `authsome identity`: the agents' identities, and tokens that prove them.

use std::io::Read as _;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{Context, Error};
use crate::{
    cli::IdentityCommand,
    identity::TOKEN_MAX,
    output::{Table, Text},
    protocol::{
        Request, Secret,
        identity::{IdentityRequest, IdentityView, TokenIssued, TokenView},
    },
};

pub(super) fn identity(command: IdentityCommand, context: &Context) -> Result<(), Error> {
    match command {
        IdentityCommand::Create { name } => {
            show(IdentityRequest::Create { name }, context, |text, view| {
                text.line(format!("Made the identity {}, with a key of its own.", view.name));
                text.blank();
                text.line(format!("Next: authsome run --identity {} -- CMD", view.name));
                text.line(format!("  or: authsome identity use {}", view.name));
            })
        }
        IdentityCommand::Show { name } => show(IdentityRequest::Show { name }, context, tell),
        IdentityCommand::Use { name } => {
            show(IdentityRequest::Use { name }, context, |text, view| {
                text.line(format!("Runs that name no identity now act as {}.", view.agent));
            })
        }
        IdentityCommand::List => list(context),
        IdentityCommand::Token { name, ttl } => token(name, ttl.as_secs(), context),
        IdentityCommand::Verify { token } => verify(token, context),
    }
}

/// Asks for one identity and shows it.
fn show(
    request: IdentityRequest,
    context: &Context,
    human: impl FnOnce(&mut Text, &IdentityView),
) -> Result<(), Error> {
    let view: IdentityView = context.client()?.call(Request::Identity(request))?;
    Ok(context.output.result(json!({ "identity": view }), |text| human(text, &view))?)
}

fn tell(text: &mut Text, view: &IdentityView) {
    text.pairs([
        ("name", view.name.clone()),
        ("agent", view.agent.clone()),
        ("did", view.did.clone()),
        ("default", if view.default { "yes" } else { "no" }.to_owned()),
        ("created", view.created_at.clone()),
    ]);
}

fn list(context: &Context) -> Result<(), Error> {
    let request = Request::Identity(IdentityRequest::List);
    let views: Vec<IdentityView> = context.client()?.call(request)?;
    Ok(context.output.result(json!({ "identities": views }), |text| {
        if views.is_empty() {
            text.line("No identities yet: a run makes one, called after its command.");
            text.dim("Make one: authsome identity create NAME");
            return;
        }
        let mut table = Table::new(["IDENTITY", "", "AGENT", "CREATED"]);
        for view in &views {
            let default = if view.default { "default" } else { "" };
            table.row([&view.name, default, &view.agent, &view.created_at]);
        }
        text.table(&table);
    })?)
}

fn token(name: Option<String>, seconds: u64, context: &Context) -> Result<(), Error> {
    let request = Request::Identity(IdentityRequest::Token { name, seconds });
    let TokenIssued { token, says } = context.client()?.call(request)?;
    let mut members = json!(says);
    // What was asked for, and the only place that shows it.
    let token = token.0.expose_secret();
    if let Some(members) = members.as_object_mut() {
        members.insert("token".to_owned(), token.into());
    }
    Ok(context.output.result(members, |text| text.line(token))?)
}

fn verify(token: String, context: &Context) -> Result<(), Error> {
    let token = if token == "-" { read()? } else { SecretString::from(token) };
    let request = Request::Identity(IdentityRequest::Verify { token: Secret(token) });
    let view: TokenView = context.client()?.call(request)?;
    let mut members = json!({ "verified": true });
    if let (Some(members), serde_json::Value::Object(says)) = (members.as_object_mut(), json!(view))
    {
        members.extend(says);
    }
    Ok(context.output.result(members, |text| {
        text.line(format!("{} acts for {}.", view.agent, view.user));
        text.blank();
        text.pairs([
            ("agent", view.agent.clone()),
            ("did", view.did.clone()),
            ("on behalf of", view.user.clone()),
            ("run or id", view.id.clone()),
            ("issued", view.issued_at.clone()),
            ("expires", view.expires_at.clone()),
        ]);
    })?)
}

/// A token from standard input, as it was piped there.
fn read() -> Result<SecretString, Error> {
    let mut text = String::new();
    // Room for white space around it; what is longer is no token.
    let most = 2 * TOKEN_MAX as u64;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_string(&mut text)
        .map_err(|error| Error::caused("cannot read the token from standard input", &error))?;
    Ok(SecretString::from(text))
}
