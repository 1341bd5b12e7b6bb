//! `authsome log`: what happened, and whether the record of it is whole.
//!
//! Reads the file itself: it must be readable when the daemon is not there.

use serde_json::{Value, json};

use super::{Context, Error};
use crate::{
    audit::{Entry, read},
    cli::{LogArgs, LogCommand},
    output::visible,
};

pub(super) fn log(args: &LogArgs, context: &Context) -> Result<(), Error> {
    match args.command {
        Some(LogCommand::Verify) => verify(context),
        None if args.follow => follow(args.lines, context),
        None => tail(args.lines, context),
    }
}

fn tail(lines: usize, context: &Context) -> Result<(), Error> {
    let entries = read::tail(&context.home.audit_log(), lines)?;
    let values: Vec<Value> = entries.iter().map(value).collect();
    let members = json!({ "entries": values });
    Ok(context.output.result(members, |text| {
        if values.is_empty() {
            text.line("Nothing has happened yet.");
            text.dim("Each request of a run is noted here: authsome run -- CMD");
        }
        for value in &values {
            text.line(line(value));
        }
    })?)
}

fn follow(lines: usize, context: &Context) -> Result<(), Error> {
    let path = context.home.audit_log();
    // Opened before the tail is read: an entry between the two is shown twice rather than never.
    let follow = read::follow(&path)?;
    let mut last = 0;
    for entry in read::tail(&path, lines)?.into_iter().map(Ok).chain(follow) {
        let entry = entry?;
        if entry.seq <= last {
            continue;
        }
        last = entry.seq;
        let value = value(&entry);
        context.output.result(json!({ "entry": value }), |text| text.line(line(&value)))?;
    }
    Ok(())
}

fn verify(context: &Context) -> Result<(), Error> {
    let path = context.home.audit_log();
    let report = read::verify(&path)?;
    if let Some(problem) = &report.first_problem {
        let message = format!("{}:{}: {}", path.display(), problem.line, problem.what);
        return Err(Error::failed(message)
            .hint("entries from that line on cannot be relied on; keep a copy of the file"));
    }
    let members = json!({
        "verified": true,
        "records": report.records,
        "recovered": report.recovered,
        "head": { "seq": report.head.seq, "hash": report.head.hash },
    });
    Ok(context.output.result(members, |text| {
        text.line(format!("{} entries, each follows from the one before.", report.records));
        if report.recovered > 0 {
            text.line(format!("{} times a crash cut a line short.", report.recovered));
        }
        if report.records > 0 {
            text.dim(format!("Last: {} {}", report.head.seq, report.head.hash));
        }
    })?)
}

fn value(entry: &Entry) -> Value {
    serde_json::to_value(entry).unwrap_or_default()
}

/// One entry for people: time, what was decided or done, to what, and how it ended.
fn line(entry: &Value) -> String {
    let text = |name: &str| match entry.get(name) {
        Some(Value::String(text)) => Some(visible(text).into_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let what = text("decision").or_else(|| text("operation")).or_else(|| text("kind"));
    let target = text("host").map(|host| {
        let port = text("port").filter(|port| port != "443");
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{host}{port}{}", text("path").unwrap_or_default())
    });
    let seconds = text("time").map(|time| time.chars().take(19).collect::<String>());
    let words = [
        seconds.map(|time| time.replace('T', " ")),
        what.map(|what| format!("{what:7}")),
        text("method"),
        target,
        text("status"),
        text("connection"),
        text("error"),
        text("run").map(|run| format!("run {run}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_with_what_matters() {
        let entry = json!({
            "v": 1, "seq": 1, "time": "2026-01-02T03:04:05.678Z", "kind": "request", "run": "ab12",
            "method": "GET", "host": "api.example.com", "port": 443, "path": "/x",
            "decision": "inject", "status": 200, "connection": "example/default",
        });

        assert_eq!(
            line(&entry),
            "2026-01-02 03:04:05  inject   GET  api.example.com/x  200  example/default  run ab12"
        );
    }

    #[test]
    fn an_unusual_port_is_shown() {
        let entry = json!({ "kind": "splice", "host": "a.example", "port": 22 });

        assert_eq!(line(&entry), "splice   a.example:22");
    }
}
