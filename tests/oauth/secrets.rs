//! No error and no `Debug` shows a secret, whatever the other side sends back.

use std::fmt::Debug;

use authsome::{
    auth::{Authorization, Client, DeviceGrant, Error, client_credentials, refresh, revoke},
    provider::{ClientAuthentication, RevocationAuth},
};
use secrecy::SecretString;

use super::fake::{Fake, Reply, client, now, peculiar, run, server, text, tokens};

const CLIENT: &str = "client-s3cret";
const REFRESH: &str = "refresh-s3cret";
const ACCESS: &str = "access-s3cret";
const CODE: &str = "code-s3cret";
const DEVICE: &str = "device-s3cret";

/// Answers that echo what they got, each in another place.
fn echoes(secret: &str) -> Vec<Reply> {
    let json = |status, body: String| Reply::json(status, body);
    vec![
        json(400, format!(r#"{{"error":"invalid_grant","error_description":"no {secret} here"}}"#)),
        json(400, format!(r#"{{"error":"invalid_grant","error_description":"{secret}{secret}"}}"#)),
        json(400, format!(r#"{{"error":"{secret}"}}"#)),
        json(200, format!(r#"{{"ok":false,"error":"x","error_description":"{secret}"}}"#)),
        json(400, format!(r#"{{"error":{{"code":"{secret}","message":"{secret}"}}}}"#)),
        json(200, format!(r#"{{"access_token":"{secret}"#)),
        json(200, format!(r#"{{"access_token":"{secret}\n"}}"#)),
        json(400, format!(r#"{{"error":"x","error_description":"{}"}}"#, split(secret))),
        Reply::new(500, "text/html", format!("<p>{secret}</p>")),
        Reply::new(302, "", "").with("location", &format!("https://{secret}.evil.example/")),
        Reply::new(302, "", "").with("location", &format!("https://evil.example/{secret}")),
    ]
}

/// With a character in its middle that is not shown.
fn split(secret: &str) -> String {
    let (one, other) = secret.split_at(secret.len() / 2);
    format!("{one}\\u0007{other}")
}

fn silent_about(error: &(impl Debug + ?Sized), also: &str, secrets: &[&str]) {
    let shown = format!("{error:?} {error:#?} {also}").to_lowercase();
    for secret in secrets {
        assert!(!shown.contains(&secret.to_lowercase()), "{secret} in {shown}");
    }
}

fn quiet(error: &Error, secrets: &[&str]) {
    let hint = error.hint().unwrap_or_default();
    silent_about(error, &format!("{} {hint}", text(error)), secrets);
}

fn confidential(method: ClientAuthentication) -> Client {
    client(Some(CLIENT), method)
}

#[test]
fn errors_of_a_refresh_are_silent() {
    for method in [ClientAuthentication::Basic, ClientAuthentication::Body] {
        for secret in [CLIENT, REFRESH] {
            for reply in echoes(secret) {
                let client = confidential(method);
                let token = SecretString::from(REFRESH);
                let fake = Fake::script([reply]);
                let error =
                    run(refresh(&fake, &server(), &client, &token, &[], now())).unwrap_err();
                quiet(&error, &[CLIENT, REFRESH]);
            }
        }
    }
}

#[test]
fn errors_of_an_exchange_are_silent() {
    let server = server();
    let client = confidential(ClientAuthentication::Basic);
    let (url, login) = Authorization::begin(&server, &client, "http://127.0.0.1/", &[]).unwrap();
    silent_about(&login, "", &[login.state(), CLIENT]);
    assert!(!url.contains(CLIENT));
    let query = format!("code={CODE}&state={}", login.state());
    // The verifier is known from the request only.
    let fake = Fake::script([tokens()]);
    run(login.finish(&fake, &server, &client, &query, now())).unwrap();
    let body = fake.body();
    let verifier = body.split("code_verifier=").nth(1).unwrap().to_owned();
    silent_about(&login, "", &[&verifier]);
    let secrets = [CLIENT, CODE, login.state(), &verifier];
    for secret in secrets {
        for reply in echoes(secret) {
            let fake = Fake::script([reply]);
            let error = run(login.finish(&fake, &server, &client, &query, now())).unwrap_err();
            quiet(&error, &secrets);
        }
    }
}

#[test]
fn errors_of_a_callback_are_silent() {
    let server = server();
    let client = confidential(ClientAuthentication::Basic);
    let (_, login) = Authorization::begin(&server, &client, "http://127.0.0.1/", &[]).unwrap();
    let state = login.state();
    for query in [
        format!("error=x&error_description={state}&state={state}"),
        format!("error={state}&state={state}"),
        format!("code={CODE}&state={CODE}"),
        format!("code={CODE}&code={CODE}&state={state}"),
    ] {
        let result = run(login.finish(&Fake::default(), &server, &client, &query, now()));
        quiet(&result.unwrap_err(), &[state, CODE]);
    }
}

#[test]
fn errors_of_the_device_flow_are_silent() {
    let begun = format!(
        r#"{{"device_code":"{DEVICE}","user_code":"u","verification_uri":"https://id.example/"}}"#
    );
    for secret in [DEVICE, CLIENT] {
        for reply in echoes(secret) {
            let client = confidential(ClientAuthentication::Body);
            let fake = Fake::script([Reply::json(200, begun.clone()), reply]);
            let mut grant = run(DeviceGrant::begin(&fake, &server(), &client, &[], now())).unwrap();
            silent_about(&grant, "", &[DEVICE]);
            if let Err(error) = run(grant.poll(&fake, &server(), &client, now())) {
                quiet(&error, &[DEVICE, CLIENT]);
            }
        }
    }
}

#[test]
fn errors_of_a_revocation_are_silent() {
    let tokens = authsome::auth::TokenSet {
        access_token: SecretString::from(ACCESS),
        refresh_token: Some(SecretString::from(REFRESH)),
        expires_at: None,
        scopes: Vec::new(),
        settings: serde_json::Value::Null,
    };
    silent_about(&tokens, "", &[ACCESS, REFRESH]);
    for auth in [RevocationAuth::Client, RevocationAuth::Bearer] {
        let server = peculiar(|oauth| {
            oauth.revocation.auth = auth;
            oauth.revocation_url = Some("https://id.example/{token}".to_owned());
        });
        for secret in [ACCESS, REFRESH, CLIENT] {
            // What was not sent cannot be known, and is not there to be echoed.
            let unsent = if auth == RevocationAuth::Bearer { CLIENT } else { ACCESS };
            if secret == unsent {
                continue;
            }
            for reply in echoes(secret) {
                let client = confidential(ClientAuthentication::Body);
                let fake = Fake::script([reply]);
                if let Err(error) = run(revoke(&fake, &server, Some(&client), &tokens)) {
                    quiet(&error, &[ACCESS, REFRESH, CLIENT]);
                }
            }
        }
    }
}

#[test]
fn a_private_key_is_not_shown() {
    let pem = include_str!("keys/p384.pem");
    let line = pem.lines().nth(1).unwrap();
    let client = client(Some(pem), ClientAuthentication::PrivateKeyJwt);
    silent_about(&client, "", &[line]);
    let fake = Fake::default();
    let error = run(client_credentials(&fake, &server(), &client, &[], now())).unwrap_err();
    quiet(&error, &[line]);
}

#[test]
fn a_request_that_is_echoed_whole_is_cleaned() {
    let keys = include_str!("keys/p256.pem");
    for (secret, method) in
        [(keys, ClientAuthentication::PrivateKeyJwt), (CLIENT, ClientAuthentication::Body)]
    {
        let client = client(Some(secret), method);
        let fake = Fake::script([Reply::echo()]);
        let error = run(client_credentials(&fake, &server(), &client, &[], now())).unwrap_err();
        assert!(error.to_string().contains("=[removed]&client"), "{error}");
        let body = fake.body();
        let sent = body.split(['=', '&']).nth(3).unwrap();
        assert!(sent.len() >= CLIENT.len(), "{body}");
        quiet(&error, &[sent]);
    }
}
