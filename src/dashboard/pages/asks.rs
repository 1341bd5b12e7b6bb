//! Requests that wait for a person, and their answers.
//!
//! With JavaScript the list follows what happens and counts the time down; without it, the page loads
//! again every few seconds. Either way an answer is an ordinary form.

use axum::{
    Extension,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::IntoResponse as _,
};
use maud::{Markup, html};

use super::{Answered, Failure, Known, shown, to};
use crate::{
    dashboard::{
        context::{App, Visitor, query},
        form::Form,
        view::{
            layout::{Here, Page},
            part, text,
        },
    },
    protocol::{
        ErrorKind, ErrorReply,
        asks::{AskAnswer, AskView},
    },
};

/// Seconds between two looks of a browser without JavaScript.
const REFRESH: u32 = 5;
/// The answers, as forms send them: value, button, what is said afterwards.
const ANSWERS: [(&str, &str, &str); 4] = [
    ("once", "Allow once", "Allowed once."),
    ("run", "Allow for this run", "Allowed until its run ends."),
    ("always", "Always allow", "Allowed from now on: your policy has a rule for it."),
    ("deny", "Deny", "Denied."),
];

/// `GET /asks`
pub(in crate::dashboard) async fn list(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Answered {
    let query = query(&uri);
    let done = query.get("done");
    let done = ANSWERS.iter().find(|(value, ..)| done.is_some_and(|done| done == value));
    let note = done.map_or_else(|| html! {}, |(.., said)| part::done(said));
    shown(page(&app, &visitor, &note))
}

/// `POST /asks/{id}`
pub(in crate::dashboard) async fn answer(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Answered {
    let value = form.text("answer").unwrap_or_default();
    let answer = match value {
        "once" => AskAnswer::Once,
        "run" => AskAnswer::Run,
        "always" => AskAnswer::Always,
        "deny" => AskAnswer::Deny { reason: form.text("reason").map(str::to_owned) },
        _ => {
            let message = "the form says neither yes nor no".to_owned();
            let error = ErrorReply { kind: ErrorKind::Usage, message, hint: None };
            return Err(Failure::of(&visitor)(error));
        }
    };
    match app.backend.answer_ask(&id, answer).await {
        Ok(_) => to(&format!("/asks?done={value}")),
        // Nothing has gone wrong: somebody was faster, or nobody waits any more. The others do.
        Err(error) => {
            let markup = page(&app, &visitor, &part::alert(&error));
            let status = super::status(error.kind);
            let status = if status.is_server_error() { StatusCode::CONFLICT } else { status };
            Ok((status, markup).into_response())
        }
    }
}

fn page(app: &App, visitor: &Visitor, note: &Markup) -> Markup {
    let asks = app.backend.asks();
    let body = html! {
        (note)
        p.muted {
            "Your policy holds these requests until you have decided. Nothing is sent meanwhile, and "
            "without an answer they are refused when their time is over."
        }
        section #asks aria-labelledby="waiting" {
            h2 #waiting { "Waiting" }
            // The script says here what comes and goes.
            p.sr #said role="status" {}
            ul.asks #cards { @for ask in &asks { (card(visitor, ask)) } }
            div.until { (part::empty(&html! { "Nothing is waiting." })) }
        }
    };
    let page =
        Page { live: true, refresh: Some(REFRESH), ..Page::new(visitor, Here::Asks, "Approvals") };
    page.render(&body)
}

/// One request, and the answers to it.
fn card(visitor: &Visitor, ask: &AskView) -> Markup {
    let summary = ask.summary();
    let reason = format!("reason-{}", ask.id);
    html! {
        li.card data-ask=(ask.id) data-count=(ask.count) {
            h3 {
                span.what { (ask.method) } " "
                span.place { (summary.strip_prefix(&ask.method).unwrap_or(&summary).trim_start()) }
            }
            dl.facts.plain {
                div { dt { "Agent" } dd { (ask.agent) " " span.muted { "(" (ask.command) ")" } } }
                @if let Some(connection) = &ask.connection {
                    div { dt { "Connection" } dd { (connection) } }
                }
                @if let Some(policy) = &ask.policy { div { dt { "Policy" } dd { code { (policy) } } } }
                @if let Some(reason) = &ask.reason { div { dt { "Because" } dd { (reason) } } }
                @if ask.count > 1 { div { dt { "Waiting" } dd { (ask.count) " equal requests" } } }
                div { dt { "Run" } dd { a href=(text::path(&["runs", &ask.run])) { code { (ask.run) } } } }
                div {
                    dt { "Time left" }
                    dd {
                        time data-until=(ask.expires_at) datetime=(ask.expires_at) {
                            (text::duration(ask.seconds_left))
                        }
                    }
                }
            }
            form method="post" action=(text::path(&["asks", &ask.id])) {
                (part::csrf(visitor))
                div.field {
                    label for=(reason) {
                        "Reason, if you deny it" span.muted { " (optional, for the agent)" }
                    }
                    input id=(reason) name="reason" type="text" maxlength="500" autocomplete="off";
                }
                div.row.answers {
                    @for (value, label, _) in ANSWERS {
                        button.(class(value)) type="submit" name="answer" value=(value) {
                            (label) span.sr { ": " (summary) }
                        }
                    }
                }
            }
        }
    }
}

/// How a button looks.
fn class(value: &str) -> &'static str {
    match value {
        "once" => "first",
        "deny" => "danger",
        _ => "quiet",
    }
}

/// What the overview says.
pub(super) fn notice(waiting: usize) -> Markup {
    html! {
        @if waiting > 0 {
            div.notice.warn {
                p {
                    strong { (text::count(waiting, "request waits", "requests wait")) " for you. " }
                    a href="/asks" { "Approve or deny" }
                }
            }
        }
    }
}
