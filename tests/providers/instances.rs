//! Which host a connection is routed at: its instance of a service, its path on a shared host, and
//! the choice between providers that claim the same.

use std::{collections::BTreeMap, sync::Arc};

use authsome::provider::{Definition, Member, Registry, Route, Routes, lint_all};

use super::{registry, values};

fn member(registry: &Registry, provider: &str, connection: &str, base_url: &str) -> Member {
    let settings = [("base_url", base_url)].into_iter().filter(|(_, value)| !value.is_empty());
    Member {
        definition: Arc::clone(registry.get(provider).unwrap()),
        connection: connection.into(),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

fn routed(routes: &Routes, host: &str, path: &str) -> Option<String> {
    match routes.route(host, path) {
        Route::Provider(claim) => {
            Some(format!("{}/{}", claim.definition.name, claim.connections.join("+")))
        }
        Route::Ambiguous(names) => Some(format!("tie of {}", names.join(" and "))),
        Route::None => None,
    }
}

#[test]
fn two_servers_of_ones_own_and_the_vendors_are_told_apart() {
    let registry = registry();
    let routes = Routes::build(&[
        member(&registry, "github", "public", ""),
        member(&registry, "github", "one", "https://git.one.example"),
        member(&registry, "github", "two", "https://git.two.example:8443/"),
        member(&registry, "github-git", "two", "https://git.two.example"),
        member(&registry, "gitlab", "sub", "https://code.example.com/gitlab"),
        member(&registry, "gitlab", "bad", "http://code.example.org"),
    ]);
    assert_eq!(routes.conflicts(), []);
    assert_eq!(routes.problems().len(), 1);
    for (host, path, expected) in [
        ("api.github.com", "/user", Some("github/public")),
        ("git.one.example", "/api/v3/user", Some("github/one")),
        ("git.one.example", "/owner/repository.git", None),
        ("git.two.example", "/api/graphql", Some("github/two")),
        ("git.two.example", "/owner/repository.git/info/refs", Some("github-git/two")),
        ("code.example.com", "/gitlab/api/v4/user", Some("gitlab/sub")),
        ("code.example.com", "/api/v4/user", None),
        ("gitlab.com", "/api/v4/user", None),
        ("code.example.org", "/api/v4/user", None),
    ] {
        assert_eq!(routed(&routes, host, path).as_deref(), expected, "{host}{path}");
    }
}

#[test]
fn a_base_url_is_checked_settled_and_a_setting() {
    let registry = registry();
    let github = registry.get("github").unwrap();
    let token = format!("ghp_{}", "a".repeat(36));
    let accept = |base: &str| github.accept(values(&[("api_key", &token), ("base_url", base)]));
    let own = accept("https://Git.Example.com/").unwrap();
    assert_eq!(github.settings(&own)["base_url"], "https://git.example.com");
    assert!(github.settings(&accept("https://github.com/").unwrap()).is_empty());
    for base in ["git.example.com", "http://git.example.com", "https://10.0.0.1", "https://a@b.c"] {
        assert!(accept(base).unwrap_err().hint().is_some(), "{base}");
    }
}

#[test]
fn endpoints_are_those_of_the_connections_instance() {
    let registry = registry();
    let at = |base: &str| BTreeMap::from([("base_url".to_owned(), base.to_owned())]);
    let github = registry.get("github").unwrap();
    let oauth = github.oauth_at(&at("https://git.example.com")).unwrap();
    assert_eq!(
        oauth.revocation_url.as_deref(),
        Some("https://git.example.com/api/v3/applications/{client_id}/grant")
    );
    let endpoints = |provider: &str, settings: &BTreeMap<String, String>| {
        let endpoints = registry.get(provider).unwrap().token_endpoints(settings);
        endpoints.into_iter().map(|(host, path)| host + &path).collect::<Vec<_>>()
    };
    let tenant = at("https://login.microsoftonline.com/contoso");
    assert_eq!(
        endpoints("microsoft", &tenant),
        ["login.microsoftonline.com/contoso/oauth2/v2.0/token"]
    );
    assert_eq!(
        endpoints("figma", &BTreeMap::new()),
        ["api.figma.com/v1/oauth/token", "api.figma.com/v1/oauth/refresh"]
    );
    assert_eq!(
        endpoints("x", &BTreeMap::new()),
        ["api.x.com/2/oauth2/token", "api.twitter.com/2/oauth2/token"]
    );
}

#[test]
fn providers_that_share_a_host_are_told_apart_when_all_are_connected() {
    let registry = registry();
    let all = registry.iter().filter(|it| {
        let family = ["google", "microsoft", "atlassian", "jira", "confluence"];
        family.iter().any(|name| it.name.starts_with(name)) && it.name != "atlassian-api-token"
    });
    let members: Vec<_> = all.map(|it| member(&registry, &it.name, "me", "")).collect();
    let routes = Routes::build(&members);
    assert_eq!(routes.conflicts(), []);
    for (host, path, expected) in [
        ("www.googleapis.com", "/calendar/v3/calendars/primary", Some("google-calendar")),
        ("www.googleapis.com", "/drive/v3/files", Some("google-drive")),
        ("www.googleapis.com", "/upload/drive/v3/files", Some("google-drive")),
        ("www.googleapis.com", "/youtube/v3/search", Some("google-youtube")),
        ("www.googleapis.com", "/upload/youtube/v3/videos", Some("google-youtube")),
        ("www.googleapis.com", "/oauth2/v3/userinfo", Some("google")),
        ("gmail.googleapis.com", "/gmail/v1/users/me/messages", Some("google-gmail")),
        ("sheets.googleapis.com", "/v4/spreadsheets/x", Some("google-sheets")),
        ("us-central1-aiplatform.googleapis.com", "/v1/projects", Some("google-vertex-ai")),
        ("generativelanguage.googleapis.com", "/v1beta/models", Some("google-gemini")),
        ("people.googleapis.com", "/v1/people/me", Some("google")),
        ("googleapis.com", "/", None),
        ("evil-googleapis.com", "/", None),
        ("googleapis.com.evil.io", "/", None),
        ("graph.microsoft.com", "/v1.0/me", Some("microsoft")),
        ("graph.microsoft.com", "/v1.0/me/events", Some("microsoft-calendar")),
        ("graph.microsoft.com", "/v1.0/me/sendMail", Some("microsoft-outlook")),
        ("graph.microsoft.com", "/v1.0/sites/root", Some("microsoft-word")),
        ("api.atlassian.com", "/ex/jira/1/rest/api/3/myself", Some("jira")),
        ("api.atlassian.com", "/ex/confluence/1/wiki/api/v2/pages", Some("confluence")),
        ("api.atlassian.com", "/oauth/token/accessible-resources", Some("atlassian")),
    ] {
        let expected = expected.map(|name| format!("{name}/me"));
        assert_eq!(routed(&routes, host, path), expected, "{host}{path}");
    }
}

#[test]
fn alternatives_are_bundled_and_tie_unless_one_is_chosen() {
    let registry = registry();
    for definition in registry.iter() {
        for other in &definition.alternative_to {
            assert!(registry.get(other).is_some(), "{}: {other}", definition.name);
        }
    }
    let routes = Routes::build(&[
        member(&registry, "gitlab", "me", ""),
        member(&registry, "gitlab", "work", "https://git.example.com"),
        member(&registry, "gitlab-pat", "me", ""),
    ]);
    let tie = routed(&routes, "gitlab.com", "/api/v4/user");
    assert_eq!(tie.as_deref(), Some("tie of gitlab and gitlab-pat"));
    // What was chosen is still only the connections that claim this very host.
    let claim = routes.claim_of("gitlab", "gitlab.com", "/api/v4/user").unwrap();
    assert_eq!(claim.connections, ["me".into()]);
    assert!(routes.claim_of("gitlab", "gitlab.com", "/owner/repository.git").is_none());
}

#[test]
fn salesforces_host_comes_from_the_token_response_and_is_salesforces() {
    let registry = registry();
    let salesforce = registry.get("salesforce").unwrap();
    let from = |url: &str| {
        let response = serde_json::json!({ "access_token": "t", "instance_url": url });
        salesforce.settings_from_response(&response)
    };
    let settings = from("https://acme--dev.sandbox.my.salesforce.com");
    assert_eq!(settings["host"], "acme--dev.sandbox.my.salesforce.com");
    let routes = Routes::build(&[Member {
        definition: Arc::clone(salesforce),
        connection: "me".into(),
        settings,
    }]);
    assert!(routes.claims("acme--dev.sandbox.my.salesforce.com"));
    for url in ["https://evil.io", "https://salesforce.com.evil.io", "https://evilsalesforce.com"] {
        assert!(from(url).is_empty(), "{url}");
    }
}

#[test]
fn an_old_file_with_a_base_url_takes_one_from_a_connection() {
    let text = r#"{"name": "r", "display_name": "R", "auth_type": "oauth2", "flow": "dcr_pkce",
        "api_url": "api.r.com",
        "oauth": {"authorization_url": "{base_url}/a", "token_url": "{base_url}/t",
            "base_url": "https://r.com", "pkce": true, "supports_dcr": true},
        "registration": {"registration_endpoint": "{base_url}/register"}}"#;
    let definition = Definition::parse_json(text, "r.json").unwrap();
    assert_eq!(lint_all([&definition]), []);
    let given = values(&[("access_token", "token-1"), ("base_url", "https://eu.r.com")]);
    let settings = definition.settings(&definition.accept(given).unwrap());
    let oauth = definition.oauth_at(&settings).unwrap();
    assert_eq!(oauth.token_url.as_deref(), Some("https://eu.r.com/t"));
    assert_eq!(oauth.registration_endpoint.as_deref(), Some("https://eu.r.com/register"));
    assert_eq!(definition.token_endpoints(&settings), [("eu.r.com".to_owned(), "/t".to_owned())]);
}
