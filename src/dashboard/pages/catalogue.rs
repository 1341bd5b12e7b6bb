//! All providers, with a search; and servers that say themselves how to log in.

use std::collections::BTreeMap;

use axum::{Extension, extract::State, http::Uri};
use maud::{Markup, html};

use super::{Answered, Failure, Known, login, shown, to};
use crate::{
    dashboard::{
        context::{App, Visitor, query},
        form::Form,
        view::{
            layout::{Here, Page},
            part::{self, Input, Tone},
            text,
        },
    },
    protocol::login::BeginLogin,
    provider::Definition,
};

/// Hosts shown of one provider.
const HOSTS: usize = 2;

/// `GET /providers?q=`
pub(in crate::dashboard) async fn list(
    State(app): State<App>,
    Extension(visitor): Known,
    uri: Uri,
) -> Answered {
    let mut connected = BTreeMap::<String, usize>::new();
    for view in app.of(&visitor).connections().map_err(Failure::of(&visitor))? {
        *connected.entry(view.provider).or_default() += 1;
    }
    let query = query(&uri);
    let wanted = query.get("q").map(String::as_str).unwrap_or_default();
    let registry = app.of(&visitor).registry();
    let found: Vec<_> = registry.iter().filter(|provider| matches(provider, wanted)).collect();
    let body = html! {
        form.search method="get" action="/providers" role="search" {
            label for="q" { "Search by name or host" }
            div.row {
                input #q name="q" type="search" value=(wanted) autocomplete="off";
                button type="submit" { "Search" }
                @if !wanted.is_empty() { a href="/providers" { "Show all" } }
            }
        }
        p.muted role="status" { (text::count(found.len(), "provider", "providers")) }
        ul.cards {
            @for provider in found {
                (card(provider, connected.get(&provider.name).copied().unwrap_or_default()))
            }
        }
        (server(&visitor))
    };
    shown(Page::new(&visitor, Here::Providers, "Providers").render(&body))
}

/// Has the provider all the words in its names or hosts?
fn matches(provider: &Definition, wanted: &str) -> bool {
    let mut text = format!("{} {}", provider.name, provider.display_name);
    for host in &provider.hosts {
        text.push(' ');
        text.push_str(&host.to_string());
    }
    let text = text.to_lowercase();
    wanted.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

fn card(provider: &Definition, connections: usize) -> Markup {
    html! {
        li.card {
            h2 { a href=(text::path(&["providers", &provider.name])) { (provider.display_name) } }
            p.muted { code { (provider.name) } }
            p.hosts {
                @for host in provider.hosts.iter().take(HOSTS) { span { (host.to_string()) } }
                @if provider.hosts.len() > HOSTS {
                    span { "and " (provider.hosts.len() - HOSTS) " more" }
                }
            }
            @if connections > 0 {
                p {
                    (part::badge(Tone::Good, "Connected"))
                    @if connections > 1 { span.muted { " " (connections) " connections" } }
                }
            }
        }
    }
}

/// A server without a definition (RFC 9728).
fn server(visitor: &Visitor) -> Markup {
    html! {
        section aria-labelledby="server" {
            h2 #server { "Another server" }
            div.card {
                p {
                    "A server that says itself how to log in, such as an MCP server, needs no "
                    "definition: its address is enough."
                }
                form method="post" action="/servers" {
                    (part::csrf(visitor))
                    (Input {
                        id: "url", name: "url", label: "Address of the server", required: true,
                        hint: Some("For example https://mcp.example.com/mcp"), ..Input::default()
                    })
                    (Input {
                        id: "connection", name: "connection", label: "Name of the connection",
                        value: "default", required: true, ..Input::default()
                    })
                    button type="submit" { "Connect" }
                }
            }
        }
    }
}

/// `POST /servers`
pub(in crate::dashboard) async fn begin(
    State(app): State<App>,
    Extension(visitor): Known,
    Extension(form): Extension<Form>,
) -> Answered {
    let begin = BeginLogin {
        provider: form.text("url").unwrap_or_default().to_owned(),
        connection: form.text("connection").unwrap_or("default").to_owned(),
        ..BeginLogin::default()
    };
    let view = app.of(&visitor).begin_login(begin).await.map_err(Failure::of(&visitor))?;
    to(&login::page(&view.id))
}
