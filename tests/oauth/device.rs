//! The device flow.

use std::time::Duration;

use authsome::{
    auth::{DeviceGrant, Error, Fault, Server, TokenSet},
    provider::{ClientAuthentication, DeviceTokenRequest, Encoding},
};
use jiff::SignedDuration;

use super::fake::{
    Fake, Reply, client, now, peculiar, public, run, scopes, secret, server, tokens,
};

const BEGUN: &str = r#"{"device_code":"dc-1","user_code":"WDJB-MJHT",
    "verification_uri":"https://id.example/activate",
    "verification_uri_complete":"https://id.example/activate?user_code=WDJB-MJHT",
    "expires_in":1800,"interval":7}"#;

fn begin(body: &str) -> Result<DeviceGrant, Error> {
    let fake = Fake::script([Reply::json(200, body)]);
    run(DeviceGrant::begin(&fake, &server(), &public(), &scopes(&["a", "b"]), now()))
}

fn poll(grant: &mut DeviceGrant, fake: &Fake, server: &Server) -> Result<Option<TokenSet>, Error> {
    run(grant.poll(fake, server, &public(), now()))
}

/// One answer to a poll, and the interval after it.
fn polled(reply: Reply) -> (Result<Option<TokenSet>, Error>, u64) {
    let mut grant = begin(BEGUN).unwrap();
    let result = poll(&mut grant, &Fake::script([reply]), &server());
    (result, grant.interval().as_secs())
}

fn said(code: &str) -> Reply {
    Reply::json(400, format!(r#"{{"error":"{code}"}}"#))
}

#[test]
fn a_code_is_asked_for_and_shown() {
    let fake = Fake::script([Reply::json(200, BEGUN)]);
    let scopes = scopes(&["a", "b"]);
    let grant = run(DeviceGrant::begin(&fake, &server(), &public(), &scopes, now())).unwrap();
    assert_eq!(
        fake.request(),
        "POST https://id.example/device\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         client_id=app&scope=a+b"
    );
    assert_eq!(grant.user_code, "WDJB-MJHT");
    assert_eq!(grant.verification_uri, "https://id.example/activate");
    let complete = grant.verification_uri_complete.as_deref();
    assert_eq!(complete, Some("https://id.example/activate?user_code=WDJB-MJHT"));
    assert_eq!(grant.expires_at, now().checked_add(SignedDuration::from_secs(1800)).unwrap());
    assert_eq!(grant.interval(), Duration::from_secs(7));
}

#[test]
fn the_token_is_asked_for_with_the_code() {
    let mut grant = begin(BEGUN).unwrap();
    let fake = Fake::script([tokens()]);
    let set = poll(&mut grant, &fake, &server()).unwrap().unwrap();
    assert_eq!(
        fake.request(),
        "POST https://id.example/token\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
         &device_code=dc-1&client_id=app"
    );
    assert_eq!(secret(&set.access_token), "at-1");
    assert_eq!(set.scopes, ["a", "b"]);
}

#[test]
fn a_confidential_client_authenticates_both_times() {
    let client = client(Some("s"), ClientAuthentication::Basic);
    let fake = Fake::script([Reply::json(200, BEGUN), tokens()]);
    let mut grant = run(DeviceGrant::begin(&fake, &server(), &client, &[], now())).unwrap();
    run(grant.poll(&fake, &server(), &client, now())).unwrap().unwrap();
    for request in fake.requests() {
        assert!(request.contains("authorization: Basic YXBwOnM=\n"), "{request}");
    }
}

#[test]
fn pending_changes_nothing() {
    let (result, interval) = polled(said("authorization_pending"));
    assert!(result.unwrap().is_none());
    assert_eq!(interval, 7);
}

#[test]
fn pending_is_understood_with_any_status() {
    for status in [200, 401, 428, 500] {
        let reply = Reply::json(status, r#"{"error":"authorization_pending"}"#);
        assert!(polled(reply).0.unwrap().is_none(), "{status}");
    }
}

#[test]
fn slow_down_adds_five_seconds_each_time() {
    let mut grant = begin(BEGUN).unwrap();
    for expected in [12, 17, 22] {
        assert!(poll(&mut grant, &Fake::script([said("slow_down")]), &server()).unwrap().is_none());
        assert_eq!(grant.interval().as_secs(), expected);
    }
}

#[test]
fn no_answer_doubles_the_interval_up_to_a_minute() {
    let mut grant = begin(BEGUN).unwrap();
    for expected in [14, 28, 56, 60, 60] {
        assert!(poll(&mut grant, &Fake::silent(), &server()).unwrap().is_none());
        assert_eq!(grant.interval().as_secs(), expected);
    }
}

#[test]
fn a_server_that_cannot_now_is_waited_for() {
    let (result, interval) = polled(Reply::new(503, "text/html", "<h1>later</h1>"));
    assert!(result.unwrap().is_none());
    assert_eq!(interval, 14);
    let (result, interval) = polled(Reply::new(429, "text/plain", "").with("retry-after", "90"));
    assert!(result.unwrap().is_none());
    assert_eq!(interval, 90);
}

#[test]
fn what_is_final_ends_it() {
    for (code, fault) in [
        ("access_denied", Fault::User),
        ("expired_token", Fault::User),
        ("invalid_grant", Fault::Grant),
        ("invalid_client", Fault::Client),
        ("device_flow_disabled", Fault::Client),
        ("unsupported_grant_type", Fault::Provider),
        ("invalid_request", Fault::Provider),
    ] {
        let (result, _) = polled(said(code));
        assert_eq!(result.unwrap_err().kind(), fault, "{code}");
    }
    assert!(matches!(polled(said("expired_token")).0, Err(Error::Expired)));
    assert!(polled(Reply::json(200, "{}")).0.is_err());
}

#[test]
fn an_expired_code_is_not_asked_about() {
    let mut grant = begin(BEGUN).unwrap();
    let fake = Fake::script([tokens()]);
    let late = grant.expires_at;
    let error = run(grant.poll(&fake, &server(), &public(), late)).unwrap_err();
    assert!(matches!(error, Error::Expired), "{error}");
    assert!(fake.requests().is_empty());
}

#[test]
fn what_the_server_leaves_out_has_a_value() {
    let grant = begin(
        r#"{"device_code":"d","user_code":"u","verification_url":"https://id.example/device"}"#,
    )
    .unwrap();
    assert_eq!(grant.interval(), Duration::from_secs(5));
    assert_eq!(grant.expires_at, now().checked_add(SignedDuration::from_secs(600)).unwrap());
    assert_eq!(grant.verification_uri, "https://id.example/device");
    assert_eq!(grant.verification_uri_complete, None);
}

#[test]
fn absurd_times_are_bounded() {
    let begun = |interval: &str, life: &str| {
        begin(&format!(
            r#"{{"device_code":"d","user_code":"u","verification_uri":"https://id.example/",
                "interval":{interval},"expires_in":{life}}}"#
        ))
        .unwrap()
    };
    let grant = begun("1e99", "1e99");
    assert_eq!(grant.interval(), Duration::from_secs(60));
    assert_eq!(grant.expires_at, now().checked_add(SignedDuration::from_secs(3600)).unwrap());
    let grant = begun("0", "\"60\"");
    assert_eq!(grant.interval(), Duration::from_secs(5));
    assert_eq!(grant.expires_at, now().checked_add(SignedDuration::from_secs(60)).unwrap());
}

#[test]
fn what_could_deceive_who_reads_it_is_refused() {
    for (code, uri) in [
        ("u\\u001b[2J", "https://id.example/"),
        ("", "https://id.example/"),
        ("u", "http://id.example/"),
        ("u", "javascript:alert(1)"),
        ("u", "file:///etc/passwd"),
        ("u", "https://user@id.example/"),
        ("u", ""),
    ] {
        let body =
            format!(r#"{{"device_code":"d","user_code":"{code}","verification_uri":"{uri}"}}"#);
        assert_eq!(begin(&body).unwrap_err().kind(), Fault::Provider, "{body}");
    }
    let body = r#"{"device_code":"d","user_code":"u","verification_uri":"https://id.example/",
        "verification_uri_complete":"javascript:1"}"#;
    assert!(begin(body).is_err());
}

#[test]
fn a_definition_may_want_json() {
    let server = peculiar(|oauth| oauth.device_token_request = DeviceTokenRequest::Json);
    let fake = Fake::script([Reply::json(200, BEGUN), tokens()]);
    let mut grant = run(DeviceGrant::begin(&fake, &server, &public(), &[], now())).unwrap();
    poll(&mut grant, &fake, &server).unwrap().unwrap();
    let requests = fake.requests();
    assert!(requests[0].ends_with("content-type: application/json\n\n{\"client_id\":\"app\"}"));
    assert!(
        requests[1].ends_with(
            "content-type: application/json\n\n\
             {\"grant_type\":\"urn:ietf:params:oauth:grant-type:device_code\",\
             \"device_code\":\"dc-1\",\"client_id\":\"app\"}"
        ),
        "{}",
        requests[1]
    );
}

#[test]
fn json_at_the_token_endpoint_is_json_for_the_device_flow_too() {
    let server = peculiar(|oauth| oauth.token_request = Encoding::Json);
    let mut grant = begin(BEGUN).unwrap();
    let fake = Fake::script([tokens()]);
    poll(&mut grant, &fake, &server).unwrap().unwrap();
    assert!(fake.body().starts_with("{\"grant_type\""), "{}", fake.body());
}

#[test]
fn a_server_without_the_flow_is_named() {
    let server = peculiar(|oauth| oauth.device_authorization_url = None);
    assert!(!server.has_device_flow());
    let error =
        run(DeviceGrant::begin(&Fake::default(), &server, &public(), &[], now())).unwrap_err();
    assert_eq!(error.to_string(), "the provider names no device authorization endpoint");
}
