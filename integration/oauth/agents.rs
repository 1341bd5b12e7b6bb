//! Agents that do OAuth themselves: they go on working, and see no token.

use serde_json::{Value, json};

use super::stage::{ASK, Stage};

const TOKEN: &str = "https://auth.example.test/token";

#[test]
fn an_agent_that_renews_its_placeholder_gets_a_placeholder() {
    let stage = Stage::connected();
    let script = format!(
        "curl -sS {TOKEN} -d grant_type=refresh_token -d client_id=public -d refresh_token=\"$ACME_TOKEN\""
    );
    let answer: Value = serde_json::from_str(&stage.agent(&script)).unwrap();
    assert!(answer["access_token"].is_string(), "{answer}");
    assert_eq!(answer["token_type"].as_str().unwrap().to_lowercase(), "bearer");
    assert!(answer["expires_in"].as_u64().unwrap() > 0, "{answer}");
    assert_eq!(stage.server.grants("refresh_token"), 0, "the server was asked");
    stage.no_secret_got_out();
}

#[test]
fn what_an_agent_got_for_its_placeholder_works() {
    let stage = Stage::connected();
    let script = format!(
        "token=$(curl -sS {TOKEN} -d grant_type=refresh_token -d client_id=public \
         -d refresh_token=\"$ACME_TOKEN\" | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/'); \
         {ASK} -H \"Authorization: Bearer $token\""
    );
    let answer = stage.agent(&script);
    assert!(answer.ends_with("200"), "{answer}");
    stage.no_secret_got_out();
}

#[test]
fn an_agent_that_logs_in_by_itself_sees_no_token() {
    let stage = Stage::connected();
    let verifier = "a-verifier-that-an-agent-has-made-up-by-itself-0123456789";
    let challenge = challenge(verifier);
    let back = "http://127.0.0.1:9/auth/callback/oauth";
    let url = format!(
        "https://auth.example.test/auth?client_id=public&response_type=code&scope=api:read&state=s\
         &redirect_uri={back}&code_challenge={challenge}&code_challenge_method=S256"
    );
    let redirect = stage.consent(&url);
    let code = redirect.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let script = format!(
        "curl -sS {TOKEN} -d grant_type=authorization_code -d client_id=public -d code=\"$(cat code)\" \
         -d code_verifier={verifier} -d redirect_uri={back}"
    );
    // The agent knows its own code and verifier; only what it is answered matters here.
    let own = stage.scene.user_home().join("code");
    crate::support::write(&own, code.as_bytes());
    let answer = stage.agent(&script);
    std::fs::remove_file(own).unwrap();
    assert_eq!(stage.server.grants("authorization_code"), 2, "{answer}");
    for (secret, kind) in stage.server.secrets() {
        assert!(!answer.contains(&secret), "the agent saw a secret ({kind})");
    }
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["access_token"].is_string(), "{answer}");
}

#[test]
fn an_error_of_the_token_endpoint_reaches_the_agent_as_it_is() {
    let stage = Stage::connected();
    let script = format!(
        "curl -sS {TOKEN} -w '%{{http_code}}' -d grant_type=authorization_code -d client_id=public \
         -d code=nothing -d code_verifier={} -d redirect_uri=http://127.0.0.1:9/auth/callback/oauth",
        "v".repeat(50)
    );
    let answer = stage.agent(&script);
    assert!(answer.ends_with("400") && answer.contains("invalid_grant"), "{answer}");
    assert_eq!(stage.server.stats()["errors"], json!({ "invalid_grant": 1 }));
}

/// `S256` of RFC 7636.
fn challenge(verifier: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use sha2::{Digest as _, Sha256};
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
