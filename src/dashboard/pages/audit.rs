//! The audit log, with filters.

use std::collections::BTreeMap;

use axum::{Extension, extract::State, http::Uri};
use maud::{Markup, html};
use serde_json::Value;

use super::{Answered, Failure, Known, row, row::Row, shown};
use crate::dashboard::{
    AuditFilter, AuditLine,
    context::{App, query},
    view::{
        layout::{Here, Page},
        part,
        table::Table,
        text,
    },
};

/// How many records may be asked for; the first unless said otherwise.
const LIMITS: [usize; 3] = [100, 500, 2000];
const KINDS: [(&str, &str); 7] = [
    ("", "Everything"),
    ("request", "Requests"),
    ("splice", "Passed-through connections"),
    ("connection", "Connections without a request"),
    ("ask", "Approvals and denials by a person"),
    ("run", "Runs"),
    ("vault", "Uses of the vault"),
];
const DECISIONS: [(&str, &str); 3] = [("", "Any"), ("allow", "Allowed"), ("deny", "Denied")];

/// `GET /audit`
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Answered {
    let query = query(&uri);
    let text = |name: &str| query.get(name).cloned();
    let known = |name: &str, values: &[(&str, &str)]| {
        text(name).filter(|value| values.iter().any(|(known, _)| known == value))
    };
    let limit = text("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.filter(|limit| LIMITS.contains(limit)).unwrap_or(LIMITS[0]);
    let filter = AuditFilter {
        kind: known("kind", &KINDS),
        decision: known("decision", &DECISIONS),
        host: text("host"),
        connection: text("connection"),
        run: text("run"),
        before: text("before").and_then(|number| number.parse().ok()),
        limit,
    };
    let before = filter.before;
    let (here, title) = if filter.decision.as_deref() == Some("deny") {
        (Here::Denials, "Denials")
    } else {
        (Here::Audit, "Audit")
    };
    let lines = app.of(&visitor).audit(filter).await.map_err(Failure::of(&visitor))?;
    let body = html! {
        (filters(&query, limit))
        @if lines.is_empty() {
            (part::empty(&html! { "No record of the log is like that." }))
        } @else {
            p.muted role="status" {
                (text::count(lines.len(), "record", "records")) ", newest first."
            }
            (Table {
                caption: "Records of the audit log",
                columns: &row::COLUMNS,
                rows: lines.iter().map(|line| Row::new(line).cells()).collect(),
                body: None,
            })
        }
        nav.pages aria-label="More records" {
            @if before.is_some() { a href=(page(&query, None)) { "Newest" } }
            @if lines.len() >= limit && let Some(last) = lines.last().and_then(number) {
                a href=(page(&query, Some(last))) { "Older" }
            }
        }
    };
    shown(Page::new(&visitor, here, title).render(&body))
}

/// A record's number in the log.
fn number(line: &AuditLine) -> Option<u64> {
    line.get("seq").and_then(Value::as_u64)
}

/// The same filters, for what was recorded before.
fn page(query: &BTreeMap<String, String>, before: Option<u64>) -> String {
    const PATH: &str = "/audit?";
    let mut page = form_urlencoded::Serializer::for_suffix(PATH.to_owned(), PATH.len());
    page.extend_pairs(query.iter().filter(|(name, _)| *name != "before"));
    if let Some(number) = before {
        page.append_pair("before", &number.to_string());
    }
    page.finish()
}

fn filters(query: &BTreeMap<String, String>, limit: usize) -> Markup {
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let limits = LIMITS.map(|limit| limit.to_string());
    let limits: Vec<_> = limits.iter().map(|limit| (limit.as_str(), limit.as_str())).collect();
    html! {
        form.filters method="get" action="/audit" {
            (select("kind", "What", &KINDS, value("kind")))
            (select("decision", "Decision", &DECISIONS, value("decision")))
            (input("host", "Host contains", value("host")))
            (input("connection", "Connection", value("connection")))
            (input("run", "Run", value("run")))
            (select("limit", "At most", &limits, &limit.to_string()))
            div.row {
                button type="submit" { "Filter" }
                a href="/audit" { "Clear" }
            }
        }
    }
}

fn input(name: &str, label: &str, value: &str) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type="text" value=(value) autocomplete="off"
                autocapitalize="none" spellcheck="false";
        }
    }
}

fn select(name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == chosen] { (text) }
                }
            }
        }
    }
}
