//! A record of the audit log as a table shows it, on a page and in the live view.

use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;

use crate::dashboard::{
    AuditLine,
    view::{part::Tone, text},
};

/// The columns.
pub(super) const COLUMNS: [&str; 5] = ["Time (UTC)", "Event", "Connection", "Decision", "Run"];

/// Is it about what a run sent? Then something was decided.
pub(super) fn is_traffic(line: &AuditLine) -> bool {
    line.contains_key("decision")
}

/// A record in words.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// When (RFC 3339).
    time: String,
    /// When, for people.
    when: String,
    /// The method of a request, or what was done.
    what: String,
    /// Host and path, if there are.
    place: String,
    /// `provider/connection`, if one was used.
    connection: String,
    /// The run's id, if it was one.
    run: String,
    /// File name of the program that connected, if it is known.
    program: String,
    /// Its path, and the process.
    process: String,
    /// What was decided, in words.
    decision: String,
    /// Class of its badge.
    tone: &'static str,
    /// Status or error.
    detail: String,
}

impl Row {
    /// Reads a record.
    pub(super) fn new(line: &AuditLine) -> Self {
        let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
        let number = |key: &str| line.get(key).and_then(Value::as_u64);
        let (decision, tone) = match text("decision") {
            "inject" => ("Credential added", Tone::Good),
            "forward" => ("Forwarded", Tone::Plain),
            "splice" => ("Passed through", Tone::Plain),
            "deny" => ("Denied", Tone::Bad),
            other => (other, Tone::Plain),
        };
        let port = match number("port") {
            Some(port) if port != 443 => format!(":{port}"),
            _ => String::new(),
        };
        let what = match (text("method"), text("operation")) {
            // A person's answer about a request.
            (method, operation) if text("kind") == "ask" => {
                format!("{} {method}", text::capital(&operation.replace('-', " ")))
            }
            ("", "") => text::capital(text("kind")),
            ("", operation) => format!("{} {operation}", text::capital(text("kind"))),
            (method, _) => method.to_owned(),
        };
        let detail = match (number("status"), text("error")) {
            (Some(status), "") => status.to_string(),
            (Some(status), error) => format!("{status} {error}"),
            (None, error) => error.to_owned(),
        };
        Self {
            time: text("time").to_owned(),
            when: text::exactly(text("time")),
            what,
            place: format!("{}{port}{}", text("host"), text("path")),
            connection: text("connection").to_owned(),
            run: text("run").to_owned(),
            program: text("executable").rsplit('/').next().unwrap_or_default().to_owned(),
            process: number("process")
                .map(|pid| format!("{}, process {pid}", text("executable")))
                .unwrap_or_default(),
            decision: decision.to_owned(),
            tone: tone.class(),
            detail,
        }
    }

    /// Its cells.
    pub(super) fn cells(&self) -> Vec<Markup> {
        vec![
            html! { time datetime=(self.time) { (self.when) } },
            html! { span.what { (self.what) } " " span.place { (self.place) } },
            html! { @if !self.connection.is_empty() { span.name { (self.connection) } } },
            html! {
                @if !self.decision.is_empty() { span.badge.(self.tone) { (self.decision) } " " }
                @if !self.detail.is_empty() { span.detail { (self.detail) } }
            },
            html! {
                @if !self.run.is_empty() { a href=(text::path(&["runs", &self.run])) { code { (self.run) } } }
                @if !self.program.is_empty() { span.sub title=(self.process) { (self.program) } }
            },
        ]
    }
}
