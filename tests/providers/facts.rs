//! What vendors document of their OAuth, written down a second time: a slip in a definition is seen
//! here.

use std::collections::BTreeMap;

use authsome::provider::{Definition, Flow, OAuth, Revocation};

use super::{changes, registry};

/// What a vendor documents of its OAuth: authorization endpoint, token endpoint, client
/// authentication, added parameters, and how a token is revoked.
type Facts = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const GOOGLE: (&str, &str, &str, &str, &str) = (
    "https://accounts.google.com/o/oauth2/v2/auth",
    "https://oauth2.googleapis.com/token",
    "body",
    "access_type=offline&prompt=consent",
    "POST https://oauth2.googleapis.com/revoke none refresh_token form token={token}",
);
const MICROSOFT: (&str, &str, &str, &str, &str) = (
    "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "body",
    "",
    "",
);
const ATLASSIAN: (&str, &str, &str, &str, &str) = (
    "https://auth.atlassian.com/authorize",
    "https://auth.atlassian.com/oauth/token",
    "body",
    "audience=api.atlassian.com&prompt=consent",
    "",
);
const GITHUB: (&str, &str, &str, &str, &str) = (
    "https://github.com/login/oauth/authorize",
    "https://github.com/login/oauth/access_token",
    "body",
    "",
    "DELETE https://api.github.com/applications/{client_id}/grant basic access_token json \
     access_token={token}",
);
const GITLAB: (&str, &str, &str, &str, &str) = (
    "https://gitlab.com/oauth/authorize",
    "https://gitlab.com/oauth/token",
    "body",
    "",
    "RFC 7009 https://gitlab.com/oauth/revoke",
);

const FAMILIES: &[(&str, (&str, &str, &str, &str, &str))] = &[
    ("google", GOOGLE),
    ("google-admin", GOOGLE),
    ("google-analytics", GOOGLE),
    ("google-calendar", GOOGLE),
    ("google-chat", GOOGLE),
    ("google-classroom", GOOGLE),
    ("google-docs", GOOGLE),
    ("google-drive", GOOGLE),
    ("google-forms", GOOGLE),
    ("google-gmail", GOOGLE),
    ("google-meet", GOOGLE),
    ("google-photos", GOOGLE),
    ("google-search-console", GOOGLE),
    ("google-sheets", GOOGLE),
    ("google-slides", GOOGLE),
    ("google-tasks", GOOGLE),
    ("google-vertex-ai", GOOGLE),
    ("google-youtube", GOOGLE),
    ("microsoft", MICROSOFT),
    ("microsoft-calendar", MICROSOFT),
    ("microsoft-outlook", MICROSOFT),
    ("microsoft-word", MICROSOFT),
    ("atlassian", ATLASSIAN),
    ("confluence", ATLASSIAN),
    ("jira", ATLASSIAN),
    ("github", GITHUB),
    ("github-git", GITHUB),
    ("github-mcp", GITHUB),
    ("gitlab", GITLAB),
    ("gitlab-git", GITLAB),
];

const FACTS: &[Facts] = &[
    (
        "airtable",
        "https://airtable.com/oauth2/v1/authorize",
        "https://airtable.com/oauth2/v1/token",
        "basic",
        "",
        "",
    ),
    (
        "asana",
        "https://app.asana.com/-/oauth_authorize",
        "https://app.asana.com/-/oauth_token",
        "body",
        "",
        "RFC 7009 https://app.asana.com/-/oauth_revoke",
    ),
    (
        "bitbucket",
        "https://bitbucket.org/site/oauth2/authorize",
        "https://bitbucket.org/site/oauth2/access_token",
        "basic",
        "",
        "",
    ),
    (
        "clickup",
        "https://app.clickup.com/api",
        "https://api.clickup.com/api/v2/oauth/token",
        "body",
        "",
        "",
    ),
    ("cloudflare-mcp", "", "", "none", "", ""),
    (
        "digitalocean",
        "https://cloud.digitalocean.com/v1/oauth/authorize",
        "https://cloud.digitalocean.com/v1/oauth/token",
        "body",
        "",
        "POST https://cloud.digitalocean.com/v1/oauth/revoke bearer access_token form token={token}",
    ),
    (
        "discord",
        "https://discord.com/oauth2/authorize",
        "https://discord.com/api/oauth2/token",
        "body",
        "",
        "RFC 7009 https://discord.com/api/oauth2/token/revoke",
    ),
    (
        "dropbox",
        "https://www.dropbox.com/oauth2/authorize",
        "https://api.dropboxapi.com/oauth2/token",
        "body",
        "token_access_type=offline",
        "POST https://api.dropboxapi.com/2/auth/token/revoke bearer access_token none",
    ),
    (
        "figma",
        "https://www.figma.com/oauth",
        "https://api.figma.com/v1/oauth/token",
        "basic",
        "",
        "",
    ),
    (
        "hubspot",
        "https://app.hubspot.com/oauth/authorize",
        "https://api.hubapi.com/oauth/2026-03/token",
        "body",
        "",
        "RFC 7009 https://api.hubapi.com/oauth/2026-03/token/revoke",
    ),
    (
        "huggingface",
        "https://huggingface.co/oauth/authorize",
        "https://huggingface.co/oauth/token",
        "body",
        "",
        "",
    ),
    (
        "klaviyo-oauth",
        "https://www.klaviyo.com/oauth/authorize",
        "https://a.klaviyo.com/oauth/token",
        "basic",
        "",
        "RFC 7009 https://a.klaviyo.com/oauth/revoke",
    ),
    (
        "linear",
        "https://linear.app/oauth/authorize",
        "https://api.linear.app/oauth/token",
        "body",
        "",
        "RFC 7009 https://api.linear.app/oauth/revoke",
    ),
    (
        "linear-mcp",
        "https://mcp.linear.app/authorize",
        "https://mcp.linear.app/token",
        "none",
        "",
        "",
    ),
    (
        "notion",
        "https://api.notion.com/v1/oauth/authorize",
        "https://api.notion.com/v1/oauth/token",
        "basic",
        "owner=user",
        "POST https://api.notion.com/v1/oauth/revoke basic access_token json token={token}",
    ),
    (
        "notion-mcp",
        "https://mcp.notion.com/authorize",
        "https://mcp.notion.com/token",
        "none",
        "",
        "RFC 7009 https://mcp.notion.com/token",
    ),
    ("postiz", "", "https://cli-auth.postiz.com/device/token", "body", "", ""),
    (
        "reddit",
        "https://www.reddit.com/api/v1/authorize",
        "https://www.reddit.com/api/v1/access_token",
        "basic",
        "duration=permanent",
        "RFC 7009 https://www.reddit.com/api/v1/revoke_token",
    ),
    (
        "salesforce",
        "https://login.salesforce.com/services/oauth2/authorize",
        "https://login.salesforce.com/services/oauth2/token",
        "body",
        "",
        "POST https://login.salesforce.com/services/oauth2/revoke none refresh_token form \
         token={token}",
    ),
    (
        "sentry",
        "https://sentry.io/oauth/authorize/",
        "https://sentry.io/oauth/token/",
        "body",
        "",
        "",
    ),
    (
        "sentry-mcp",
        "https://mcp.sentry.dev/oauth/authorize",
        "https://mcp.sentry.dev/oauth/token",
        "none",
        "",
        "",
    ),
    (
        "slack",
        "https://slack.com/oauth/v2/authorize",
        "https://slack.com/api/oauth.v2.access",
        "body",
        "",
        "POST https://slack.com/api/auth.revoke bearer access_token none ok",
    ),
    (
        "slack-mcp",
        "https://slack.com/oauth/v2_user/authorize",
        "https://slack.com/api/oauth.v2.user.access",
        "body",
        "",
        "POST https://slack.com/api/auth.revoke bearer access_token none ok",
    ),
    (
        "spotify",
        "https://accounts.spotify.com/authorize",
        "https://accounts.spotify.com/api/token",
        "basic",
        "",
        "",
    ),
    (
        "stripe",
        "https://connect.stripe.com/oauth/authorize",
        "https://connect.stripe.com/oauth/token",
        "body",
        "",
        "",
    ),
    ("stripe-mcp", "", "", "none", "", ""),
    (
        "todoist",
        "https://app.todoist.com/oauth/authorize",
        "https://api.todoist.com/oauth/access_token",
        "body",
        "",
        "POST https://api.todoist.com/api/v1/revoke basic access_token json \
         token={token}&token_type_hint={token_type_hint}",
    ),
    (
        "x",
        "https://x.com/i/oauth2/authorize",
        "https://api.x.com/2/oauth2/token",
        "basic",
        "",
        "RFC 7009 https://api.x.com/2/oauth2/revoke",
    ),
    (
        "zoom",
        "https://zoom.us/oauth/authorize",
        "https://zoom.us/oauth/token",
        "basic",
        "",
        "RFC 7009 https://zoom.us/oauth/revoke",
    ),
];

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
    let mut known: BTreeMap<&str, [&str; 5]> =
        FACTS.iter().map(|(name, a, b, c, d, e)| (*name, [*a, *b, *c, *d, *e])).collect();
    known.extend(FAMILIES.iter().map(|(name, (a, b, c, d, e))| (*name, [*a, *b, *c, *d, *e])));
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
