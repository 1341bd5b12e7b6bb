//! The forms that connect a provider: values to enter, or a login to begin.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::{
    dashboard::{
        context::Visitor,
        form::{Form, SECRET},
        view::{
            part::{self, Input},
            text,
        },
    },
    provider::{AuthType, Definition, Field, Flow, OAuth},
};

/// What the names of inputs for fields that are no secrets begin with.
const FIELD: &str = "field.";

/// What was entered, but for secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct Entered {
    pub(super) connection: Option<String>,
    pub(super) replace: bool,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) flow: Option<String>,
    /// None: the box of scopes was left empty or as it was.
    pub(super) scopes: Option<String>,
    pub(super) base_url: Option<String>,
}

impl Entered {
    /// Reads a form of this page.
    pub(super) fn of(form: &Form) -> Self {
        let text = |name| form.text(name).map(str::to_owned);
        let fields = form.texts(FIELD).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            connection: text("connection"),
            replace: form.has("replace"),
            fields: fields.collect(),
            flow: text("flow"),
            scopes: text("scopes"),
            base_url: text("base_url"),
        }
    }
}

/// The forms a provider has, its own kind first.
pub(super) fn forms(visitor: &Visitor, definition: &Definition, entered: &Entered) -> Markup {
    html! {
        @match (definition.auth_type, &definition.oauth) {
            (AuthType::ApiKey, None) => (key(visitor, definition, entered, "Connect")),
            (AuthType::ApiKey, Some(oauth)) => {
                (key(visitor, definition, entered, "Connect with a key"))
                (login(visitor, definition, oauth, entered, "Or log in"))
            }
            (AuthType::OAuth2, Some(oauth)) => {
                (login(visitor, definition, oauth, entered, "Connect"))
            }
            (AuthType::OAuth2, None) => {
                (part::empty(&html! { "Its definition does not say how to log in." }))
            }
        }
    }
}

fn key(visitor: &Visitor, definition: &Definition, entered: &Entered, title: &str) -> Markup {
    let action = text::path(&["providers", &definition.name, "key"]);
    html! {
        section aria-labelledby="key" {
            h2 #key { (title) }
            div.card {
                @if let Some(hint) = &definition.login_hint { p { (text::linked(hint)) } }
                form method="post" action=(action) autocomplete="off" {
                    (part::csrf(visitor))
                    @for field in definition.fields.iter().filter(|field| field.derive.is_none()) {
                        (input("key", field, entered))
                    }
                    (naming("key", entered))
                    button type="submit" { "Connect" }
                }
            }
        }
    }
}

fn login(
    visitor: &Visitor,
    definition: &Definition,
    oauth: &OAuth,
    entered: &Entered,
    title: &str,
) -> Markup {
    let action = text::path(&["providers", &definition.name, "login"]);
    let flows = super::flows(definition);
    let plain = |field: &&Field| !field.secret && field.derive.is_none();
    let scopes = oauth.scopes.join(" ");
    let scopes_hint = if scopes.is_empty() {
        "Separated by spaces. Left empty, the provider decides.".to_owned()
    } else {
        format!("Separated by spaces. Left empty: {scopes}")
    };
    html! {
        section aria-labelledby="login" {
            h2 #login { (title) }
            div.card {
                @if definition.auth_type == AuthType::OAuth2
                    && let Some(hint) = &definition.login_hint { p { (text::linked(hint)) } }
                form method="post" action=(action) {
                    (part::csrf(visitor))
                    @if let Some(base) = &oauth.base_url {
                        (Input {
                            id: "base_url", name: "base_url", label: "Base URL",
                            value: entered.base_url.as_deref().unwrap_or(base),
                            hint: Some("Another one for a server of your own"),
                            required: true, ..Input::default()
                        })
                    }
                    @for field in definition.fields.iter().filter(plain) {
                        (input("login", field, entered))
                    }
                    (Input {
                        id: "scopes", name: "scopes", label: "Scopes",
                        value: entered.scopes.as_deref().unwrap_or_default(),
                        hint: Some(&scopes_hint), ..Input::default()
                    })
                    @if flows.len() > 1 { (flow_choice(&flows, entered)) }
                    (naming("login", entered))
                    button type="submit" { "Log in" }
                }
            }
        }
    }
}

fn flow_choice(flows: &[Flow], entered: &Entered) -> Markup {
    let chosen = |flow: Flow, first: bool| match entered.flow.as_deref() {
        Some(name) => name == flow.as_str(),
        None => first,
    };
    html! {
        fieldset {
            legend { "How to log in" }
            @for (at, flow) in flows.iter().enumerate() {
                label.choice {
                    input type="radio" name="flow" value=(flow.as_str())
                        checked[chosen(*flow, at == 0)];
                    (described(*flow))
                }
            }
        }
    }
}

fn described(flow: Flow) -> &'static str {
    match flow {
        Flow::Pkce => "In this browser",
        Flow::DeviceCode => "With a code, on any device",
        Flow::DcrPkce => "In this browser, with a client registered on the spot",
        Flow::ClientCredentials => "As an application, with a client's own credentials",
    }
}

/// The input of a field. `form` keeps ids apart where a page has two forms.
fn input(form: &str, field: &Field, entered: &Entered) -> Markup {
    let hint = field.pattern_hint.as_deref().map(text::sentence);
    let prefix = if field.secret { SECRET } else { FIELD };
    html! {
        (Input {
            id: &format!("{form}-{}", field.name),
            name: &format!("{prefix}{}", field.name),
            label: &field.label,
            value: entered.fields.get(&field.name).map(String::as_str).unwrap_or_default(),
            hint: hint.as_deref(),
            required: !field.optional,
            secret: field.secret,
        })
    }
}

/// The connection's name, and whether it may replace one.
fn naming(form: &str, entered: &Entered) -> Markup {
    html! {
        (Input {
            id: &format!("{form}-connection"),
            name: "connection",
            label: "Name of the connection",
            value: entered.connection.as_deref().unwrap_or("default"),
            hint: Some("Letters, digits and . _ - @, at most 64. Tells several accounts apart."),
            required: true,
            secret: false,
        })
        label.choice {
            input type="checkbox" name="replace" value="1" checked[entered.replace];
            "Replace the connection of this name, if there is one"
        }
    }
}
