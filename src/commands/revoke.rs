//! `authsome revoke`: all connections of a provider.

use serde_json::json;

use super::{Context, Error, connections, definition, logout::tell_removed};
use crate::{
    cli::RevokeArgs,
    protocol::{ErrorKind, Request, login::Removed},
};

pub(super) fn revoke(args: RevokeArgs, context: &Context) -> Result<(), Error> {
    let mut client = context.client()?;
    let registry = context.registry();
    let known = connections(&mut client, Some(&args.provider))?;
    if known.is_empty() {
        let provider = &definition(&registry, &args.provider)?.name;
        let message = format!("{provider} is not connected");
        return Err(Error::new(ErrorKind::NotFound, message).hint("authsome list"));
    }
    let request = Request::DeleteConnections {
        provider: args.provider,
        connection: None,
        forget_clients: false,
    };
    let removed: Vec<Removed> = client.call(request)?;
    Ok(context.output.result(json!({ "removed": removed }), |text| tell_removed(text, &removed))?)
}
