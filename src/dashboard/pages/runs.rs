//! Open runs, and what they send while one looks.

use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};

use super::{Answered, Known, row, row::Row, shown};
use crate::{
    dashboard::{
        AuditFilter,
        context::{App, Visitor},
        view::{
            layout::{Here, Page},
            part,
            table::Table,
            text,
        },
    },
    protocol::RunView,
};

/// Requests shown before the live ones.
const RECENT: usize = 50;

/// `GET /runs`
pub(in crate::dashboard) async fn list(
    State(app): State<App>,
    Extension(visitor): Known,
) -> Answered {
    let body = html! {
        (table(&app.of(&visitor).status().runs))
        (requests(&app, &visitor, None).await)
    };
    let page = Page { live: true, ..Page::new(&visitor, Here::Runs, "Runs") };
    shown(page.render(&body))
}

/// `GET /runs/{id}`. A run that has ended has its requests still.
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
) -> Answered {
    let runs = app.of(&visitor).status().runs;
    let run = runs.iter().find(|run| run.id == id);
    let body = html! {
        dl.facts {
            div { dt { "Id" } dd { code { (id) } } }
            @match run {
                Some(run) => {
                    div { dt { "Command" } dd { code { (run.command) } } }
                    div { dt { "Agent" } dd { code { (run.agent) } } }
                    div { dt { "Open for" } dd { (text::duration(run.seconds)) } }
                    div { dt { "Requests" } dd { (run.requests) } }
                    @if !run.published.is_empty() {
                        div { dt { "Published" } dd { (published(run)) } }
                    }
                }
                None => div { dt { "State" } dd { "Not open" } },
            }
        }
        p { a href="/runs" { "All runs" } }
        (requests(&app, &visitor, Some(&id)).await)
    };
    let title = run.map_or_else(|| "Run".to_owned(), |run| format!("Run of {}", run.command));
    let page = Page { live: true, ..Page::new(&visitor, Here::Runs, &title) };
    shown(page.render(&body))
}

/// The agent's ports on this machine. No links: what a click opens shares cookies with this page.
fn published(run: &RunView) -> Markup {
    html! {
        @for (index, port) in run.published.iter().enumerate() {
            @if index > 0 { ", " }
            code { "localhost:" (port.host_port) }
            @if port.port != port.host_port { " (the agent's port " (port.port) ")" }
        }
    }
}

/// The open runs.
pub(super) fn table(runs: &[RunView]) -> Markup {
    let cells = |run: &RunView| {
        vec![
            html! { a href=(text::path(&["runs", &run.id])) { code { (run.command) } } },
            html! { (text::duration(run.seconds)) },
            html! { (run.requests) },
            html! { code { (run.id) } },
        ]
    };
    html! {
        @if runs.is_empty() {
            (part::empty(&html! { "No run is open. " code { "authsome run -- COMMAND" } " opens one." }))
        } @else {
            (Table {
                caption: "Open runs",
                columns: &["Command", "Open for", "Requests", "Id"],
                rows: runs.iter().map(cells).collect(),
                body: None,
            })
        }
    }
}

/// The newest requests. The script adds those that come.
async fn requests(app: &App, visitor: &Visitor, run: Option<&str>) -> Markup {
    let filter =
        AuditFilter { run: run.map(str::to_owned), limit: RECENT, ..AuditFilter::default() };
    let mut lines = app.of(visitor).audit(filter).await;
    if let Ok(lines) = &mut lines {
        lines.retain(row::is_traffic);
    }
    html! {
        section #live aria-labelledby="requests" data-run=[run] {
            h2 #requests { "Requests" }
            div.row.bar {
                // The script fills this in; without it the page says what it is.
                p #state role="status" { "The newest requests. Load the page again for newer ones." }
                button #pause type="button" hidden { "Pause" }
            }
            @match &lines {
                Err(error) => (part::problem(error)),
                Ok(lines) => {
                    (Table {
                        caption: "Newest first",
                        columns: &row::COLUMNS,
                        rows: lines.iter().map(|line| Row::new(line).cells()).collect(),
                        body: Some("rows"),
                    })
                    // In the table's place for as long as it has no row.
                    div.empty.until { p { "Nothing was sent yet." } }
                }
            }
        }
    }
}
