//! `authsome list`: connections, and the providers that could have one.

use serde_json::json;

use super::{Context, Error, connections, count, full_name, login_command, login_kind};
use crate::{
    cli::ListArgs,
    output::{Table, Text},
    provider::Definition,
};

pub(super) fn list(args: &ListArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let connections = connections(&mut context.client()?, None)?;
    let connected = |definition: &Definition| {
        connections.iter().filter(|view| view.provider == definition.name).count()
    };
    let source = |definition: &Definition| {
        if registry.file(&definition.name).is_some() { "custom" } else { "bundled" }
    };
    let providers: Vec<_> = registry
        .iter()
        .map(|definition| {
            json!({
                "name": definition.name,
                "display_name": definition.display_name,
                "auth_type": definition.auth_type,
                "source": source(definition),
                "connections": connected(definition),
            })
        })
        .collect();
    let total = providers.len();
    let members = json!({ "connections": connections, "providers": providers });
    Ok(context.output.result(members, |text| {
        if connections.is_empty() {
            text.line("No connections yet.");
        } else {
            let mut table = Table::new(["CONNECTION", "", "STATUS", "EXPIRES", "LAST USED"]);
            for view in &connections {
                table.row([
                    &full_name(view),
                    if view.default { "default" } else { "" },
                    &view.status.replace('_', " "),
                    view.expires_at.as_deref().unwrap_or("-"),
                    view.last_used_at.as_deref().unwrap_or("-"),
                ]);
            }
            text.table(&table);
            for view in &connections {
                for (field, source) in &view.sources {
                    text.line(format!("{} takes its {field} from {source}", full_name(view)));
                }
            }
            for view in connections.iter().filter(|view| view.status == "source_failed") {
                let reason = view.reason.as_deref().unwrap_or("its value does not come");
                text.line(format!("{} cannot be used: {reason}", full_name(view)));
            }
            for view in connections.iter().filter(|view| view.status == "needs_login") {
                let reason = view.reason.as_deref().unwrap_or("the provider wants one");
                text.line(format!("{} needs a new login: {reason}", full_name(view)));
                text.dim(format!("  {}", login_command(view)));
            }
        }
        if args.all {
            text.blank();
            let mut table = Table::new(["PROVIDER", "NAME", "LOGIN", "SOURCE"]);
            for definition in registry.iter() {
                table.row([
                    &definition.name,
                    &definition.display_name,
                    login_kind(definition),
                    source(definition),
                ]);
            }
            text.table(&table);
        }
        text.blank();
        next(text, args.all, connections.is_empty(), total);
    })?)
}

fn next(text: &mut Text, all: bool, empty: bool, total: usize) {
    if !all {
        text.dim(format!("{} known: authsome list --all", count(total, "provider")));
    }
    if empty {
        text.dim("Connect one: authsome login PROVIDER");
        text.dim("Or take the keys you have: authsome scan --import");
    } else if all {
        text.dim("Connect another: authsome login PROVIDER");
    }
}
