//! `authsome remove`: a provider's connections and its custom definition.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{Context, Error, connections, definition, logout::tell_removed};
use crate::{
    cli::RemoveArgs,
    config::values,
    protocol::{ErrorKind, Request, login::Removed},
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
    let request = Request::DeleteConnections { provider, connection: None, forget_clients: true };
    let removed: Vec<Removed> = client.call(request)?;
    if let Some(path) = &custom {
        fs::remove_file(path).map_err(|error| {
            Error::caused(format_args!("cannot remove {}", path.display()), &error)
        })?;
        context.reload_providers()?;
    }
    let definition = custom.as_ref().map(|path| path.display().to_string());
    let members = json!({ "removed": removed, "definition": definition });
    Ok(context.output.result(members, |text| {
        tell_removed(text, &removed);
        if let Some(path) = &definition {
            text.line(format!("Removed {path}."));
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
