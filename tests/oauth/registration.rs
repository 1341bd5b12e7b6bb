//! Dynamic client registration.

use authsome::{
    auth::{Client, Error, Fault, Server, register},
    provider::{ClientAuthentication, OAuth},
};

use super::fake::{Fake, Reply, now, oauth, peculiar, run, scopes, secret, server};

const REDIRECT: &str = "http://127.0.0.1:7998/auth/callback/oauth";

/// A server whose metadata names these methods; `null` for none.
fn supporting(methods: &str) -> Server {
    let metadata = format!(
        r#"{{"issuer":"https://id.example","authorization_endpoint":"https://id.example/a",
            "registration_endpoint":"https://id.example/register",
            "token_endpoint_auth_methods_supported":{methods}}}"#
    );
    let issuer = Some("https://id.example".to_owned());
    let oauth = OAuth { issuer, authorization_url: None, ..oauth() };
    let server = Server::new(&oauth, None).unwrap();
    run(server.complete(&Fake::script([Reply::json(200, metadata)]))).unwrap()
}

fn registered(server: &Server, body: &str) -> (Result<Client, Error>, String) {
    let fake = Fake::script([Reply::json(201, body)]);
    let scopes = scopes(&["a", "b"]);
    (run(register(&fake, server, "authsome", REDIRECT, &scopes, now())), fake.request())
}

fn asked(server: &Server) -> String {
    let (_, request) = registered(server, "{}");
    let document: serde_json::Value =
        serde_json::from_str(request.split_once("\n\n").unwrap().1).unwrap();
    document["token_endpoint_auth_method"].as_str().unwrap().to_owned()
}

#[test]
fn a_client_says_what_it_is() {
    let (client, request) = registered(&supporting(r#"["none"]"#), r#"{"client_id":"id-1"}"#);
    assert_eq!(
        request,
        "POST https://id.example/register\n\
         accept: application/json\n\
         content-type: application/json\n\n\
         {\"client_name\":\"authsome\",\
         \"redirect_uris\":[\"http://127.0.0.1:7998/auth/callback/oauth\"],\
         \"grant_types\":[\"authorization_code\",\"refresh_token\"],\
         \"response_types\":[\"code\"],\
         \"token_endpoint_auth_method\":\"none\",\
         \"application_type\":\"native\",\
         \"scope\":\"a b\"}"
    );
    let client = client.unwrap();
    assert_eq!(client.id, "id-1");
    assert!(client.secret.is_none());
    assert_eq!(client.method, ClientAuthentication::None);
}

#[test]
fn a_public_client_is_preferred_then_basic_then_the_body() {
    for (methods, expected) in [
        (r#"["client_secret_post","client_secret_basic","none"]"#, "none"),
        (r#"["client_secret_post","client_secret_basic"]"#, "client_secret_basic"),
        (r#"["client_secret_post"]"#, "client_secret_post"),
        (r#"["private_key_jwt"]"#, "none"),
        // RFC 8414 §2.
        ("null", "client_secret_basic"),
    ] {
        assert_eq!(asked(&supporting(methods)), expected, "{methods}");
    }
}

#[test]
fn without_metadata_the_definition_s_method_is_asked_for() {
    for (method, expected) in [
        (ClientAuthentication::Body, "client_secret_post"),
        (ClientAuthentication::Basic, "client_secret_basic"),
        (ClientAuthentication::None, "none"),
        (ClientAuthentication::PrivateKeyJwt, "none"),
    ] {
        assert_eq!(asked(&peculiar(|oauth| oauth.authorization_method = method)), expected);
    }
}

#[test]
fn what_the_server_made_of_it_counts() {
    for (body, method, has_secret) in [
        (r#"{"client_id":"i","client_secret":"s"}"#, ClientAuthentication::Body, true),
        (r#"{"client_id":"i"}"#, ClientAuthentication::None, false),
        (
            r#"{"client_id":"i","client_secret":"s","token_endpoint_auth_method":"client_secret_basic"}"#,
            ClientAuthentication::Basic,
            true,
        ),
        (
            r#"{"client_id":"i","client_secret":"s","token_endpoint_auth_method":"none"}"#,
            ClientAuthentication::None,
            false,
        ),
        (
            r#"{"client_id":"i","client_secret":"s","client_secret_expires_at":0}"#,
            ClientAuthentication::Body,
            true,
        ),
        (
            r#"{"client_id":"i","client_secret":"s","client_secret_expires_at":1800000001}"#,
            ClientAuthentication::Body,
            true,
        ),
    ] {
        let client = registered(&server(), body).0.unwrap();
        assert_eq!(client.method, method, "{body}");
        assert_eq!(client.secret.as_ref().map(secret), has_secret.then_some("s"), "{body}");
    }
}

#[test]
fn a_secret_that_was_not_asked_for_is_used_as_the_server_supports() {
    let body = r#"{"client_id":"i","client_secret":"s"}"#;
    let client = registered(&supporting(r#"["none","client_secret_post"]"#), body).0.unwrap();
    assert!(client.secret.is_some());
    assert_eq!(client.method, ClientAuthentication::Body);
}

#[test]
fn a_client_that_is_of_no_use_is_refused() {
    for (body, problem) in [
        ("{}", "no client ID"),
        (r#"{"client_id":""}"#, "no client ID"),
        (r#"{"client_id":"a\u0000"}"#, "an unusable client ID"),
        (
            r#"{"client_id":"i","client_secret":"s","client_secret_expires_at":1800000000}"#,
            "a client that has already expired",
        ),
        (
            r#"{"client_id":"i","token_endpoint_auth_method":"client_secret_basic"}"#,
            "a client without its secret",
        ),
        (
            r#"{"client_id":"i","token_endpoint_auth_method":"tls_client_auth"}"#,
            "a client authentication that was not asked for",
        ),
    ] {
        let error = registered(&server(), body).0.unwrap_err();
        let expected = format!("the registration endpoint of id.example answered with {problem}");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn errors_of_the_rfc_are_told() {
    for code in ["invalid_redirect_uri", "invalid_client_metadata", "unapproved_software_statement"]
    {
        let fake = Fake::script([Reply::json(400, format!(r#"{{"error":"{code}"}}"#))]);
        let error = run(register(&fake, &server(), "x", REDIRECT, &[], now())).unwrap_err();
        assert_eq!(error.kind(), Fault::Client);
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[test]
fn a_redirect_uri_elsewhere_is_no_native_application_s() {
    let fake = Fake::script([Reply::json(201, r#"{"client_id":"i"}"#)]);
    let redirect = "https://relay.example/callback";
    run(register(&fake, &server(), "x", redirect, &[], now())).unwrap();
    assert!(!fake.body().contains("native") && !fake.body().contains("scope"), "{}", fake.body());
}

#[test]
fn a_server_without_registration_is_named() {
    let server = peculiar(|oauth| oauth.registration_endpoint = None);
    assert!(!server.can_register());
    let error = run(register(&Fake::default(), &server, "x", REDIRECT, &[], now())).unwrap_err();
    assert_eq!(error.to_string(), "the provider names no registration endpoint");
}
