//! A login under way: one page that shows the step it is at.
//!
//! With JavaScript the page looks for the next step itself; without it, it loads again every few
//! seconds, but never while there is something to type.

use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};

use super::{Answered, Failure, Known, shown, to};
use crate::{
    dashboard::{
        context::{App, Visitor},
        form::{Form, SECRET},
        view::{
            layout::{Here, Page},
            part::{self, Input},
            text,
        },
    },
    protocol::login::{ClientCredentials, LoginInput, LoginStep, LoginView},
};

/// Seconds between two looks of a browser without JavaScript.
const REFRESH: u32 = 3;

/// Where a login is shown.
pub(super) fn page(id: &str) -> String {
    text::path(&["logins", id])
}

/// `GET /logins/{id}`
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
) -> Answered {
    let view = find(&app, &visitor, &id)?;
    let waits = match &view.step {
        LoginStep::Working | LoginStep::Browser { .. } | LoginStep::Device { .. } => true,
        LoginStep::NeedsClient { .. } | LoginStep::Done { .. } | LoginStep::Failed { .. } => false,
    };
    let body = html! {
        div.card data-revision=[waits.then_some(view.revision)] {
            p.muted { "Connection " strong { (view.provider) "/" (view.connection) } }
            (step(&app, &visitor, &view))
        }
        @if !view.step.is_over() {
            div.row {
                form method="post" action=(own(&view, "cancel")) {
                    (part::csrf(&visitor))
                    button.quiet type="submit" { "Cancel this login" }
                }
                p.muted { "It ends by itself on " (text::time(&view.expires_at)) "." }
            }
        }
    };
    let title = format!("Connect {}", view.display_name);
    let page = Page::new(&visitor, Here::Providers, &title);
    shown(Page { live: waits, refresh: waits.then_some(REFRESH), ..page }.render(&body))
}

fn find(app: &App, visitor: &Visitor, id: &str) -> Result<LoginView, Failure> {
    app.of(visitor).login(id).ok_or_else(|| Failure::missing(visitor, "login"))
}

fn own(view: &LoginView, action: &str) -> String {
    text::path(&["logins", &view.id, action])
}

fn step(app: &App, visitor: &Visitor, view: &LoginView) -> Markup {
    match &view.step {
        LoginStep::Working => html! {
            h2 { "One moment" }
            p role="status" { "authsome is talking to " (view.display_name) "." }
        },
        LoginStep::NeedsClient { redirect_uri, hint, needs_secret } => {
            needs_client(visitor, view, redirect_uri, hint.as_deref(), *needs_secret)
        }
        LoginStep::Browser { url, .. } => html! {
            h2 { "Log in at " (view.display_name) }
            p { "Continue there, and allow the access. This page notices when you are done." }
            p.actions { (onward(url, &format!("Continue to {}", view.display_name))) }
            p.muted {
                "Did the browser not find its way back? "
                a href=(own(view, "address")) { "Paste the address it was led to" }
            }
        },
        LoginStep::Device { user_code, verification_uri, verification_uri_complete } => html! {
            h2 { "Enter this code at " (view.display_name) }
            p.code { (user_code) }
            p.actions {
                (onward(
                    verification_uri_complete.as_deref().unwrap_or(verification_uri),
                    &format!("Continue to {}", view.display_name),
                ))
            }
            p { "Or open " (text::outward(verification_uri, verification_uri)) " on any device." }
        },
        LoginStep::Done { .. } => html! {
            h2 { "Connected" }
            (part::done("The credential is stored. Agents can use it from now on."))
            p { a href="/connections" { "All connections" } }
        },
        LoginStep::Failed { error } => html! {
            h2 { "Not connected" }
            (part::alert(error))
            p { a href=(again(app, visitor, view)) { "Try again" } }
        },
    }
}

/// Where the login was begun: a server without a definition has no page.
fn again(app: &App, visitor: &Visitor, view: &LoginView) -> String {
    match app.of(visitor).registry().get(&view.provider) {
        Some(_) => text::path(&["providers", &view.provider]),
        None => "/providers".to_owned(),
    }
}

/// The way to a provider's page. A link, not a form: see the Content-Security-Policy.
fn onward(url: &str, name: &str) -> Markup {
    html! {
        @if text::is_web(url) {
            a.button href=(url) rel="noopener noreferrer" target="_blank" {
                (name) span.sr { " (opens in a new tab)" }
            }
        } @else {
            "The provider's address is none that a browser should open: " code { (url) }
        }
    }
}

fn needs_client(
    visitor: &Visitor,
    view: &LoginView,
    redirect_uri: &str,
    hint: Option<&str>,
    needs_secret: bool,
) -> Markup {
    let secret = format!("{SECRET}client_secret");
    html! {
        h2 { "Register a client" }
        p { (view.display_name) " wants to know which application logs in. Register one there once." }
        @if let Some(hint) = hint { p { (text::linked(hint)) } }
        p { "Redirect URI to register:" }
        p.copy { code { (redirect_uri) } }
        form method="post" action=(own(view, "client")) autocomplete="off" {
            (part::csrf(visitor))
            (Input {
                id: "client_id", name: "client_id", label: "Client ID", required: true,
                ..Input::default()
            })
            (Input {
                id: "client_secret", name: &secret, label: "Client secret", secret: true,
                required: needs_secret, ..Input::default()
            })
            button type="submit" { "Go on" }
        }
    }
}

/// `POST /logins/{id}/client`
pub(in crate::dashboard) async fn client(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Answered {
    let client = ClientCredentials {
        id: form.text("client_id").unwrap_or_default().to_owned(),
        secret: form.secret("client_secret"),
    };
    give(&app, &visitor, &id, LoginInput::Client { client }).await
}

/// `GET /logins/{id}/address`
pub(in crate::dashboard) async fn address(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
) -> Answered {
    let view = find(&app, &visitor, &id)?;
    let name = format!("{SECRET}url");
    let body = html! {
        div.card {
            p {
                "After the login " (view.display_name) " led the browser to an address on this "
                "machine. If that page did not open, copy its whole address from the address bar."
            }
            form method="post" action=(own(&view, "address")) autocomplete="off" {
                (part::csrf(&visitor))
                (Input {
                    id: "url", name: &name, label: "Address", required: true, secret: true,
                    hint: Some("It holds a code that is worth a password, so it is not shown."),
                    ..Input::default()
                })
                div.row {
                    button type="submit" { "Go on" }
                    a href=(page(&view.id)) { "Back" }
                }
            }
        }
    };
    shown(Page::new(&visitor, Here::Providers, "Paste the address").render(&body))
}

/// `POST /logins/{id}/address`
pub(in crate::dashboard) async fn redirect(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
    Extension(form): Extension<Form>,
) -> Answered {
    match form.secret("url") {
        Some(url) => give(&app, &visitor, &id, LoginInput::Redirect { url }).await,
        None => to(&page(&id)),
    }
}

/// `POST /logins/{id}/cancel`
pub(in crate::dashboard) async fn cancel(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(id): Path<String>,
) -> Answered {
    give(&app, &visitor, &id, LoginInput::Cancel).await
}

async fn give(app: &App, visitor: &Visitor, id: &str, input: LoginInput) -> Answered {
    app.of(visitor).login_input(id, input).await.map_err(Failure::of(visitor))?;
    to(&page(id))
}
