//! `authsome remove`: a provider's connections and its custom definition.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{Context, Error, connections, definition, full_name};
use crate::{
    cli::RemoveArgs,
    config::values,
    protocol::{ConnectionView, ErrorKind, Request},
};

pub(super) fn remove(args: &RemoveArgs, context: &Context) -> Result<(), Error> {
    let provider = values::provider_name(&args.provider)
        .map_err(|error| Error::new(ErrorKind::Usage, error))?;
    let registry = context.registry();
    let custom = registry.file(&provider).map(PathBuf::from).or_else(|| broken(context, &provider));
    let mut client = context.client()?;
    let known = connections(&mut client, Some(&provider))?;
    if known.is_empty() && custom.is_none() {
        definition(&registry, &provider)?;
        let message = format!("{provider} is bundled and has no connection: nothing to remove");
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let mut removed: Vec<ConnectionView> = Vec::new();
    if !known.is_empty() {
        removed = client.call(Request::DeleteConnections { provider, connection: None })?;
    }
    if let Some(path) = &custom {
        fs::remove_file(path).map_err(|error| {
            Error::caused(format_args!("cannot remove {}", path.display()), &error)
        })?;
        context.reload_providers()?;
    }
    let definition = custom.as_ref().map(|path| path.display().to_string());
    let members = json!({ "removed": removed, "definition": definition });
    Ok(context.output.result(members, |text| {
        for view in &removed {
            text.line(format!("Deleted {}.", full_name(view)));
        }
        if let Some(path) = &definition {
            text.line(format!("Removed {path}."));
        }
        if !removed.is_empty() {
            text.dim("The keys still work: revoke them at the provider if they may be known.");
        }
    })?)
}

/// The file of a definition that cannot be read, where `register` would have put it.
fn broken(context: &Context, provider: &str) -> Option<PathBuf> {
    let directory = context.home.providers();
    ["toml", "json"]
        .map(|extension| directory.join(format!("{provider}.{extension}")))
        .into_iter()
        .find(|path| path.is_file())
}
