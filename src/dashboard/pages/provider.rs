//! One provider: what is known of it, and the forms that connect it.

mod entered;
mod forms;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::Uri,
    response::IntoResponse as _,
};
use jiff::Timestamp;
use maud::html;

use self::{
    entered::{BASE_URL, Entered, Sent},
    forms::forms,
};
use super::{Answered, Failure, Known, connections, login, shown, status, to};
use crate::{
    dashboard::{
        context::{App, Visitor, query},
        form::Form,
        view::{
            layout::{Here, Page},
            part, text,
        },
    },
    protocol::{ConnectionView, ErrorReply, Secret, login::BeginLogin},
    provider::{AuthType, Definition, Flow},
};

/// `GET /providers/{provider}`
pub(in crate::dashboard) async fn show(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(provider): Path<String>,
    uri: Uri,
) -> Answered {
    let definition = &*defined(&app, &visitor, &provider)?;
    let query = query(&uri);
    let entered = Entered {
        connection: query.get("connection").cloned(),
        replace: query.contains_key("replace"),
        ..Entered::default()
    };
    shown(page(&app, &visitor, definition, &entered, None))
}

fn page(
    app: &App,
    visitor: &Visitor,
    definition: &Definition,
    entered: &Entered,
    error: Option<&ErrorReply>,
) -> maud::Markup {
    let existing = app.of(visitor).connections().unwrap_or_default();
    let existing: Vec<_> =
        existing.iter().filter(|view| view.provider == definition.name).collect();
    let body = html! {
        @if let Some(error) = error { (part::alert(error)) }
        dl.facts {
            div { dt { "Name" } dd { code { (definition.name) } } }
            div { dt { "Credential" } dd { (credential(definition)) } }
            div {
                dt { "Hosts" }
                dd {
                    @if definition.hosts.is_empty() { "None" }
                    @for host in &definition.hosts { span.line { code { (host.to_string()) } } }
                    @if let Some(prefix) = &definition.path_prefix {
                        span.line.muted { "Paths below " (prefix.to_string()) }
                    }
                }
            }
            @if let Some(url) = &definition.docs_url {
                div { dt { "Documentation" } dd { (text::outward(url, url)) } }
            }
        }
        @if !existing.is_empty() { (connected(&existing)) }
        (forms(visitor, definition, entered))
    };
    Page::new(visitor, Here::Providers, &definition.display_name).render(&body)
}

/// The provider's connections, each with how it is and what it may do.
fn connected(existing: &[&ConnectionView]) -> maud::Markup {
    let now = Timestamp::now();
    html! {
        section aria-labelledby="connections" {
            h2 #connections { "Connections" }
            ul.card.lines {
                @for view in existing {
                    li {
                        div.row {
                            a href="/connections" { (view.connection) }
                            (connections::badge(view, now))
                            @if view.default { span.muted { "Default" } }
                        }
                        (connections::details(view))
                    }
                }
            }
        }
    }
}

fn credential(definition: &Definition) -> &'static str {
    match (definition.auth_type, definition.oauth.is_some()) {
        (AuthType::ApiKey, false) => "Values that you enter",
        (AuthType::ApiKey, true) => "Values that you enter, or a login",
        (AuthType::OAuth2, true) => "A login, or a key or token that you enter",
        (AuthType::OAuth2, false) => "A token that you enter",
    }
}

/// The flows a login may use, the provider's own first.
pub(super) fn flows(definition: &Definition) -> Vec<Flow> {
    let Some(oauth) = &definition.oauth else { return Vec::new() };
    let mut flows = vec![oauth.flow];
    for (flow, known) in [
        (Flow::Pkce, oauth.authorization_url.is_some()),
        (Flow::DeviceCode, oauth.supports_device_code),
        (Flow::DcrPkce, oauth.supports_dcr),
    ] {
        if known && !flows.contains(&flow) {
            flows.push(flow);
        }
    }
    flows
}

/// The definition a path names.
fn defined(app: &App, visitor: &Visitor, provider: &str) -> Result<Arc<Definition>, Failure> {
    let registry = app.of(visitor).registry();
    registry.get(provider).cloned().ok_or_else(|| Failure::missing(visitor, "provider"))
}

/// `POST /providers/{provider}/key`
pub(in crate::dashboard) async fn put(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(provider): Path<String>,
    Extension(form): Extension<Form>,
) -> Answered {
    let definition = &*defined(&app, &visitor, &provider)?;
    let entered = Entered::of(&form, Sent::Key);
    let fields = definition.fields.iter().filter_map(|field| {
        let value = if field.secret {
            form.secret(&field.name)?
        } else {
            Secret(entered.fields.get(&field.name)?.as_str().into())
        };
        Some((field.name.clone(), value))
    });
    let (connection, replace) = (entered.connection(), entered.replace);
    let stored = app.of(&visitor).put(&provider, connection, fields.collect(), replace).await;
    match stored {
        Ok(_) => to("/connections?done=connected"),
        Err(error) => failed(&app, &visitor, definition, &entered, &error),
    }
}

/// `POST /providers/{provider}/login`
pub(in crate::dashboard) async fn begin(
    State(app): State<App>,
    Extension(visitor): Known,
    Path(provider): Path<String>,
    Extension(form): Extension<Form>,
) -> Answered {
    let definition = &*defined(&app, &visitor, &provider)?;
    let entered = Entered::of(&form, Sent::Login);
    let mut fields = entered.fields.clone();
    let base_url = fields.remove(BASE_URL);
    let begin = BeginLogin {
        provider,
        connection: entered.connection().to_owned(),
        flow: entered.flow.clone(),
        scopes: entered.scopes(),
        base_url,
        replace: entered.replace,
        fields,
        ..BeginLogin::default()
    };
    match app.of(&visitor).begin_login(begin).await {
        Ok(view) => to(&login::page(&view.id)),
        Err(error) => failed(&app, &visitor, definition, &entered, &error),
    }
}

/// The form again, with what is wrong and what was entered, but for secrets.
fn failed(
    app: &App,
    visitor: &Visitor,
    definition: &Definition,
    entered: &Entered,
    error: &ErrorReply,
) -> Answered {
    Ok((status(error.kind), page(app, visitor, definition, entered, Some(error))).into_response())
}
