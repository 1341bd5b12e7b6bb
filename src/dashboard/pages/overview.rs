//! The first page: what needs somebody, and what is going on.

use axum::{Extension, extract::State};
use jiff::Timestamp;
use maud::{Markup, html};

use super::{Answered, Known, row, row::Row, runs, shown};
use crate::{
    dashboard::{
        AuditFilter,
        context::App,
        view::{
            layout::{Here, Page},
            part,
            table::Table,
            text,
        },
    },
    protocol::{ConnectionView, ErrorReply, Status},
};

/// Denials shown.
const DENIALS: usize = 5;

/// `GET /`
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
) -> Answered {
    let status = app.of(&visitor).status();
    let problems = app.of(&visitor).problems().await;
    let connections = app.of(&visitor).connections();
    let filter =
        AuditFilter { decision: Some("deny".into()), limit: DENIALS, ..AuditFilter::default() };
    let denials = app.of(&visitor).audit(filter).await;
    let body = html! {
        (super::asks::notice(visitor.waiting))
        (health(&problems))
        (attention(&connections))
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            (runs::table(&status.runs))
        }
        section aria-labelledby="denials" {
            h2 #denials { "Recent denials" }
            @match &denials {
                Err(error) => (part::problem(error)),
                Ok(lines) if lines.is_empty() => {
                    (part::empty(&html! { "Nothing has been denied." }))
                }
                Ok(lines) => {
                    (Table {
                        caption: "The newest denied requests",
                        columns: &row::COLUMNS,
                        rows: lines.iter().map(|line| Row::new(line).cells()).collect(),
                        body: None,
                    })
                    p { a href="/audit?decision=deny" { "All denials" } }
                }
            }
        }
        (facts(&status))
    };
    let page = Page { live: true, ..Page::new(&visitor, Here::Overview, "Overview") };
    shown(page.render(&body))
}

fn health(problems: &Result<Vec<ErrorReply>, ErrorReply>) -> Markup {
    html! {
        section aria-labelledby="health" {
            h2 #health { "Health" }
            @match problems {
                Err(error) => (part::problem(error)),
                Ok(problems) if problems.is_empty() => {
                    div.notice.good { p { "Everything works." } }
                }
                Ok(problems) => @for problem in problems { (part::problem(problem)) }
            }
        }
    }
}

/// Connections that need a login.
fn attention(connections: &Result<Vec<ConnectionView>, ErrorReply>) -> Markup {
    let now = Timestamp::now();
    let broken = |view: &&ConnectionView| {
        view.status != "connected"
            || view.expires_at.as_deref().is_some_and(|time| text::is_past(time, now))
    };
    html! {
        section aria-labelledby="connections" {
            h2 #connections { "Connections" }
            @match connections {
                Err(error) => (part::problem(error)),
                Ok(all) if all.is_empty() => {
                    (part::empty(&html! {
                        "There is no connection yet. "
                        a href="/providers" { "Connect a provider" }
                    }))
                }
                Ok(all) => {
                    @let needed: Vec<_> = all.iter().filter(broken).collect();
                    @if needed.is_empty() {
                        div.notice.good {
                            p {
                                (text::count(all.len(), "connection", "connections"))
                                ", none of which needs a login. "
                                a href="/connections" { "All connections" }
                            }
                        }
                    } @else {
                        div.notice.warn {
                            p { strong { "A new login is needed for:" } }
                            ul {
                                @for view in needed {
                                    li {
                                        a href=(super::connections::again(view)) {
                                            (view.provider) "/" (view.connection)
                                        }
                                        @if let Some(reason) = &view.reason { ": " (reason) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the daemon is.
pub(super) fn facts(status: &Status) -> Markup {
    html! {
        section aria-labelledby="daemon" {
            h2 #daemon { "Daemon" }
            dl.facts {
                div { dt { "Version" } dd { (status.version) } }
                div { dt { "Running for" } dd { (text::duration(status.uptime_seconds)) } }
                div { dt { "Process" } dd { (status.pid) } }
                div { dt { "Master key" } dd { (master_key(&status.master_key)) } }
                @if let Some(origin) = &status.dashboard {
                    div { dt { "Dashboard" } dd { code { (origin) } } }
                }
            }
        }
    }
}

fn master_key(place: &str) -> &str {
    match place {
        "file" => "In a file of yours",
        "keyring" => "In the system's keyring",
        "passphrase" => "In a file of yours, under a passphrase",
        other => other,
    }
}
