//! Servers and browsers that do what they should not: a sentence that says so, nothing stored, nothing
//! told.

use serde_json::{Value, json};

use super::stage::{ACME, PUBLIC, Stage};

/// Logs in to `acme` with this spoilt; it must fail, with this in its message.
fn refused(stage: &Stage, fault: &Value, expected: &[&str]) {
    stage.server.reset();
    stage.server.faults(&json!([fault]));
    let mut login = stage.login(&["acme"]);
    let arrived = stage.visit(&login.browser());
    let ended = login.end();
    assert_ne!(ended.code, Some(0), "{fault}: {}", ended.stdout);
    let error: Value = serde_json::from_str(ended.stderr.trim())
        .unwrap_or_else(|_| panic!("{fault}: no JSON on standard error: {}", ended.stderr));
    let message = error.to_string();
    for part in expected {
        assert!(message.contains(part), "{fault}: {message}");
    }
    assert!(arrived.body.to_lowercase().contains("<html"), "{fault}: {}", arrived.body);
    assert_eq!(stage.status("acme/default"), "nothing", "{fault}");
}

#[test]
fn every_error_of_a_token_endpoint_is_named() {
    let stage = Stage::new();
    let errors = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
    ];
    for error in errors {
        let fault = json!({
            "endpoint": "token", "kind": "error", "error": error, "description": "says why",
            "times": -1,
        });
        refused(&stage, &fault, &[error, "says why"]);
    }
    stage.no_secret_got_out();
}

#[test]
fn an_answer_that_is_none_is_named() {
    let stage = Stage::new();
    let html = json!({ "content-type": "text/html" });
    let page = "<html><title>Sign in to the hotel's network</title>";
    let cases = [
        (json!({ "kind": "status", "status": 200, "body": page, "headers": html }), "web page"),
        (json!({ "kind": "status", "status": 502, "body": page, "headers": html }), "502"),
        (json!({ "kind": "status", "status": 500, "body": "{}" }), "500"),
        (json!({ "kind": "status", "status": 200, "body": "" }), "auth.example.test"),
        (
            json!({ "kind": "status", "status": 200, "body": "{\"access_token\":" }),
            "auth.example.test",
        ),
        (json!({ "kind": "status", "status": 200, "body": "[]" }), "auth.example.test"),
        (json!({ "kind": "status", "status": 200, "body": "\u{0}\u{1}" }), "auth.example.test"),
        (
            json!({ "kind": "status", "status": 307, "headers": { "location": "https://evil.example.test/x" } }),
            "evil.example.test",
        ),
        (json!({ "kind": "drop" }), "auth.example.test"),
        (json!({ "kind": "drop_after" }), "auth.example.test"),
        (json!({ "kind": "oversize", "bytes": 10_000_000 }), "auth.example.test"),
        (json!({ "kind": "oversize", "bytes": 10_000_000, "chunked": true }), "auth.example.test"),
        (json!({ "kind": "patch", "members": { "access_token": null } }), "access token"),
        (json!({ "kind": "patch", "members": { "access_token": "" } }), "access token"),
        (json!({ "kind": "patch", "members": { "access_token": "has\nlines" } }), "access token"),
        (json!({ "kind": "patch", "members": { "token_type": "mac" } }), "bearer token"),
        (json!({ "kind": "patch", "members": { "token_type": "DPoP" } }), "bearer token"),
    ];
    for (mut fault, expected) in cases {
        let members = json!({ "endpoint": "token", "times": -1 });
        fault.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        refused(&stage, &fault, &[expected]);
    }
    stage.no_secret_got_out();
}

#[test]
fn a_way_back_that_was_tampered_with_is_named() {
    let stage = Stage::new();
    let issuer = "issuer = \"https://auth.example.test\"\n";
    stage.define("acme", &format!("{ACME}{issuer}{PUBLIC}"));
    let back = |set: Value, remove: Value| json!({ "endpoint": "redirect", "kind": "query", "set": set, "remove": remove });
    // Mix-up of two servers (RFC 9207).
    let fault = back(json!({ "iss": "https://evil.example.test" }), json!([]));
    refused(&stage, &fault, &["evil.example.test"]);
    assert_eq!(stage.server.grants("authorization_code"), 0, "the code went out");
    let errors = [
        ("access_denied", "denied"),
        ("server_error", "server_error"),
        ("invalid_scope", "invalid_scope"),
        ("temporarily_unavailable", "temporarily_unavailable"),
    ];
    for (error, expected) in errors {
        let set = json!({ "error": error, "error_description": "says why" });
        refused(&stage, &back(set, json!(["code"])), &[expected, "says why"]);
    }
    refused(&stage, &back(json!({}), json!(["code"])), &["code"]);
    // Nothing that a page of somebody else's could run.
    let set = json!({ "error": "<script>alert(1)</script>", "error_description": "<b>\u{1b}[31m" });
    refused(&stage, &back(set, json!(["code"])), &[]);
    stage.no_secret_got_out();
}

#[test]
fn a_way_back_for_no_login_changes_nothing() {
    let stage = Stage::new();
    let mut login = stage.login(&["acme"]);
    let back = stage.consent(&login.browser());
    let state = back.split("state=").nth(1).unwrap().split('&').next().unwrap();

    let other = stage.come_back(&back.replace(state, &"x".repeat(state.len())));
    assert_eq!(other.status, 403, "{}", other.body);
    let without = stage.come_back(&back.replace(&format!("state={state}"), "stat=1"));
    assert_eq!(without.status, 403, "{}", without.body);
    assert_eq!(stage.server.grants("authorization_code"), 0);

    // The login is still waiting; what was meant for it is taken once.
    assert_eq!(stage.come_back(&back).status, 200);
    login.done();
    let again = stage.come_back(&back);
    assert_ne!(again.status, 200, "{}", again.body);
    assert_eq!(stage.server.grants("authorization_code"), 1);
    stage.ask();
    stage.no_secret_got_out();
}

#[test]
fn a_device_that_is_told_to_wait_waits() {
    let stage = Stage::new();
    let slow = json!({ "endpoint": "token", "kind": "error", "error": "slow_down" });
    stage.server.faults(&json!([slow]));
    let mut login = stage.login(&["acme", "--flow", "device_code"]);
    let device = login.wait_for("device");
    stage.server.device(device["user_code"].as_str().unwrap(), true);
    login.done();
    stage.ask();
    stage.no_secret_got_out();
}

#[test]
fn a_device_that_gets_nothing_says_why() {
    let stage = Stage::new();
    let fault = |endpoint: &str, error: &str| json!([{ "endpoint": endpoint, "kind": "error", "error": error, "description": "says why", "times": -1 }]);
    let errors = [
        ("access_denied", "denied"),
        ("expired_token", "in time"),
        ("invalid_grant", "invalid_grant"),
        ("invalid_client", "invalid_client"),
    ];
    for (error, expected) in errors {
        stage.server.faults(&fault("token", error));
        let ended = stage.login(&["acme", "--flow", "device_code"]).end();
        assert_ne!(ended.code, Some(0));
        assert!(ended.stderr.contains(expected), "{error}: {}", ended.stderr);
    }
    stage.server.faults(&fault("device_authorization", "unauthorized_client"));
    let ended = stage.login(&["acme", "--flow", "device_code"]).end();
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("unauthorized_client"), "{}", ended.stderr);
    stage.server.faults(&json!([]));

    let mut login = stage.login(&["acme", "--flow", "device_code"]);
    let device = login.wait_for("device");
    stage.server.device(device["user_code"].as_str().unwrap(), false);
    let ended = login.end();
    assert!(ended.stderr.contains("denied"), "{}", ended.stderr);
    assert_eq!(stage.status("acme/default"), "nothing");
    stage.no_secret_got_out();
}

#[test]
fn metadata_of_somebody_else_is_refused() {
    let stage = Stage::bare(&json!({ "auto": true }));
    let evil = "https://evil.example.test";
    let faults = [
        json!({ "endpoint": "discovery", "kind": "patch", "times": -1, "members": { "issuer": evil } }),
        json!({ "endpoint": "discovery", "kind": "patch", "times": -1,
                "members": { "token_endpoint": "http://auth.example.test/token" } }),
        json!({ "endpoint": "discovery", "kind": "status", "times": -1, "status": 200, "body": "<html>",
                "headers": { "content-type": "text/html" } }),
        json!({ "endpoint": "discovery", "kind": "status", "times": -1, "status": 302,
                "headers": { "location": evil } }),
        json!({ "endpoint": "registration", "kind": "error", "times": -1, "error": "invalid_redirect_uri" }),
        json!({ "endpoint": "registration", "kind": "patch", "times": -1, "members": { "client_id": null } }),
        json!({ "endpoint": "resource_metadata", "times": -1, "members": { "resource": evil } }),
        json!({ "endpoint": "resource_metadata", "times": -1, "members": { "authorization_servers": [] } }),
    ];
    for fault in faults {
        stage.server.faults(&json!([fault]));
        let ended = stage.login(&["https://mcp.example.test/mcp"]).end();
        assert_ne!(ended.code, Some(0), "{fault}: {}", ended.stdout);
        assert!(!ended.stdout.contains("\"browser\""), "{fault}: {}", ended.stdout);
        assert!(ended.stderr.contains("\"hint\""), "{fault}: {}", ended.stderr);
    }
    stage.server.faults(&json!([]));
    stage.connect(&["https://mcp.example.test/mcp"]);
    stage.no_secret_got_out();
}

#[test]
fn a_server_that_never_answers_does_not_hold_a_login_for_ever() {
    let stage = Stage::new();
    stage.server.faults(&json!([{ "endpoint": "token", "kind": "hang", "times": -1 }]));
    let mut login = stage.login(&["acme", "--timeout", "3"]);
    let back = stage.consent(&login.browser());
    let begin = std::time::Instant::now();
    let visitor = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| stage.come_back(&back));
        let ended = login.end();
        assert_ne!(ended.code, Some(0), "{}", ended.stdout);
        assert!(begin.elapsed() < std::time::Duration::from_secs(15));
        visitor.join().unwrap()
    });
    assert!(visitor.status > 0);
    assert_eq!(stage.status("acme/default"), "nothing");
}
