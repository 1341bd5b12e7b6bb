//! The bundled OAuth definitions, against what their vendors document.

use std::collections::BTreeMap;

use authsome::provider::{Definition, Flow, OAuth, Revocation};

use super::{
    changes,
    facts::{FACTS, FAMILIES, Facts},
    registry,
};

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A definition's OAuth part, told as [`Facts`] tells it.
fn told(definition: &Definition) -> [String; 5] {
    let oauth = definition.oauth_at(&BTreeMap::new()).unwrap();
    let revocation = &oauth.revocation;
    let standard = Revocation::default();
    let url = oauth.revocation_url.clone().unwrap_or_default();
    let same = serde_json::to_value(revocation).unwrap() == serde_json::to_value(standard).unwrap();
    let revocation = match url.as_str() {
        "" => String::new(),
        _ if same => format!("RFC 7009 {url}"),
        _ => {
            let parts = [
                revocation.method.clone(),
                url,
                word(revocation.auth),
                word(revocation.token),
                word(revocation.body),
                pairs(&revocation.params),
                revocation.ok.clone().unwrap_or_default(),
            ];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }
    };
    [
        oauth.authorization_url.unwrap_or_default(),
        oauth.token_url.unwrap_or_default(),
        word(oauth.authorization_method),
        pairs(&oauth.authorization_params),
        revocation,
    ]
}

#[test]
fn every_oauth_provider_has_what_its_vendor_documents() {
    let registry = registry();
    let known: BTreeMap<&str, Facts> = FACTS.iter().chain(FAMILIES).copied().collect();
    for (name, facts) in &known {
        let definition = registry.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(told(definition), *facts, "{name}");
    }
    let named = |definition: &Definition| known.contains_key(definition.name.as_str());
    let unknown: Vec<_> = registry
        .iter()
        .filter(|definition| definition.oauth.is_some() && !named(definition))
        .map(|definition| definition.name.clone())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn refresh_tokens_are_asked_for_where_they_are_not_given_unasked() {
    let registry = registry();
    for (name, scope) in [
        ("atlassian", "offline_access"),
        ("confluence", "offline_access"),
        ("jira", "offline_access"),
        ("microsoft", "offline_access"),
        ("microsoft-calendar", "offline_access"),
        ("microsoft-outlook", "offline_access"),
        ("microsoft-word", "offline_access"),
        ("salesforce", "refresh_token"),
        ("x", "offline.access"),
    ] {
        let oauth = registry.get(name).unwrap().oauth.as_ref().unwrap();
        assert!(oauth.scopes.iter().any(|given| given == scope), "{name}");
    }
}

#[test]
fn flows_are_those_that_the_vendor_has() {
    let registry = registry();
    let with = |test: fn(&OAuth) -> bool| {
        let all = registry.iter().filter(|it| it.oauth.as_ref().is_some_and(test));
        all.map(|definition| definition.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        with(|oauth| oauth.supports_device_code),
        [
            "github",
            "github-git",
            "github-mcp",
            "gitlab",
            "gitlab-git",
            "google",
            "google-drive",
            "google-youtube",
            "huggingface",
            "microsoft",
            "microsoft-calendar",
            "microsoft-outlook",
            "microsoft-word",
            "postiz",
            "zoom",
        ]
    );
    let registering = ["cloudflare-mcp", "linear-mcp", "notion-mcp", "sentry-mcp", "stripe-mcp"];
    assert_eq!(with(|oauth| oauth.supports_dcr), registering);
    assert_eq!(with(|oauth| oauth.flow == Flow::DcrPkce), registering);
    assert_eq!(with(|oauth| oauth.flow == Flow::DeviceCode), ["postiz"]);
    assert_eq!(
        with(|oauth| !oauth.pkce),
        [
            "bitbucket",
            "clickup",
            "digitalocean",
            "discord",
            "hubspot",
            "notion",
            "postiz",
            "reddit",
            "slack",
            "stripe"
        ]
    );
}

#[test]
fn peculiarities_of_single_vendors_are_kept() {
    let registry = registry();
    let oauth = |name: &str| registry.get(name).unwrap().oauth.clone().unwrap();
    for (name, separator) in [("slack", ","), ("linear", ","), ("todoist", ","), ("google", " ")] {
        assert_eq!(oauth(name).scope_separator, separator, "{name}");
    }
    let slack = oauth("slack");
    assert_eq!(slack.scope_param, "user_scope");
    assert_eq!(slack.token_response["access_token"], "authed_user.access_token");
    let notion = oauth("notion");
    assert_eq!(word(notion.token_request), "json");
    assert_eq!(pairs(&notion.token_headers), "Notion-Version=2025-09-03");
    assert_eq!(word(oauth("postiz").device_token_request), "json");
    let refresh = oauth("figma").refresh_url;
    assert_eq!(refresh.as_deref(), Some("https://api.figma.com/v1/oauth/refresh"));
    for (name, resource) in [
        ("notion-mcp", "https://mcp.notion.com/mcp"),
        ("linear-mcp", "https://mcp.linear.app/mcp"),
        ("sentry-mcp", "https://mcp.sentry.dev/mcp"),
        ("stripe-mcp", "https://mcp.stripe.com"),
    ] {
        assert_eq!(oauth(name).resource.as_deref(), Some(resource), "{name}");
    }
}

#[test]
fn a_login_becomes_the_header_that_the_vendor_documents() {
    let bearer: &[&str] = &["-authorization", "authorization: Bearer T"];
    for (provider, field) in [
        ("github", "api_key"),
        ("airtable", "api_key"),
        ("digitalocean", "api_key"),
        ("google-drive", "access_token"),
        ("slack", "access_token"),
        ("linear", "access_token"),
        ("clickup", "access_token"),
        ("sentry-mcp", "api_key"),
    ] {
        let registry = registry();
        assert_eq!(registry.get(provider).unwrap().token_field().unwrap().name, field);
        assert_eq!(changes(provider, &[(field, "T")]), bearer, "{provider}");
    }
    let figma = changes("figma", &[("access_token", "T")]);
    assert_eq!(figma, ["-x-figma-token", "-authorization", "authorization: Bearer T"]);
    assert_eq!(changes("linear", &[("api_key", "K")]), ["-authorization", "authorization: K"]);
}
