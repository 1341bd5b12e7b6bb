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
/// The answers that allow, as forms send them: value, button, what is said afterwards.
const ALLOWING: [(&str, &str, &str); 3] = [
    ("once", "Allow once", "Allowed once."),
    ("run", "Allow for this run", "Allowed until its run ends."),
    ("always", "Always allow", "Allowed from now on: your policy has a rule for it."),
];

/// `GET /asks`
pub(in crate::dashboard) async fn list(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Answered {
    let query = query(&uri);
    let said = query.get("done").and_then(|done| match done.as_str() {
        "deny" => Some("Denied."),
        done => ALLOWING.iter().find(|(value, ..)| *value == done).map(|(.., said)| *said),
    });
    let note = said.map_or_else(|| html! {}, part::done);
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
    let action = text::path(&["asks", &ask.id]);
    let command = (!ask.agent.ends_with(&ask.command)).then_some(&ask.command);
    html! {
        li.card data-ask=(ask.id) data-count=(ask.count) {
            h3 {
                span.what { (ask.method) } " "
                span.place { (summary.strip_prefix(&ask.method).unwrap_or(&summary).trim_start()) }
            }
            dl.facts.plain {
                div { dt { "Agent" } dd { (ask.agent) @if let Some(command) = command { " (" (command) ")" } } }
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
            // Two forms: Enter in the reason of a denial must not press a button that allows.
            form.row.answers method="post" action=(action) {
                (part::csrf(visitor))
                @for (value, label, _) in ALLOWING {
                    button.quiet[value != "once"] type="submit" name="answer" value=(value) {
                        (label) span.sr { " " (summary) }
                    }
                }
            }
            form.deny method="post" action=(action) {
                (part::csrf(visitor))
                label for=(reason) { "Reason to deny it" span.muted { " (optional, for the agent)" } }
                div.row {
                    input id=(reason) name="reason" type="text" maxlength="500" autocomplete="off";
                    button.danger type="submit" name="answer" value="deny" {
                        "Deny" span.sr { " " (summary) }
                    }
                }
            }
        }
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
