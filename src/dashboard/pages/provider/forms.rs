//! The forms that connect a provider: values to enter, and a login to begin.
//!
//! A provider with both has its own kind open and the other one folded away; a browser unfolds it
//! without a script.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::entered::{BASE_URL, Entered, FIELD, Sent};
use crate::{
    dashboard::{
        context::Visitor,
        form::SECRET,
        view::{
            part::{self, Input},
            text,
        },
    },
    provider::{AuthType, Definition, Field, Flow, OAuth},
};

/// The forms a provider has, its own kind first.
pub(super) fn forms(visitor: &Visitor, definition: &Definition, entered: &Entered) -> Markup {
    let key = || key(visitor, definition, entered);
    match (definition.auth_type, &definition.oauth) {
        (_, None) => section("key", "Connect", &key()),
        (AuthType::ApiKey, Some(oauth)) => html! {
            (section("key", "Connect", &key()))
            (folded(
                "Log in instead",
                &login(visitor, definition, oauth, entered),
                entered.sent == Some(Sent::Login),
            ))
        },
        (AuthType::OAuth2, Some(oauth)) => html! {
            (section("login", "Connect", &login(visitor, definition, oauth, entered)))
            (folded("Use a key or token instead", &key(), entered.sent == Some(Sent::Key)))
        },
    }
}

fn section(id: &str, title: &str, form: &Markup) -> Markup {
    html! {
        section aria-labelledby=(id) {
            h2 id=(id) { (title) }
            div.card { (form) }
        }
    }
}

/// The second form: shut, unless it is the one that was sent.
fn folded(title: &str, form: &Markup, open: bool) -> Markup {
    html! {
        details.card.fold open[open] {
            summary { (title) }
            (form)
        }
    }
}

fn key(visitor: &Visitor, definition: &Definition, entered: &Entered) -> Markup {
    let action = text::path(&["providers", &definition.name, "key"]);
    html! {
        @if let Some(hint) = &definition.login_hint { p { (text::linked(&text::sentence(hint))) } }
        form method="post" action=(action) autocomplete="off" {
            (part::csrf(visitor))
            @let (optional, required): (Vec<&Field>, Vec<&Field>) =
                asked(definition).partition(|field| field.optional);
            @for field in required { (input("key", definition, field, true, entered)) }
            (naming("key", entered))
            @for field in optional { (input("key", definition, field, false, entered)) }
            button type="submit" { "Connect" }
        }
    }
}

fn login(visitor: &Visitor, definition: &Definition, oauth: &OAuth, entered: &Entered) -> Markup {
    let action = text::path(&["providers", &definition.name, "login"]);
    let flows = super::flows(definition);
    // What the provider's answer tells, nobody must know beforehand.
    let told = |field: &Field| oauth.settings_from_response.contains_key(&field.name);
    let (optional, required): (Vec<&Field>, Vec<&Field>) = asked(definition)
        .filter(|field| !field.secret)
        .partition(|field| field.optional || told(field));
    let scopes = oauth.scopes.join(" ");
    let scopes_hint = if scopes.is_empty() {
        "Separated by spaces. Left empty, the provider decides.".to_owned()
    } else {
        format!("Separated by spaces. Left empty: {scopes}")
    };
    html! {
        form method="post" action=(action) {
            (part::csrf(visitor))
            @for field in required { (input("login", definition, field, true, entered)) }
            (naming("login", entered))
            @if flows.len() > 1 { (flow_choice(&flows, entered)) }
            (Input {
                id: "scopes", name: "scopes", label: "Scopes",
                value: entered.scopes.as_deref().unwrap_or_default(),
                hint: Some(&scopes_hint), ..Input::default()
            })
            @for field in optional { (input("login", definition, field, false, entered)) }
            button type="submit" { "Log in" }
        }
    }
}

/// The fields somebody is asked for: what is derived from another one is asked of nobody.
fn asked(definition: &Definition) -> impl Iterator<Item = &Field> {
    definition.fields.iter().filter(|field| field.derive.is_none())
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
fn input(
    form: &str,
    definition: &Definition,
    field: &Field,
    required: bool,
    entered: &Entered,
) -> Markup {
    let prefix = if field.secret { SECRET } else { FIELD };
    let none = BTreeMap::new();
    // The field that a definition with a default base URL has of itself.
    let base = (field.name == BASE_URL).then(|| definition.base_url(&none)).flatten();
    let (label, hint) = match base {
        Some(_) => ("Base URL", Some("Only for a server of your own.".to_owned())),
        None => (&*field.label, field.pattern_hint.as_deref().map(text::sentence)),
    };
    html! {
        (Input {
            id: &format!("{form}-{}", field.name),
            name: &format!("{prefix}{}", field.name),
            label,
            value: entered.fields.get(&field.name).map(String::as_str).unwrap_or_default(),
            placeholder: base,
            hint: hint.as_deref(),
            required,
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
            ..Input::default()
        })
        label.choice {
            input type="checkbox" name="replace" value="1" checked[entered.replace];
            "Replace the connection of this name, if there is one"
        }
    }
}
