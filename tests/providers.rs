//! The bundled definitions, and definitions as users have them.

mod facts;
mod instances;
mod oauth;

use std::{collections::BTreeMap, sync::Arc};

use authsome::{
    gate::Change,
    provider::{AuthType, Definition, HostPattern, Registry, Slot, Values, lint_all, placeholder},
};
use secrecy::{ExposeSecret, SecretString};

fn registry() -> Registry {
    let (registry, problems) = Registry::load(None);
    assert!(problems.is_empty(), "{problems:?}");
    registry
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

/// A change as text; only tests may look into it.
fn shown(change: &Change) -> String {
    match change {
        Change::RemoveHeader(name) => format!("-{name}"),
        Change::SetHeader(name, value) => {
            assert!(value.is_sensitive(), "{name}");
            format!("{name}: {}", value.to_str().unwrap())
        }
        Change::SetQuery { name, value } => format!("?{name}={}", value.expose_secret()),
        Change::SetCookie { name, value } => format!("{name}={}", value.expose_secret()),
        Change::SetPathSegment { prefix, value } => format!("{prefix}{}", value.expose_secret()),
    }
}

fn changes(provider: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let registry = registry();
    let definition = registry.get(provider).unwrap();
    definition.changes(&values(pairs)).unwrap().iter().map(shown).collect()
}

#[test]
fn every_bundled_definition_is_sound_and_they_do_not_overlap() {
    let registry = registry();
    assert!(registry.iter().count() > 120);
    let findings = lint_all(registry.iter().map(Arc::as_ref));
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn no_bundled_definition_needs_an_expression_for_its_hosts() {
    for definition in registry().iter() {
        for host in &definition.hosts {
            assert!(!matches!(host, HostPattern::Regex(_)), "{}: {host}", definition.name);
        }
    }
}

#[test]
fn every_bundled_placeholder_has_the_shape_of_the_secret() {
    for definition in registry().iter() {
        for field in definition.fields.iter().filter(|field| field.secret) {
            for length in [24, 40, 51, 69, 108] {
                let text = placeholder(field, length, &[9; 32]);
                let name = &definition.name;
                if let Some(pattern) = &field.pattern {
                    assert!(pattern.matches(&text), "{name}: {text}");
                } else {
                    assert!(text.contains("authsome"), "{name}: {text}");
                    assert!(text.len() >= length, "{name}: {text}");
                }
                if let Some((before, _)) =
                    field.placeholder.as_deref().and_then(|s| s.split_once('{'))
                {
                    assert!(text.starts_with(before), "{name}: {text}");
                }
            }
        }
    }
}

#[test]
fn every_bundled_definition_takes_its_own_placeholder_and_hides_it_again() {
    for definition in registry().iter() {
        let mut given = Values::new();
        let mut placeholders = BTreeMap::new();
        for field in definition.fields.iter().filter(|field| field.derive.is_none()) {
            let text = match field.name.as_str() {
                _ if field.secret => placeholder(field, 48, &[3; 32]),
                _ if field.optional => continue,
                "host" => "acme.my.salesforce.com".to_owned(),
                _ => "acme".to_owned(),
            };
            given.insert(field.name.clone(), SecretString::from(text.as_str()));
            placeholders.insert(field.name.clone(), placeholder(field, text.len(), &[4; 32]));
        }
        let accepted = definition.accept(given).unwrap_or_else(|error| panic!("{error}"));
        let pairs = definition.scrub_pairs(&accepted, &placeholders).unwrap();
        assert!(!pairs.is_empty(), "{}", definition.name);
        for (secret, stand_in) in pairs {
            assert_eq!(secret.expose_secret().len(), stand_in.len(), "{}", definition.name);
        }
    }
}

#[test]
fn well_known_providers_get_exactly_what_they_document() {
    let key: &[(&str, &str)] = &[("api_key", "KEY")];
    let cases: &[(&str, &[&str])] = &[
        ("anthropic", &["-x-api-key", "-authorization", "x-api-key: KEY"]),
        ("openai", &["-authorization", "authorization: Bearer KEY"]),
        ("github", &["-authorization", "authorization: Bearer KEY"]),
        ("github-git", &["-authorization", "authorization: Basic eC1hY2Nlc3MtdG9rZW46S0VZ"]),
        ("gitlab-pat", &["-private-token", "-authorization", "-job-token", "private-token: KEY"]),
        (
            "google-gemini",
            &["-x-goog-api-key", "-authorization", "x-goog-api-key: KEY", "?key=KEY"],
        ),
        ("ashby", &["-authorization", "authorization: Basic S0VZOg=="]),
        ("lemlist", &["-authorization", "authorization: Basic OktFWQ=="]),
        ("apollo", &["-x-api-key", "-authorization", "x-api-key: KEY"]),
        ("brave-search", &["-x-subscription-token", "-authorization", "x-subscription-token: KEY"]),
        ("klaviyo", &["-authorization", "authorization: Klaviyo-API-Key KEY"]),
        ("pagerduty", &["-authorization", "authorization: Token token=KEY"]),
        ("deepgram", &["-authorization", "authorization: Token KEY"]),
        ("assemblyai", &["-authorization", "authorization: KEY"]),
        ("clickup", &["-authorization", "authorization: KEY"]),
        ("figma", &["-x-figma-token", "-authorization", "x-figma-token: KEY"]),
        ("discord-bot", &["-authorization", "authorization: Bot KEY"]),
        ("pypi", &["-authorization", "authorization: Basic X190b2tlbl9fOktFWQ=="]),
        ("semrush", &["?key=KEY"]),
        ("serpapi", &["?api_key=KEY"]),
        ("telegram-bot", &["/botKEY", "/file/botKEY"]),
    ];
    for (provider, expected) in cases {
        assert_eq!(changes(provider, key), *expected, "{provider}");
    }
}

#[test]
fn two_part_credentials_are_put_together() {
    assert_eq!(
        changes("twilio", &[("account_sid", "AC1"), ("auth_token", "t")]),
        ["-authorization", "authorization: Basic QUMxOnQ="]
    );
    assert_eq!(
        changes("atlassian-api-token", &[("site", "acme"), ("email", "a@b.c"), ("api_token", "t")]),
        ["-authorization", "authorization: Basic YUBiLmM6dA=="]
    );
    assert_eq!(
        changes("datadog", &[("api_key", "A"), ("app_key", "B")]),
        [
            "-dd-api-key",
            "-authorization",
            "-dd-application-key",
            "dd-api-key: A",
            "dd-application-key: B"
        ]
    );
}

#[test]
fn an_optional_part_may_be_left_out_and_the_agents_own_still_goes() {
    assert_eq!(
        changes("datadog", &[("api_key", "A")]),
        ["-dd-api-key", "-authorization", "-dd-application-key", "dd-api-key: A"]
    );
}

#[test]
fn mailchimps_host_comes_from_the_key() {
    let registry = registry();
    let definition = registry.get("mailchimp").unwrap();
    let key = format!("{}-us21", "0".repeat(32));
    let accepted = definition.accept(values(&[("api_key", &key)])).unwrap();
    assert_eq!(definition.settings(&accepted)["dc"], "us21");
}

#[test]
fn errors_name_the_line_and_the_mend() {
    let head = "name = \"x\"\ndisplay_name = \"X\"\nauth_type = \"api_key\"\n";
    let cases = [
        ("host = [\"a.com\"]\n", 4, "rename `host`"),
        ("hosts = [\"https://a.com/v1\"]\n", 4, "write `a.com`"),
        (
            "hosts = [\"a.com\"]\n[[fields]]\nname = \"k\"\npatern = \"x\"\n",
            7,
            "did you mean `pattern`?",
        ),
        ("hosts = [\"a.com\"]\n[[inject]]\nkind = \"bearrer\"\n", 6, "did you mean `bearer`?"),
        (
            "hosts = [\"a.com\"]\n[[inject]]\nkind = \"header\"\nname = \"x\"\ntemplate = \"{api_kye}\"\n",
            8,
            "did you mean `api_key`?",
        ),
        (
            "hosts = [\"{shop}.a.com\"]\n[[fields]]\n[[fields]]\nname = \"shop\"\n",
            4,
            "secret = false",
        ),
    ];
    for (tail, line, mend) in cases {
        let error = Definition::parse_toml(&format!("{head}{tail}"), "x.toml").unwrap_err();
        assert_eq!(error.line(), Some(line), "{error}");
        assert!(error.to_string().starts_with(&format!("x.toml:{line}: ")), "{error}");
        assert!(error.hint().unwrap_or_default().contains(mend), "{error}: {:?}", error.hint());
    }
}

#[test]
fn text_that_is_no_toml_or_json_is_refused_with_its_line() {
    let toml = Definition::parse_toml("name = \"x\"\nhosts = [\n", "x.toml").unwrap_err();
    assert!(toml.line().is_some_and(|line| line >= 2), "{toml}");
    let json = Definition::parse_json("{\n  \"name\": \"x\",\n  oops\n}", "x.json").unwrap_err();
    assert_eq!(json.line(), Some(3), "{json}");
}

#[test]
fn a_definition_reads_back_from_what_it_prints() {
    for definition in registry().iter() {
        let text = serde_json::to_string(definition.as_ref()).unwrap();
        let again = Definition::parse_json(&text, "again.json").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
}

#[test]
fn files_of_the_python_product_are_read_in_all_their_spellings() {
    let files = [
        r#"{"name": "acme", "display_name": "Acme", "auth_type": "api_key", "flow": "api_key",
            "host_url": "https://api.acme.com:443/v1/", "docs": "https://d",
            "api_key": {"header_name": "X-Key", "header_prefix": ""},
            "export": {"env": {"api_key": "ACME_KEY"}}}"#,
        r#"{"schema_version": 1, "name": "acme", "display_name": "Acme", "auth_type": "api_key",
            "flow": "api_key", "api_url": "api.acme.com/v1", "docs_url": "https://d",
            "api_key": {"header_name": "X-Key", "header_prefix": null},
            "export": {"ACME_KEY": "API_TOKEN", "ACME_URL": "BASE_URL"}, "metadata": {"a": 1}}"#,
        r#"{// version 7
            "name": "acme", "display_name": "Acme", "type": "app", "auth_type": "api_key",
            "flow": "api_key", "api_url": ["api.acme.com/v1"], "docs_url": "https://d", /* both */
            "api_key": {"header_name": "X-Key", "header_prefix": "", "env_var": "ACME_KEY",},}"#,
    ];
    for file in files {
        let definition =
            Definition::parse_json(file, "acme.json").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(definition.hosts[0].to_string(), "api.acme.com");
        assert_eq!(definition.path_prefix.as_ref().unwrap().to_string(), "/v1");
        assert_eq!(definition.docs_url.as_deref(), Some("https://d"));
        assert_eq!(definition.fields[0].env, ["ACME_KEY"]);
        let set = definition.changes(&values(&[("api_key", "k")])).unwrap();
        assert_eq!(set.iter().map(shown).collect::<Vec<_>>(), ["-x-key", "x-key: k"]);
    }
}

#[test]
fn an_old_api_key_file_without_details_is_a_bearer() {
    let text = r#"{"name": "a", "display_name": "A", "auth_type": "api_key", "flow": "api_key",
        "api_url": "regex:^api\\.a\\.com$", "api_key": {"key_pattern": "k-[a-z]+"}}"#;
    let definition = Definition::parse_json(text, "a.json").unwrap();
    assert!(matches!(definition.inject[0].slot, Slot::Bearer { .. }));
    assert_eq!(definition.fields[0].pattern.as_ref().unwrap().as_str(), "k-[a-z]+");
    assert!(matches!(definition.hosts[0], HostPattern::Regex(_)));
}

#[test]
fn an_old_oauth_file_keeps_its_oauth_part() {
    let text = r#"{"name": "r", "display_name": "R", "auth_type": "oauth2", "flow": "device_code",
        "api_url": "oauth.r.com", "export": {"R_TOKEN": "ACCESS_TOKEN"},
        "oauth": {"authorization_url": "{base_url}/a", "token_url": "https://r.com/t",
            "supports_device_flow": true, "scopes": ["x"], "base_url": "https://r.com",
            "authorization_params": {"duration": "permanent"}, "authorization_method": "basic"},
        "registration": {"registration_endpoint": "https://r.com/register"}}"#;
    let definition = Definition::parse_json(text, "r.json").unwrap();
    assert_eq!(definition.auth_type, AuthType::OAuth2);
    assert_eq!(definition.fields[0].env, ["R_TOKEN"]);
    let oauth = serde_json::to_value(definition.oauth.unwrap()).unwrap();
    assert_eq!(oauth["flow"], "device_code");
    assert_eq!(oauth["supports_device_code"], true);
    assert_eq!(oauth["authorization_params"]["duration"], "permanent");
    assert_eq!(oauth["authorization_method"], "basic");
    assert_eq!(oauth["registration_endpoint"], "https://r.com/register");
}

#[test]
fn browser_sessions_and_mixed_formats_are_refused() {
    let browser =
        r#"{"name": "b", "display_name": "B", "auth_type": "browser", "flow": "browser"}"#;
    assert!(Definition::parse_json(browser, "b.json").unwrap_err().hint().is_some());
    let mixed = r#"{"name": "m", "display_name": "M", "auth_type": "api_key", "flow": "api_key",
        "hosts": ["a.com"]}"#;
    assert!(Definition::parse_json(mixed, "m.json").is_err());
}

#[test]
fn a_users_file_overrides_by_name_and_a_broken_one_harms_no_other() {
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        use std::io::Write as _;
        std::fs::File::create(home.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let own = "name = \"openai\"\ndisplay_name = \"Ours\"\nauth_type = \"api_key\"\nhosts = [\"ai.acme.com\"]\n";
    put("openai.toml", own);
    put("twice.toml", own);
    put("broken.json", "{\n  \"name\": 7\n}");
    put("notes.txt", "not read");
    let (registry, problems) = Registry::load(Some(home.path()));
    assert_eq!(registry.get("openai").unwrap().display_name, "Ours");
    assert!(registry.file("openai").unwrap().ends_with("openai.toml"));
    assert!(registry.get("anthropic").is_some());
    let said: Vec<String> = problems.iter().map(|problem| problem.error.to_string()).collect();
    assert_eq!(problems.len(), 2, "{said:?}");
    assert!(said[0].contains("broken.json:2: `name` must be a string"), "{said:?}");
    assert!(said[1].contains("twice.toml"), "{said:?}");
}

#[test]
fn a_directory_that_is_not_there_is_an_empty_one() {
    let home = tempfile::tempdir().unwrap();
    let (_, problems) = Registry::load(Some(&home.path().join("providers")));
    assert!(problems.is_empty());
}

#[test]
fn a_mistyped_provider_is_guessed() {
    assert_eq!(registry().closest("antropic"), Some("anthropic"));
    assert_eq!(registry().closest("zzzzzzzz"), None);
}
