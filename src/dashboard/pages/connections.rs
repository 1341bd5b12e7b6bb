//! What is connected, and how a connection is removed.

use axum::{
    Extension,
    extract::{Path, State},
    http::Uri,
};
use jiff::Timestamp;
use maud::{Markup, html};

use super::{Answered, Failure, Known, shown, to};
use crate::{
    dashboard::{
        context::{App, Visitor, query},
        view::{
            layout::{Here, Page},
            part::{self, Tone},
            table::Table,
            text,
        },
    },
    protocol::{ConnectionView, login::Removed},
};

const COLUMNS: [&str; 6] = ["Connection", "Status", "Default", "Expires", "Last used", "Actions"];

/// `GET /connections`
pub(in crate::dashboard) async fn list(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Answered {
    let connections = app.of(&visitor).connections().map_err(Failure::of(&visitor))?;
    let notice = match query(&uri).get("done").map(String::as_str) {
        Some("connected") => Some("The connection is stored."),
        Some("default") => Some("The default connection is another one now."),
        _ => None,
    };
    let now = Timestamp::now();
    let body = html! {
        @if let Some(notice) = notice { (part::done(notice)) }
        p.actions { a.button href="/providers" { "Connect a provider" } }
        @if connections.is_empty() {
            (part::empty(&html! {
                "There is no connection yet. Connect a provider, and agents can use it without "
                "ever holding its credential."
            }))
        } @else {
            (Table {
                caption: "All connections",
                columns: &COLUMNS,
                rows: connections.iter().map(|view| cells(&visitor, view, now)).collect(),
                body: None,
            })
        }
    };
    shown(Page::new(&visitor, Here::Connections, "Connections").render(&body))
}

fn cells(visitor: &Visitor, view: &ConnectionView, now: Timestamp) -> Vec<Markup> {
    let name = format!("{}/{}", view.provider, view.connection);
    vec![
        html! {
            span.name {
                a href=(text::path(&["providers", &view.provider])) { (view.provider) }
                "/" wbr; (view.connection)
            }
            @for (field, value) in &view.fields {
                span.sub { (field) ": " (value) }
            }
            @for (field, source) in &view.sources {
                span.sub { (field) " from " (source) }
            }
            @if !view.scopes.is_empty() { span.sub { "Scopes: " (view.scopes.join(" ")) } }
        },
        html! {
            (badge(view, now))
            @if let Some(reason) = &view.reason { span.sub { (text::sentence(reason)) } }
        },
        html! { @if view.default { "Yes" } @else { span.muted { "No" } } },
        html! {
            @match &view.expires_at {
                Some(time) => (text::time(time)),
                None => span.muted { "Never" },
            }
        },
        html! {
            @match &view.last_used_at {
                Some(time) => (text::time(time)),
                None => span.muted { "Not since daemon start" },
            }
        },
        html! {
            div.row {
                a href=(again(view)) { "Log in again" span.sr { " to " (name) } }
                @if !view.default {
                    form method="post" action=(own(view, "default")) {
                        (part::csrf(visitor))
                        button.link type="submit" {
                            "Make default" span.sr { ": " (name) }
                        }
                    }
                }
                a.danger href=(own(view, "disconnect")) { "Disconnect" span.sr { " " (name) } }
            }
        },
    ]
}

/// How a connection is, in a word.
pub(super) fn badge(view: &ConnectionView, now: Timestamp) -> Markup {
    let expired = view.expires_at.as_deref().is_some_and(|time| text::is_past(time, now));
    match view.status.as_str() {
        "connected" if expired => part::badge(Tone::Warn, "Expired"),
        "connected" => part::badge(Tone::Good, "Connected"),
        "needs_login" => part::badge(Tone::Warn, "Needs login"),
        "source_failed" => part::badge(Tone::Bad, "No value"),
        other => part::badge(Tone::Bad, other),
    }
}

/// Why it needs a login, and what it may do.
pub(super) fn details(view: &ConnectionView) -> Markup {
    html! {
        @if let Some(reason) = &view.reason { span.sub { (text::sentence(reason)) } }
        @if !view.scopes.is_empty() { span.sub { "Scopes: " (view.scopes.join(" ")) } }
    }
}

/// Where a connection gets a new credential.
pub(super) fn again(view: &ConnectionView) -> String {
    let page = text::path(&["providers", &view.provider]);
    format!("{page}?connection={}&replace=1", text::encode(&view.connection))
}

fn own(view: &ConnectionView, action: &str) -> String {
    text::path(&["connections", &view.provider, &view.connection, action])
}

/// `POST /connections/{provider}/{connection}/default`
pub(in crate::dashboard) async fn default(
    State(app): State<App>,
    Extension(visitor): Known,
    Path((provider, connection)): Path<(String, String)>,
) -> Answered {
    let set = app.of(&visitor).set_default(&provider, &connection).await;
    set.map_err(Failure::of(&visitor))?;
    to("/connections?done=default")
}

/// `GET /connections/{provider}/{connection}/disconnect`
pub(in crate::dashboard) async fn confirm(
    State(app): State<App>,
    Extension(visitor): Known,
    Path((provider, connection)): Path<(String, String)>,
) -> Answered {
    let connections = app.of(&visitor).connections().map_err(Failure::of(&visitor))?;
    let view = connections
        .iter()
        .find(|view| view.provider == provider && view.connection == connection)
        .ok_or_else(|| Failure::missing(&visitor, "connection"))?;
    let body = html! {
        div.card {
            p {
                "This deletes the credential of " strong { (provider) "/" (connection) }
                " and, where the provider can do that, revokes it there. Runs that use it get "
                "errors from now on. It cannot be undone."
            }
            form.row method="post" action=(own(view, "disconnect")) {
                (part::csrf(&visitor))
                button.danger type="submit" { "Disconnect " (provider) "/" (connection) }
                a href="/connections" { "Keep it" }
            }
        }
    };
    shown(Page::new(&visitor, Here::Connections, "Disconnect?").render(&body))
}

/// `POST /connections/{provider}/{connection}/disconnect`
pub(in crate::dashboard) async fn disconnect(
    State(app): State<App>,
    Extension(visitor): Known,
    Path((provider, connection)): Path<(String, String)>,
) -> Answered {
    let removed = app.of(&visitor).disconnect(&provider, &connection).await;
    let removed = removed.map_err(Failure::of(&visitor))?;
    let body = html! {
        (outcome(&removed))
        p { a href="/connections" { "All connections" } }
    };
    shown(Page::new(&visitor, Here::Connections, "Disconnected").render(&body))
}

fn outcome(removed: &Removed) -> Markup {
    let name = format!("{}/{}", removed.connection.provider, removed.connection.connection);
    html! {
        @match removed.remote.as_str() {
            "revoked" => (part::done(&format!("{name} is deleted, and revoked at the provider."))),
            "failed" => {
                div.notice.warn role="status" {
                    p { (name) " is deleted here, but the provider did not revoke it." }
                    @if let Some(problem) = &removed.problem { p { (text::sentence(problem)) } }
                    p.hint { "Revoke it on the provider's own pages." }
                }
            }
            _ => {
                div.notice.good role="status" {
                    p { (name) " is deleted." }
                    p.hint {
                        "The provider has no way to revoke it from here. If it may be known to "
                        "others, revoke it on the provider's own pages."
                    }
                }
            }
        }
    }
}
