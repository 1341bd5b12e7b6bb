//! Revocation, as RFC 7009 has it and as providers do.

use authsome::{
    auth::{Client, Error, Revoked, Server, TokenSet, revoke},
    provider::{ClientAuthentication, Revocation, RevocationAuth, RevocationBody, RevokedToken},
};
use secrecy::SecretString;

use super::fake::{Fake, Reply, client, peculiar, public, run, server};

fn set(refresh: bool) -> TokenSet {
    TokenSet {
        access_token: SecretString::from("at/1"),
        refresh_token: refresh.then(|| SecretString::from("rt/1")),
        expires_at: None,
        scopes: Vec::new(),
        settings: serde_json::Value::Null,
    }
}

fn revoking(change: impl FnOnce(&mut Revocation)) -> Server {
    peculiar(|oauth| change(&mut oauth.revocation))
}

fn params(params: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ok() -> Reply {
    Reply::new(200, "text/plain", "")
}

fn sent(server: &Server, client: &Client) -> String {
    let fake = Fake::script([ok()]);
    assert_eq!(run(revoke(&fake, server, Some(client), &set(true))).unwrap(), Revoked::Yes);
    fake.request()
}

fn said(server: &Server, reply: Reply) -> Result<Revoked, Error> {
    run(revoke(&Fake::script([reply]), server, Some(&public()), &set(true)))
}

#[test]
fn the_refresh_token_goes_as_the_rfc_has_it() {
    assert_eq!(
        sent(&server(), &public()),
        "POST https://id.example/revoke\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         token=rt%2F1&token_type_hint=refresh_token&client_id=app"
    );
}

#[test]
fn without_a_refresh_token_the_access_token_goes() {
    let fake = Fake::script([ok()]);
    run(revoke(&fake, &server(), Some(&public()), &set(false))).unwrap();
    assert_eq!(fake.body(), "token=at%2F1&token_type_hint=access_token&client_id=app");
}

#[test]
fn both_are_two_requests_the_refresh_token_s_first() {
    let server = revoking(|how| how.token = RevokedToken::Both);
    let fake = Fake::script([Reply::json(503, "{}"), ok()]);
    let error = run(revoke(&fake, &server, Some(&public()), &set(true))).unwrap_err();
    assert!(error.is_transient());
    let bodies: Vec<_> =
        fake.requests().iter().map(|r| r.lines().last().unwrap().to_owned()).collect();
    assert_eq!(
        bodies,
        [
            "token=rt%2F1&token_type_hint=refresh_token&client_id=app",
            "token=at%2F1&token_type_hint=access_token&client_id=app",
        ]
    );
}

#[test]
fn the_access_token_alone_where_the_definition_says_so() {
    let server = revoking(|how| how.token = RevokedToken::AccessToken);
    assert!(sent(&server, &public()).contains("\n\ntoken=at%2F1&"));
}

#[test]
fn without_an_endpoint_nothing_is_sent() {
    let server = peculiar(|oauth| oauth.revocation_url = None);
    let fake = Fake::default();
    let said = run(revoke(&fake, &server, Some(&public()), &set(true))).unwrap();
    assert_eq!(said, Revoked::Unsupported);
    assert!(fake.requests().is_empty());
}

#[test]
fn without_a_client_the_token_speaks_for_itself() {
    let fake = Fake::script([ok()]);
    run(revoke(&fake, &server(), None, &set(true))).unwrap();
    assert_eq!(fake.body(), "token=rt%2F1&token_type_hint=refresh_token");
}

#[test]
fn a_deletion_with_basic_and_json_as_github_has_it() {
    let server = peculiar(|oauth| {
        oauth.revocation_url = Some("https://api.example/apps/{client_id}/token".to_owned());
        oauth.revocation = Revocation {
            method: "DELETE".to_owned(),
            token: RevokedToken::AccessToken,
            auth: RevocationAuth::Basic,
            body: RevocationBody::Json,
            params: params(&[("access_token", "{token}")]),
            ok: None,
        };
    });
    let client = Client { id: "a/b c".to_owned(), ..client(Some("s"), ClientAuthentication::Body) };
    let fake = Fake::script([Reply::new(204, "", "")]);
    assert_eq!(run(revoke(&fake, &server, Some(&client), &set(true))).unwrap(), Revoked::Yes);
    assert_eq!(
        fake.request(),
        "DELETE https://api.example/apps/a%2Fb%20c/token\n\
         accept: application/json\n\
         authorization: Basic YSUyRmIrYzpz\n\
         content-type: application/json\n\n\
         {\"access_token\":\"at/1\"}"
    );
}

#[test]
fn the_user_s_own_token_may_be_what_authorizes() {
    let server = revoking(|how| {
        how.auth = RevocationAuth::Bearer;
        how.body = RevocationBody::None;
        how.params.clear();
    });
    assert_eq!(
        sent(&server, &public()),
        "POST https://id.example/revoke\naccept: application/json\nauthorization: Bearer at/1\n\n"
    );
}

#[test]
fn nobody_may_be_asking() {
    let server = revoking(|how| how.auth = RevocationAuth::None);
    let request = sent(&server, &client(Some("s"), ClientAuthentication::Basic));
    assert!(!request.contains("authorization") && !request.contains("client_id"), "{request}");
}

#[test]
fn a_token_in_the_address_is_encoded() {
    let server = peculiar(|oauth| {
        oauth.revocation_url = Some("https://id.example/{token_type_hint}?t={token}".to_owned());
        oauth.revocation.body = RevocationBody::None;
        oauth.revocation.params.clear();
        oauth.revocation.auth = RevocationAuth::None;
    });
    let fake = Fake::script([ok()]);
    let tokens = TokenSet { access_token: SecretString::from("a b&{token}"), ..set(false) };
    run(revoke(&fake, &server, None, &tokens)).unwrap();
    assert!(
        fake.request().starts_with("POST https://id.example/access_token?t=a%20b%26%7Btoken%7D\n"),
        "{}",
        fake.request()
    );
}

#[test]
fn a_client_that_has_no_body_to_speak_in_uses_basic() {
    let server = revoking(|how| how.body = RevocationBody::None);
    let request = sent(&server, &client(Some("s"), ClientAuthentication::Body));
    assert!(request.contains("authorization: Basic YXBwOnM=\n"), "{request}");
}

#[test]
fn a_member_may_have_to_say_that_it_worked() {
    let server = revoking(|how| how.ok = Some("revoked".to_owned()));
    let yes = Reply::json(200, r#"{"ok":true,"revoked":true}"#);
    assert_eq!(said(&server, yes).unwrap(), Revoked::Yes);
    for body in [r#"{"ok":true,"revoked":false}"#, r#"{"ok":true}"#, r#"{"revoked":"true"}"#, ""] {
        assert!(said(&server, Reply::json(200, body)).is_err(), "{body}");
    }
}

#[test]
fn an_error_with_status_200_is_one() {
    let reply = Reply::json(200, r#"{"ok":false,"error":"not_authed"}"#);
    assert!(matches!(said(&server(), reply), Err(Error::Refused { .. })));
}

#[test]
fn a_token_that_is_of_no_use_already_is_revoked() {
    for code in ["invalid_token", "token_revoked", "token_expired"] {
        let reply = Reply::json(400, format!(r#"{{"error":"{code}"}}"#));
        assert_eq!(said(&server(), reply).unwrap(), Revoked::Yes);
    }
}

#[test]
fn a_kind_of_token_that_is_not_revoked_is_unsupported() {
    let reply = Reply::json(400, r#"{"error":"unsupported_token_type"}"#);
    assert_eq!(said(&server(), reply).unwrap(), Revoked::Unsupported);
}

#[test]
fn any_other_answer_is_an_error() {
    for status in [400, 401, 403, 404, 405, 500, 503] {
        assert!(said(&server(), Reply::new(status, "text/html", "<p>")).is_err(), "{status}");
    }
    let reply = Reply::new(302, "text/html", "").with("location", "https://id.example/login");
    assert!(matches!(said(&server(), reply), Err(Error::Redirect { .. })));
}

#[test]
fn what_needs_a_client_says_so() {
    let server = revoking(|how| how.auth = RevocationAuth::Basic);
    let fake = Fake::default();
    let error = run(revoke(&fake, &server, None, &set(true))).unwrap_err();
    assert!(matches!(error, Error::NoClient), "{error}");
    let server = revoking(|how| how.params = params(&[("id", "{client_id}")]));
    let error = run(revoke(&fake, &server, None, &set(true))).unwrap_err();
    assert!(matches!(error, Error::NoClient), "{error}");
    assert!(fake.requests().is_empty());
}
