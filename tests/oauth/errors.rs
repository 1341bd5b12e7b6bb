//! Errors of the token endpoint: what they are, whose fault, and how much of the answer they show.

use std::time::Duration;

use authsome::auth::{Error, Fault, HttpError, client_credentials};

use super::fake::{Fake, Reply, client, now, public, run, server, text};
use authsome::provider::ClientAuthentication;

fn refused(reply: Reply) -> Error {
    run(client_credentials(&Fake::script([reply]), &server(), &public(), &[], now())).unwrap_err()
}

#[test]
fn each_error_of_the_rfc_has_its_culprit() {
    for (code, fault) in [
        ("invalid_request", Fault::Provider),
        ("invalid_client", Fault::Client),
        ("invalid_grant", Fault::Grant),
        ("unauthorized_client", Fault::Client),
        ("unsupported_grant_type", Fault::Provider),
        ("invalid_scope", Fault::Client),
        // Of other RFCs and of providers.
        ("invalid_target", Fault::Provider),
        ("redirect_uri_mismatch", Fault::Client),
        ("bad_verification_code", Fault::Grant),
        ("incorrect_client_credentials", Fault::Client),
        ("access_denied", Fault::User),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"because"}}"#);
        let error = refused(Reply::json(400, body));
        assert_eq!(error.kind(), fault, "{code}");
        assert!(error.to_string().ends_with(": because"), "{error}");
        assert!(!error.is_transient(), "{code}");
        assert_eq!(error.hint().is_some(), fault != Fault::Provider, "{code}");
    }
}

#[test]
fn the_text_names_the_endpoint_its_host_and_the_code() {
    let error = refused(Reply::json(400, r#"{"error":"invalid_grant"}"#));
    assert_eq!(error.to_string(), "the token endpoint of id.example refused with `invalid_grant`");
}

#[test]
fn an_error_with_status_200_is_one() {
    for body in [
        r#"{"error":"invalid_grant","error_description":"x"}"#,
        r#"{"ok":false,"error":"invalid_grant"}"#,
        r#"{"access_token":"a","error":"invalid_grant"}"#,
        r#"{"error":{"code":"invalid_grant","message":"x"}}"#,
        r#"{"error":{"code":400,"status":"invalid_grant"}}"#,
    ] {
        let error = refused(Reply::json(200, body));
        assert_eq!(error.kind(), Fault::Grant, "{body}: {error}");
    }
    let form = "error=bad_refresh_token&error_description=no";
    let error = refused(Reply::new(200, "application/x-www-form-urlencoded", form));
    assert_eq!(error.kind(), Fault::Grant);
    for body in [r#"{"ok":false}"#, r#"{"ok":false,"error":null}"#, r#"{"error":true}"#] {
        assert!(matches!(refused(Reply::json(200, body)), Error::Refused { .. }), "{body}");
    }
}

#[test]
fn members_that_say_there_is_no_error_are_none() {
    for body in [
        r#"{"access_token":"a","error":null}"#,
        r#"{"access_token":"a","error":""}"#,
        r#"{"access_token":"a","error":false,"ok":true}"#,
    ] {
        let fake = Fake::script([Reply::json(200, body)]);
        assert!(run(client_credentials(&fake, &server(), &public(), &[], now())).is_ok(), "{body}");
    }
}

#[test]
fn a_description_is_printable_and_short() {
    let long = "x".repeat(500);
    let body = format!(
        r#"{{"error":"invalid_request","error_description":"a\u001b[31m\n\u202eb{long}"}}"#
    );
    let error = refused(Reply::json(400, body));
    let Error::Refused { description: Some(description), .. } = &error else { panic!("{error}") };
    assert!(description.starts_with("a[31mbxx"), "{description}");
    assert_eq!(description.len(), 200);
}

#[test]
fn a_code_that_is_no_code_is_not_shown() {
    for code in ["\\u001b[31m", "<script>", "näin", &"x".repeat(65)] {
        let error = refused(Reply::json(400, format!(r#"{{"error":"{code}"}}"#)));
        assert!(error.to_string().ends_with("an error that is not readable"), "{error}");
    }
}

#[test]
fn a_secret_that_the_answer_echoes_is_removed() {
    let client = client(Some("s3 cr&t"), ClientAuthentication::Basic);
    for echo in ["s3 cr&t", "s3+cr%26t", "czMgY3ImdA", "YXBwOnMzK2NyJTI2dA=="] {
        let body =
            format!(r#"{{"error":"invalid_client","error_description":"not <{echo}> here"}}"#);
        let fake = Fake::script([Reply::json(401, body)]);
        let error = run(client_credentials(&fake, &server(), &client, &[], now())).unwrap_err();
        assert!(!error.to_string().contains(echo), "{error}");
        assert!(error.to_string().contains("[removed]"), "{error}");
    }
}

#[test]
fn a_secret_as_the_code_is_not_shown() {
    let client = client(Some("s3cret"), ClientAuthentication::Body);
    let fake = Fake::script([Reply::json(400, r#"{"error":"s3cret"}"#)]);
    let error = run(client_credentials(&fake, &server(), &client, &[], now())).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
}

#[test]
fn a_status_without_an_error_is_named() {
    for (status, fault, transient) in [
        (400, Fault::Provider, false),
        (401, Fault::Client, false),
        (403, Fault::Provider, false),
        (404, Fault::Provider, false),
        (408, Fault::Provider, true),
        (429, Fault::Provider, true),
        (500, Fault::Provider, true),
        (503, Fault::Provider, true),
    ] {
        let error = refused(Reply::new(status, "text/html", "<h1>secret page</h1>"));
        assert_eq!(
            error.to_string(),
            format!("the token endpoint of id.example answered with status {status}")
        );
        assert_eq!((error.kind(), error.is_transient()), (fault, transient), "{status}");
    }
}

#[test]
fn codes_that_say_not_now_are_transient() {
    for code in ["temporarily_unavailable", "server_error", "slow_down"] {
        let error = refused(Reply::json(400, format!(r#"{{"error":"{code}"}}"#)));
        assert!(error.is_transient(), "{code}");
    }
    let error = refused(Reply::json(503, r#"{"error":"overload"}"#));
    assert!(error.is_transient());
    let error = refused(Reply::json(500, r#"{"error":"invalid_grant"}"#));
    assert!(!error.is_transient());
}

#[test]
fn the_wait_that_a_server_asks_for_is_told() {
    for (value, expected) in [
        ("30", Some(30)),
        ("0", Some(0)),
        ("999999999", Some(3600)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
    ] {
        let reply = Reply::new(429, "text/plain", "").with("retry-after", value);
        assert_eq!(refused(reply).retry_after(), expected.map(Duration::from_secs), "{value}");
    }
    let reply = Reply::json(503, r#"{"error":"overload"}"#).with("retry-after", "7");
    assert_eq!(refused(reply).retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn a_redirect_is_refused_and_its_host_named() {
    for (location, target) in [
        ("https://evil.example/collect?x=y", "evil.example"),
        ("//evil.example/", "evil.example"),
        ("/login", "id.example"),
        ("https://[", "an address that is not readable"),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let reply = Reply::new(status, "text/html", "").with("location", location);
            let error = refused(reply);
            let expected = format!("the token endpoint of id.example redirects to {target}");
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), Fault::Provider);
        }
    }
}

#[test]
fn no_answer_is_the_network_s_fault_and_passes() {
    let error =
        run(client_credentials(&Fake::silent(), &server(), &public(), &[], now())).unwrap_err();
    assert_eq!(
        text(&error),
        "the token endpoint of id.example did not answer: id.example did not answer in 30 s"
    );
    assert_eq!((error.kind(), error.is_transient()), (Fault::Network, true));
    assert!(matches!(error, Error::Network { cause: HttpError(_), .. }));
}
