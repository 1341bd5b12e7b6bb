//! Token responses: what is taken from them, and what is refused.

use authsome::auth::{Error, Fault, TokenSet, client_credentials, refresh};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::fake::{Fake, Reply, now, peculiar, public, run, scopes, secret, server, tokens};

fn answered(reply: Reply) -> Result<TokenSet, Error> {
    run(client_credentials(
        &Fake::script([reply]),
        &server(),
        &public(),
        &scopes(&["a", "b"]),
        now(),
    ))
}

fn json(body: &str) -> Result<TokenSet, Error> {
    answered(Reply::json(200, body))
}

fn in_seconds(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

#[test]
fn a_client_gets_a_token_for_itself() {
    let fake = Fake::script([tokens()]);
    let scopes = scopes(&["a", "b"]);
    let set = run(client_credentials(&fake, &server(), &public(), &scopes, now())).unwrap();
    assert_eq!(
        fake.request(),
        "POST https://id.example/token\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&scope=a+b&client_id=app"
    );
    assert_eq!(secret(&set.access_token), "at-1");
    assert_eq!(set.refresh_token.as_ref().map(secret), Some("rt-1"));
    assert_eq!(set.expires_at, Some(in_seconds(3600)));
    assert_eq!(set.scopes, scopes);
}

#[test]
fn a_refresh_sends_the_token_and_no_scopes() {
    let fake = Fake::script([tokens()]);
    let old = SecretString::from("rt/0");
    let set = run(refresh(&fake, &server(), &public(), &old, &scopes(&["a"]), now())).unwrap();
    assert_eq!(fake.body(), "grant_type=refresh_token&refresh_token=rt%2F0&client_id=app");
    assert_eq!(set.refresh_token.as_ref().map(secret), Some("rt-1"));
    assert_eq!(set.scopes, ["a"]);
}

#[test]
fn a_refresh_token_that_is_not_replaced_stays() {
    for body in [r#"{"access_token":"at-2"}"#, r#"{"access_token":"at-2","refresh_token":""}"#] {
        let fake = Fake::script([Reply::json(200, body)]);
        let old = SecretString::from("rt-0");
        let set = run(refresh(&fake, &server(), &public(), &old, &[], now())).unwrap();
        assert_eq!(set.refresh_token.as_ref().map(secret), Some("rt-0"));
    }
}

#[test]
fn a_life_is_a_number_or_one_in_a_string() {
    for (life, expected) in [
        ("3600", Some(3600)),
        ("\"3600\"", Some(3600)),
        ("\" 60 \"", Some(60)),
        ("3599.9", Some(3599)),
        ("1e300", Some(315_360_000)),
        ("18446744073709551616", Some(315_360_000)),
        ("0", None),
        ("-5", None),
        ("null", None),
        ("\"soon\"", None),
        ("\"inf\"", None),
        ("{}", None),
    ] {
        let set = json(&format!(r#"{{"access_token":"a","expires_in":{life}}}"#)).unwrap();
        assert_eq!(set.expires_at, expected.map(in_seconds), "{life}");
    }
}

#[test]
fn where_the_answer_names_no_life_the_definition_s_counts() {
    let server = peculiar(|oauth| oauth.expires_in = Some(7200));
    let life = |body: &str| {
        let fake = Fake::script([Reply::json(200, body)]);
        run(client_credentials(&fake, &server, &public(), &[], now())).unwrap().expires_at
    };
    assert_eq!(life(r#"{"access_token":"a"}"#), Some(in_seconds(7200)));
    assert_eq!(life(r#"{"access_token":"a","expires_in":60}"#), Some(in_seconds(60)));
}

#[test]
fn scopes_are_those_granted_else_those_asked() {
    for (scope, expected) in [
        (r#""a""#, vec!["a"]),
        (r#""c d""#, vec!["c", "d"]),
        (r#""repo,gist""#, vec!["repo", "gist"]),
        (r#"["c","d"]"#, vec!["c", "d"]),
        (r#""""#, vec!["a", "b"]),
        ("null", vec!["a", "b"]),
        ("7", vec!["a", "b"]),
    ] {
        let set = json(&format!(r#"{{"access_token":"a","scope":{scope}}}"#)).unwrap();
        assert_eq!(set.scopes, expected, "{scope}");
    }
}

#[test]
fn a_scope_with_a_comma_stays_whole_if_it_was_asked_for() {
    let fake = Fake::script([Reply::json(200, r#"{"access_token":"a","scope":"x,y z"}"#)]);
    let set =
        run(client_credentials(&fake, &server(), &public(), &scopes(&["x,y"]), now())).unwrap();
    assert_eq!(set.scopes, ["x,y", "z"]);
}

#[test]
fn a_form_is_read_as_well() {
    for kind in ["application/x-www-form-urlencoded; charset=utf-8", "text/plain"] {
        let body = "access_token=at%2B1&scope=repo%2Cgist&token_type=bearer&expires_in=60";
        let set = answered(Reply::new(200, kind, body)).unwrap();
        assert_eq!(secret(&set.access_token), "at+1");
        assert_eq!(set.scopes, ["repo", "gist"]);
        assert_eq!(set.expires_at, Some(in_seconds(60)));
    }
}

#[test]
fn json_is_read_whatever_it_is_called() {
    for kind in ["text/html", "text/javascript", "application/octet-stream", ""] {
        let set = answered(Reply::new(200, kind, "\u{feff} {\"access_token\":\"a\"}"));
        assert!(set.is_ok(), "{kind}");
    }
}

#[test]
fn types_of_tokens_that_are_borne_are_taken() {
    for kind in ["Bearer", "bearer", "BEARER", "user", "bot"] {
        let body = format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#);
        assert!(json(&body).is_ok(), "{kind}");
    }
    for kind in ["mac", "MAC", "DPoP", "pop"] {
        let body = format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#);
        let error = json(&body).unwrap_err();
        assert!(error.to_string().ends_with("a token that is no bearer token"), "{error}");
    }
}

#[test]
fn answers_that_are_no_token_response_are_named() {
    for (kind, body, problem) in [
        ("application/json", "", "nothing"),
        ("application/json", "{\"access_token\":", "malformed JSON"),
        ("application/json", "[]", "something that is not a JSON object"),
        ("application/json", "\"a\"", "something that is not a JSON object"),
        ("application/json", "{}", "no access token"),
        ("application/json", r#"{"access_token":null}"#, "no access token"),
        ("application/json", r#"{"access_token":7}"#, "no access token"),
        ("application/json", r#"{"access_token":""}"#, "an unusable access token"),
        ("application/json", r#"{"access_token":"a\r\nX: y"}"#, "an unusable access token"),
        (
            "application/json",
            r#"{"access_token":"a","refresh_token":"\u0000"}"#,
            "an unusable refresh token",
        ),
        ("text/html", "<html>access_token=a</html>", "a web page"),
        ("application/json", "  <!DOCTYPE html>", "a web page"),
        ("text/html", "access_token=a", "a web page"),
        ("text/plain", "access_token=a&access_token=b", "a form that says something twice"),
        ("application/json", "access_token=a", "something that is not a JSON object"),
    ] {
        let error = answered(Reply::new(200, kind, body)).unwrap_err();
        let expected = format!("the token endpoint of id.example answered with {problem}");
        assert_eq!(error.to_string(), expected, "{body}");
        assert_eq!(error.kind(), Fault::Provider);
        assert!(!error.is_transient());
    }
    let error = answered(Reply::new(200, "application/json", b"\xff{}".as_slice())).unwrap_err();
    assert!(error.to_string().ends_with("something unreadable"), "{error}");
}
