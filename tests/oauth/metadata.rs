//! Endpoints from an issuer's metadata.

use authsome::auth::{Authorization, Error, Fault, Server};
use authsome::provider::OAuth;

use super::fake::{Fake, Reply, oauth, public, run};

/// A definition that knows the issuer alone.
fn issued(issuer: &str) -> Server {
    let oauth = OAuth { issuer: Some(issuer.to_owned()), pkce: true, ..OAuth::default() };
    Server::new(&oauth, None).unwrap()
}

fn metadata(issuer: &str) -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"https://id.example/a",
                "token_endpoint":"https://id.example/t","revocation_endpoint":"https://id.example/r",
                "registration_endpoint":"https://id.example/c",
                "device_authorization_endpoint":"https://id.example/d"}}"#
        ),
    )
}

#[test]
fn what_is_missing_comes_from_the_metadata() {
    let fake = Fake::script([metadata("https://id.example")]);
    let server = run(issued("https://id.example").complete(&fake)).unwrap();
    assert_eq!(
        fake.request(),
        "GET https://id.example/.well-known/oauth-authorization-server\n\
         accept: application/json\n\n"
    );
    assert_eq!(server.token_url(), Some("https://id.example/t"));
    assert!(server.has_device_flow());
    let (url, _) = Authorization::begin(&server, &public(), "http://127.0.0.1/", &[]).unwrap();
    assert!(url.starts_with("https://id.example/a?"), "{url}");
}

#[test]
fn what_the_definition_says_stays() {
    let mut oauth = oauth();
    oauth.issuer = Some("https://id.example".to_owned());
    oauth.token_url = Some("https://id.example/own".to_owned());
    oauth.authorization_url = None;
    let server = Server::new(&oauth, None).unwrap();
    let server = run(server.complete(&Fake::script([metadata("https://id.example")]))).unwrap();
    assert_eq!(server.token_url(), Some("https://id.example/own"));
}

#[test]
fn the_places_are_tried_in_order() {
    let fake = Fake::default();
    let error = run(issued("https://id.example/tenant/1").complete(&fake)).unwrap_err();
    assert_eq!(
        fake.asked(),
        [
            "GET https://id.example/.well-known/oauth-authorization-server/tenant/1",
            "GET https://id.example/.well-known/openid-configuration/tenant/1",
            "GET https://id.example/tenant/1/.well-known/openid-configuration",
        ]
    );
    assert_eq!(error.to_string(), "the OAuth metadata of id.example answered with status 404");
}

#[test]
fn openid_s_place_will_do() {
    let issuer = "https://id.example/tenant/";
    let place = "https://id.example/tenant/.well-known/openid-configuration";
    let fake = Fake::routes([(place, metadata(issuer))]);
    let server = run(issued(issuer).complete(&fake)).unwrap();
    assert_eq!(server.issuer(), Some(issuer));
    assert_eq!(server.token_url(), Some("https://id.example/t"));
}

#[test]
fn metadata_of_another_issuer_is_refused() {
    for found in ["https://evil.example", "https://id.example/", "https://ID.example", ""] {
        let fake = Fake::script([metadata(found)]);
        let error = run(issued("https://id.example").complete(&fake)).unwrap_err();
        assert!(matches!(error, Error::Issuer { .. }), "{error}");
        assert_eq!(error.kind(), Fault::Provider);
    }
    let fake = Fake::script([Reply::json(200, r#"{"token_endpoint":"https://id.example/t"}"#)]);
    let error = run(issued("https://id.example").complete(&fake)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the metadata of the provider is of no issuer, not of https://id.example"
    );
}

#[test]
fn addresses_of_metadata_are_checked_as_those_of_a_definition() {
    for endpoint in ["authorization", "token", "revocation", "registration", "device_authorization"]
    {
        let body = format!(
            r#"{{"issuer":"https://id.example","{endpoint}_endpoint":"http://id.example/x"}}"#
        );
        let fake = Fake::script([Reply::json(200, body)]);
        let error = run(issued("https://id.example").complete(&fake)).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{endpoint}: {error}");
    }
}

#[test]
fn no_answer_ends_the_search() {
    let fake = Fake::silent();
    let error = run(issued("https://id.example").complete(&fake)).unwrap_err();
    assert_eq!(error.kind(), Fault::Network);
    assert_eq!(fake.requests().len(), 1);
}

/// A definition from before issuers were known, whose clients are registered.
fn guessing() -> Server {
    let mut oauth = oauth();
    oauth.registration_endpoint = None;
    Server::new(&oauth, None).unwrap()
}

#[test]
fn a_registration_endpoint_is_looked_for_at_the_authorization_endpoint_s_host() {
    for issuer in ["https://id.example", "https://id.example/"] {
        let fake = Fake::script([metadata(issuer)]);
        let server = run(guessing().complete(&fake)).unwrap();
        assert!(server.can_register());
        assert_eq!(server.issuer(), Some(issuer));
        assert_eq!(server.token_url(), Some("https://id.example/token"));
    }
}

#[test]
fn a_guess_that_fails_leaves_what_there_was() {
    for reply in [metadata("https://evil.example"), Reply::new(404, "text/html", "<p>")] {
        let server = run(guessing().complete(&Fake::script([reply]))).unwrap();
        assert!(!server.can_register());
        assert_eq!(server.issuer(), None);
    }
    assert!(run(guessing().complete(&Fake::silent())).is_err());
}
