//! `authsome log`: what happened, and whether the record of it is whole.
//!
//! Reads the files itself: they must be readable when the daemon is not there.

mod line;
mod verify;

use std::time::SystemTime;

use serde_json::{Value, json};

use self::line::line;
pub(super) use self::verify::view;
#[cfg(target_os = "linux")]
pub(super) use self::verify::{checked, keep_aside};
use super::{Context, Error};
use crate::{
    audit::{Entry, Filter, read},
    cli::{LogArgs, LogCommand},
};

pub(super) fn log(args: &LogArgs, context: &Context) -> Result<(), Error> {
    let filter = args.filter.filter(SystemTime::now());
    match args.command {
        Some(LogCommand::Verify) => verify::verify(context),
        None if args.follow => follow(args.lines, &filter, context),
        None => tail(args.lines, &filter, context),
    }
}

fn tail(lines: usize, filter: &Filter, context: &Context) -> Result<(), Error> {
    let path = context.home.audit_log();
    let entries = read::matching(&path, lines, |entry| filter.passes(entry))?;
    let values: Vec<Value> = entries.iter().map(value).collect();
    let is_empty = values.is_empty() && lines > 0;
    let never = is_empty && read::tail(&path, 1)?.is_empty();
    let members = json!({ "entries": values });
    Ok(context.output.result(members, |text| {
        if never {
            text.line("Nothing has happened yet.");
            text.dim("Each request of a run is noted here: authsome run -- CMD");
        } else if is_empty {
            text.line("No entry fits.");
        }
        for value in &values {
            text.line(line(value));
        }
    })?)
}

fn follow(lines: usize, filter: &Filter, context: &Context) -> Result<(), Error> {
    let path = context.home.audit_log();
    // Opened before the tail is read: an entry between the two is shown twice rather than never.
    let follow = read::follow(&path)?;
    let tail = read::matching(&path, lines, |entry| filter.passes(entry))?;
    let mut last = 0;
    for entry in tail.into_iter().map(Ok).chain(follow) {
        let entry = entry?;
        if entry.seq <= last || !filter.passes(&entry) {
            continue;
        }
        last = entry.seq;
        let value = value(&entry);
        context.output.result(json!({ "entry": value }), |text| text.line(line(&value)))?;
    }
    Ok(())
}

fn value(entry: &Entry) -> Value {
    serde_json::to_value(entry).unwrap_or_default()
}
