//! Each way to log in, to the first request of an agent.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stage::{ACME, ASK, PUBLIC, Stage};
use crate::support::text;

#[test]
fn a_person_logs_in_with_a_browser_and_the_agent_has_the_token_put_in() {
    let stage = Stage::bare(&json!({}));
    stage.define("acme", &format!("{ACME}{PUBLIC}"));
    let mut login = stage.login(&["acme"]);
    let page = stage.browse(&login.browser(), &[]);
    assert_eq!(page["pages"][0], "Sign in");
    assert_eq!(page["pages"][1], "Authorize");
    assert!(page["finalUrl"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{page}");
    assert!(page["text"].as_str().unwrap().contains("Connected"), "{page}");

    let done = login.done();

    assert_eq!(done["v"], 1);
    assert_eq!(done["status"], "stored");
    assert_eq!(done["connection"]["provider"], "acme");
    assert_eq!(done["connection"]["connection"], "default");
    assert!(done["connection"]["expires_at"].is_string(), "{done}");
    let me = stage.ask();
    assert_eq!(me["sub"], "ada");
    assert_eq!(me["scope"], "api:read");
    assert_eq!(stage.status("acme/default"), "connected");
    stage.no_secret_got_out();
}

#[test]
fn a_person_who_says_no_is_believed() {
    let stage = Stage::bare(&json!({}));
    stage.define("acme", &format!("{ACME}{PUBLIC}"));
    let mut login = stage.login(&["acme"]);
    stage.browse(&login.browser(), &["--deny"]);
    let ended = login.end();
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("denied"), "{}", ended.stderr);
    assert_eq!(stage.status("acme/default"), "nothing");
}

#[test]
fn a_code_from_a_device_is_typed_into_a_browser() {
    let stage = Stage::bare(&json!({}));
    stage.define("acme", &format!("{ACME}{PUBLIC}"));
    let mut login = stage.login(&["acme", "--flow", "device_code"]);
    let device = login.wait_for("device");
    assert_eq!(device["verification_uri"], "https://auth.example.test/device");
    let code = device["user_code"].as_str().unwrap();
    let complete = device["verification_uri_complete"].as_str().unwrap();
    assert!(complete.contains(code), "{device}");

    let page = stage.browse("https://auth.example.test/device", &["--user-code", code]);

    assert_eq!(page["title"], "Device connected");
    login.done();
    assert_eq!(stage.ask()["scope"], "api:read");
    stage.no_secret_got_out();
}

#[test]
fn a_client_is_registered_where_there_is_none() {
    let stage = Stage::bare(&json!({}));
    stage.define("acme", ACME);
    stage.connect_by_clicking(&["acme", "--flow", "dcr_pkce"]);
    assert_eq!(stage.server.asked("registration"), 1);
    let client = stage.ask()["client"].clone();

    // It is kept: another connection is another login of the same client.
    stage.connect_by_clicking(&["acme", "--flow", "dcr_pkce", "--connection", "second"]);

    assert_eq!(stage.server.asked("registration"), 1);
    assert_eq!(stage.ask()["client"], client);
    stage.no_secret_got_out();
}

#[test]
fn a_client_acts_for_itself() {
    let stage = Stage::bare(&json!({}));
    stage.define("acme", &format!("{ACME}authorization_method = \"basic\"\n"));
    let (id, secret) = stage.server.client("basic");
    let args =
        ["acme", "--flow", "client_credentials", "--client-id", &id, "--client-secret-stdin"];
    stage.login_with(&args, &secret).done();
    assert_eq!(stage.server.asked("authorization"), 0);
    assert_eq!(stage.ask()["client"], id);
    stage.no_secret_got_out();
}

/// One login, one refresh and one logout with a client that authenticates like this.
fn authenticates(client: &str, method: &str) {
    let stage = Stage::bare(&json!({ "auto": true }));
    stage.define("acme", &format!("{ACME}authorization_method = \"{method}\"\n"));
    let (id, secret) = stage.server.client(client);
    let mut args = vec!["acme", "--client-id", &id];
    if !secret.is_empty() {
        args.push("--client-secret-stdin");
    }
    stage.connect_with(&args, &secret);
    assert_eq!(stage.ask()["client"], id);

    stage.server.revoke("AccessToken");
    stage.ask();
    assert_eq!(stage.server.grants("refresh_token"), 1);

    let output = stage.authsome(&["logout", "acme"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for token in stage.server.secrets_of("refresh_token") {
        assert!(!stage.server.active(&token), "a token outlived the logout");
    }
    assert_eq!(stage.server.stats()["errors"], json!({}));
    stage.no_secret_got_out();
}

#[test]
fn a_client_without_a_secret() {
    authenticates("public", "none");
}

#[test]
fn a_client_with_its_secret_in_the_header() {
    authenticates("basic", "basic");
}

#[test]
fn a_client_with_its_secret_in_the_body() {
    authenticates("post", "body");
}

#[test]
fn a_client_that_signs() {
    authenticates("jwt", "private_key_jwt");
}

#[test]
fn a_client_of_ones_own_is_remembered() {
    let stage = Stage::bare(&json!({ "auto": true }));
    stage.define("acme", &format!("{ACME}authorization_method = \"basic\"\n"));
    let (id, secret) = stage.server.client("basic");
    stage.connect_with(&["acme", "--client-id", &id, "--client-secret-stdin"], &secret);

    stage.connect(&["acme", "--force"]);

    assert_eq!(stage.ask()["client"], id);
}

#[test]
fn without_a_client_one_is_told_what_to_register() {
    let stage = Stage::bare(&json!({ "auto": true }));
    let definition =
        ACME.replace("supports_dcr = true", "client_hint = \"Go to the Acme console\"");
    let definition = definition.replace("registration_endpoint", "# registration_endpoint");
    stage.define("acme", &format!("{definition}authorization_method = \"basic\"\n"));
    let ended = stage.login(&["acme"]).end();
    assert_ne!(ended.code, Some(0));
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(all.contains("/auth/callback/oauth"), "{all}");
    assert!(all.contains("Go to the Acme console"), "{all}");
    assert!(all.contains("--client-id"), "{all}");
}

#[test]
fn scopes_are_those_that_were_asked_for() {
    let stage = Stage::new();
    stage.connect(&["acme", "--scopes", "api:read,api:write"]);
    let scope = stage.ask()["scope"].as_str().unwrap().to_owned();
    let mut scopes: Vec<_> = scope.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["api:read", "api:write"]);
}

/// Logs in to the MCP server by its URL alone; a provider of its own is the result.
fn model_context_protocol(format: &str) {
    let stage = Stage::bare(&json!({ "mcpFormat": format, "accessTokenLife": 3600 }));
    let done = stage.connect_by_clicking(&["https://mcp.example.test/mcp"]);
    assert_eq!(stage.server.asked("registration"), 1);
    let ask = "curl -sS -m 20 -w '%{http_code}' https://mcp.example.test/mcp";
    let answer = stage.agent(ask);
    assert!(answer.ends_with("200"), "{answer}");
    let body: Value = serde_json::from_str(answer.trim_end_matches("200")).unwrap();
    assert_eq!(body["known"], true, "{body}");

    // A token for one resource is for no other host: that one is passed through as it is.
    let elsewhere = stage.agent(&ASK.replace("curl ", "curl -k "));
    assert!(elsewhere.ends_with("401"), "{elsewhere}");

    stage.server.config(&json!({ "auto": false }));
    let provider = done["connection"]["provider"].as_str().unwrap();
    assert_eq!(stage.status(&format!("{provider}/default")), "connected");
    if format == "opaque" {
        stage.server.revoke("AccessToken");
        let answer = stage.agent(ask);
        assert!(answer.ends_with("200"), "{answer}");
        assert_eq!(stage.server.grants("refresh_token"), 1);
    }
    stage.no_secret_got_out();
}

#[test]
fn a_server_for_models_says_itself_how_to_log_in() {
    model_context_protocol("opaque");
}

#[test]
fn a_server_for_models_may_give_tokens_that_say_something() {
    model_context_protocol("jwt");
}

#[test]
fn a_login_that_nobody_ends_ends_by_itself() {
    let stage = Stage::new();
    let begin = Instant::now();
    let mut login = stage.login(&["acme", "--timeout", "1"]);
    let url = login.browser();
    let ended = login.end();
    assert!(begin.elapsed() < Duration::from_secs(8));
    assert_ne!(ended.code, Some(0));
    assert_eq!(stage.status("acme/default"), "nothing");

    // Who comes too late changes nothing.
    let late = stage.visit(&url);

    assert_eq!(late.status, 403, "{}", late.body);
    assert_eq!(stage.server.grants("authorization_code"), 0);
}

#[test]
fn two_servers_of_one_provider_are_kept_apart() {
    let stage = Stage::bare(&json!({ "auto": true }));
    let definition = ACME
        .replace("https://auth.example.test", "{base_url}")
        .replace("api.example.test", "one.example.test");
    let base = "base_url = \"https://one.example.test\"\n";
    let instance = "[instance]\nhosts = [\"{base_host}\"]\n";
    stage.define("acme", &format!("{definition}{base}{PUBLIC}{instance}"));
    stage.connect(&["acme"]);
    stage.connect(&["acme", "--connection", "second", "--base-url", "https://two.example.test"]);

    // Each takes only its own tokens.
    for host in ["one", "two"] {
        let answer = stage.agent(&ASK.replace("api.", &format!("{host}.")));
        assert!(answer.ends_with("200"), "{host}: {answer}");
    }
    stage.no_secret_got_out();
}

#[test]
fn where_no_browser_reaches_the_daemon_its_address_is_pasted() {
    let stage = Stage::new();
    let mut login = stage.login(&["acme"]);
    let back = stage.consent(&login.browser());
    login.paste(&back);
    login.done();
    stage.ask();
    stage.no_secret_got_out();
}
