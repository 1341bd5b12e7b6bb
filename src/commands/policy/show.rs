//! `authsome policy show`.

use serde_json::{Value, json};

use super::load;
use crate::{
    cli::PolicyShowArgs,
    commands::{Context, Error},
    output::Table,
    policy::{LimitRule, Quota, Statement},
};

pub(super) fn show(args: &PolicyShowArgs, context: &Context) -> Result<(), Error> {
    let (path, policy) = load(args.path.path.as_deref(), context)?;
    let shown = path.display().to_string();
    if args.cedar {
        let cedar = policy.to_cedar();
        if context.output.is_json() {
            return Ok(context.output.json(json!({ "path": shown, "cedar": cedar }))?);
        }
        return Ok(context.output.raw(&cedar)?);
    }
    let members = json!({
        "path": shown,
        "default": policy.default_verdict(),
        "statements": policy.statements().iter().map(statement).collect::<Vec<_>>(),
        "limits": policy.limits().iter().map(limit).collect::<Vec<_>>(),
    });
    Ok(context.output.result(members, |text| {
        if !policy.statements().is_empty() {
            let mut table = Table::new(["ID", "VERDICT", "WHAT", "REASON"]);
            for statement in policy.statements() {
                let reason = statement.reason().unwrap_or_default();
                let verdict = statement.verdict().as_str();
                table.row([statement.id(), verdict, statement.summary(), reason]);
            }
            text.table(&table);
            text.blank();
        }
        if !policy.limits().is_empty() {
            let mut table = Table::new(["ID", "LIMIT"]);
            for limit in policy.limits() {
                table.row([limit.id(), &limit.summary()]);
            }
            text.table(&table);
            text.blank();
        }
        text.line(format!("What no rule matches: {}.", policy.default_verdict().as_str()));
        if policy.statements().is_empty() && policy.limits().is_empty() {
            text.dim("Write rules: authsome policy init");
        }
    })?)
}

fn statement(statement: &Statement) -> Value {
    let place = statement.place();
    json!({
        "id": statement.id(),
        "verdict": statement.verdict(),
        "summary": statement.summary(),
        "reason": statement.reason(),
        "file": place.path.display().to_string(),
        "line": place.line,
        "cedar": statement.cedar(),
    })
}

fn limit(limit: &LimitRule) -> Value {
    let place = limit.place();
    let (requests, bytes) = match limit.quota() {
        Quota::Requests(number) => (Some(number), None),
        Quota::Bytes(number) => (None, Some(number)),
    };
    json!({
        "id": limit.id(),
        "summary": limit.summary(),
        "requests": requests,
        "bytes": bytes,
        "per_seconds": limit.per().as_secs(),
        "reason": limit.reason(),
        "file": place.path.display().to_string(),
        "line": place.line,
    })
}
