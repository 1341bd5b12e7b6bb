//! `authsome approve` and `authsome deny`: requests that wait for a person.

mod watch;

use serde_json::json;

use super::{Context, Error};
use crate::{
    cli::{ApproveArgs, DenyArgs, Extent},
    daemon::client::Client,
    output::{Table, Text},
    protocol::{
        ErrorReply, Request,
        asks::{AskAnswer, AskView, AsksRequest, AsksView},
    },
};

pub(super) fn approve(args: ApproveArgs, context: &Context) -> Result<(), Error> {
    if args.watch {
        return watch::watch(context);
    }
    let Some(id) = args.id else { return list(context) };
    let (answer, word) = match args.extent {
        Extent::Once => (AskAnswer::Once, "once"),
        Extent::Run => (AskAnswer::Run, "run"),
        Extent::Always => (AskAnswer::Always, "always"),
    };
    give(id, answer, word, context)
}

pub(super) fn deny(args: DenyArgs, context: &Context) -> Result<(), Error> {
    give(args.id, AskAnswer::Deny { reason: args.reason }, "deny", context)
}

fn give(id: String, answer: AskAnswer, word: &str, context: &Context) -> Result<(), Error> {
    let done = outcome(&answer);
    let view = answer_ask(&mut context.client()?, id, answer)?;
    let members = json!({ "ask": view, "answer": word });
    Ok(context.output.result(members, |text| text.line(told(&view, done)))?)
}

fn answer_ask(client: &mut Client, id: String, answer: AskAnswer) -> Result<AskView, ErrorReply> {
    client.call(Request::Asks(AsksRequest::Answer { id, answer }))
}

/// What is waiting, once it is no longer what it was at revision `seen`, or after `seconds`.
fn look(client: &mut Client, seen: Option<u64>, seconds: u32) -> Result<AsksView, ErrorReply> {
    client.call(Request::Asks(AsksRequest::Await { seen, seconds }))
}

/// What an answer does, in words.
fn outcome(answer: &AskAnswer) -> &'static str {
    match answer {
        AskAnswer::Once => "Approved once",
        AskAnswer::Run => "Approved for this run",
        AskAnswer::Always => "Approved always, by a rule of your policy",
        AskAnswer::Deny { .. } => "Denied",
    }
}

fn told(view: &AskView, done: &str) -> String {
    match view.count {
        1 => format!("{done}: {}", view.summary()),
        count => format!("{done}: {} (waiting: {count})", view.summary()),
    }
}

fn list(context: &Context) -> Result<(), Error> {
    let asks = look(&mut context.client()?, None, 0)?.asks;
    Ok(context.output.result(json!({ "asks": asks }), |text| {
        if asks.is_empty() {
            text.line("Nothing is waiting.");
            text.dim("Ask about requests as they come: authsome approve --watch");
            return;
        }
        show(text, &asks);
        text.blank();
        text.dim("authsome approve ID [--for run|always]");
        text.dim("authsome deny ID [--reason TEXT]");
    })?)
}

fn show(text: &mut Text, asks: &[AskView]) {
    let mut table = Table::new(["ID", "AGENT", "REQUEST", "CONNECTION", "POLICY", "LEFT"]);
    for ask in asks {
        let request = match ask.count {
            1 => ask.summary(),
            count => format!("{} (×{count})", ask.summary()),
        };
        table.row([
            &ask.id,
            &ask.agent,
            &request,
            ask.connection.as_deref().unwrap_or("-"),
            ask.policy.as_deref().unwrap_or("-"),
            &format!("{} s", ask.seconds_left),
        ]);
    }
    text.table(&table);
}

/// A few lines about one request, for somebody who is to decide.
fn describe(text: &mut Text, ask: &AskView) {
    text.blank();
    text.line(format!("{}  {}", ask.id, ask.summary()));
    let mut pairs = vec![("      agent", format!("{} ({})", ask.agent, ask.command))];
    pairs.extend(ask.connection.clone().map(|name| ("      with", name)));
    pairs.extend(ask.policy.clone().map(|policy| ("      policy", policy)));
    pairs.extend(ask.reason.clone().map(|reason| ("      because", reason)));
    if ask.count > 1 {
        pairs.push(("      waiting", format!("{} equal requests", ask.count)));
    }
    text.pairs(pairs);
}
