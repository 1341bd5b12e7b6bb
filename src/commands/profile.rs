//! `authsome profile`: separate sets of connections and identities.

use serde_json::json;

use super::{Context, Error};
use crate::{
    cli::ProfileCommand,
    output::{self, Table},
    protocol::{
        ErrorKind, Request,
        identity::{ProfileRequest, ProfileView},
    },
};

pub(super) fn profile(command: ProfileCommand, context: &Context) -> Result<(), Error> {
    match command {
        ProfileCommand::Create { name } => create(name, context),
        ProfileCommand::List => list(context),
        ProfileCommand::Use { name } => choose(name, context),
        ProfileCommand::Delete { name, yes } => delete(name, yes, context),
    }
}

fn create(name: String, context: &Context) -> Result<(), Error> {
    let request = Request::Profile(ProfileRequest::Create { name });
    let view: ProfileView = context.client()?.call(request)?;
    Ok(context.output.result(json!({ "profile": view }), |text| {
        text.line(format!("Made the profile {}, empty.", view.name));
        text.blank();
        text.line(format!("Next: authsome login PROVIDER --profile {}", view.name));
        text.line(format!("  or: authsome profile use {}", view.name));
    })?)
}

fn list(context: &Context) -> Result<(), Error> {
    let request = Request::Profile(ProfileRequest::List);
    let views: Vec<ProfileView> = context.client()?.call(request)?;
    Ok(context.output.result(json!({ "profiles": views }), |text| {
        let mut table = Table::new(["PROFILE", ""]);
        for view in &views {
            table.row([&view.name, if view.in_use { "in use" } else { "" }]);
        }
        text.table(&table);
    })?)
}

fn choose(name: String, context: &Context) -> Result<(), Error> {
    let request = Request::Profile(ProfileRequest::Use { name });
    let view: ProfileView = context.client()?.call(request)?;
    if let Some(named) = context.acting()?.profile.filter(|named| *named != view.name) {
        context.output.warning(format!(
            "the profile {named} still counts: --profile, AUTHSOME_PROFILE or config.toml names it"
        ));
    }
    Ok(context.output.result(json!({ "profile": view }), |text| {
        text.line(format!("{} is now the profile in use. Open runs keep theirs.", view.name));
    })?)
}

fn delete(name: String, yes: bool, context: &Context) -> Result<(), Error> {
    let mut client = context.client()?;
    let views: Vec<ProfileView> = client.call(Request::Profile(ProfileRequest::List))?;
    // Nobody is asked about what there is not: the daemon says so.
    if !yes && views.iter().any(|view| view.name == name) && !is_confirmed(&name)? {
        return Err(Error::failed("nothing was deleted"));
    }
    client.call::<()>(Request::Profile(ProfileRequest::Delete { name: name.clone() }))?;
    Ok(context.output.result(json!({ "deleted": name }), |text| {
        text.line(format!("Deleted the profile {name} with everything in it."));
        text.dim("What was not revoked still works: revoke it at the provider if it may be known.");
    })?)
}

fn is_confirmed(name: &str) -> Result<bool, Error> {
    if !output::can_prompt() {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("deleting the profile {name} wants a yes, and there is nobody to ask"),
        )
        .hint(format!("authsome profile delete {name} --yes")));
    }
    let question = format!("Delete the profile {name} with its connections and identities?");
    Ok(output::confirm(&question)?)
}
