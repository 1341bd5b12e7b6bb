//! `authsome set-default`: chooses the connection a provider uses.

use serde_json::json;

use super::{Context, Error, definition, full_name};
use crate::{
    cli::SetDefaultArgs,
    protocol::{ConnectionView, Request},
};

pub(super) fn set_default(args: SetDefaultArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let provider = definition(&registry, &args.provider)?.name.clone();
    let request = Request::SetDefault { provider, connection: args.connection };
    let view: ConnectionView = context.client()?.call(request)?;
    Ok(context.output.result(json!({ "connection": view }), |text| {
        text.line(format!(
            "{} is now the default of {}, in runs that are open too.",
            full_name(&view),
            view.provider
        ));
    })?)
}
