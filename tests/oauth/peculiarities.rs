//! What definitions may say of a token endpoint, each in what it changes.

use authsome::{
    auth::{Server, TokenSet, client_credentials, refresh},
    provider::{ClientAuthentication, Encoding},
};
use secrecy::SecretString;

use super::fake::{
    Fake, Reply, client, now, peculiar, public, run, scopes, secret, server, tokens,
};

fn refreshed(server: &Server) -> String {
    let fake = Fake::script([tokens()]);
    let token = SecretString::from("rt-0");
    run(refresh(&fake, server, &public(), &token, &scopes(&["a"]), now())).unwrap();
    fake.request()
}

fn read(server: &Server, body: &str) -> Result<TokenSet, String> {
    let fake = Fake::script([Reply::json(200, body)]);
    run(client_credentials(&fake, server, &public(), &scopes(&["a"]), now()))
        .map_err(|error| error.to_string())
}

#[test]
fn a_refresh_endpoint_of_its_own_is_used() {
    let server =
        peculiar(|oauth| oauth.refresh_url = Some("https://id.example/refresh".to_owned()));
    assert!(refreshed(&server).starts_with("POST https://id.example/refresh\n"));
}

#[test]
fn the_resource_is_named_at_the_token_endpoint() {
    let server = peculiar(|oauth| oauth.resource = Some("https://api.example/mcp".to_owned()));
    assert!(
        refreshed(&server).ends_with("&resource=https%3A%2F%2Fapi.example%2Fmcp&client_id=app")
    );
}

#[test]
fn parameters_are_added_and_change_none_of_the_flow_s() {
    let server = peculiar(|oauth| {
        oauth.token_params.insert("audience".to_owned(), "x y".to_owned());
        oauth.token_params.insert("grant_type".to_owned(), "password".to_owned());
    });
    let request = refreshed(&server);
    let body = "\n\ngrant_type=refresh_token&refresh_token=rt-0&client_id=app&audience=x+y";
    assert!(request.ends_with(body), "{request}");
}

#[test]
fn headers_are_added_but_for_those_that_say_who_asks() {
    let server = peculiar(|oauth| {
        for (name, value) in [
            ("Notion-Version", "2022-06-28"),
            ("accept", "application/vnd.x+json"),
            ("authorization", "Bearer fixed"),
            ("content-type", "text/plain"),
        ] {
            oauth.token_headers.insert(name.to_owned(), value.to_owned());
        }
    });
    let fake = Fake::script([tokens()]);
    let client = client(Some("s"), ClientAuthentication::Basic);
    run(client_credentials(&fake, &server, &client, &[], now())).unwrap();
    assert_eq!(
        fake.request(),
        "POST https://id.example/token\n\
         accept: application/vnd.x+json\n\
         authorization: Basic YXBwOnM=\n\
         content-type: application/x-www-form-urlencoded\n\
         notion-version: 2022-06-28\n\n\
         grant_type=client_credentials"
    );
}

#[test]
fn a_json_request_has_the_same_members() {
    let server = peculiar(|oauth| {
        oauth.token_request = Encoding::Json;
        oauth.token_params.insert("x".to_owned(), "\"y\"".to_owned());
    });
    let fake = Fake::script([tokens()]);
    let client = client(Some("s\"3"), ClientAuthentication::Body);
    let token = SecretString::from("rt-0");
    run(refresh(&fake, &server, &client, &token, &[], now())).unwrap();
    assert_eq!(
        fake.request(),
        "POST https://id.example/token\n\
         accept: application/json\n\
         content-type: application/json\n\n\
         {\"grant_type\":\"refresh_token\",\"refresh_token\":\"rt-0\",\
         \"client_secret\":\"s\\\"3\",\"client_id\":\"app\",\"x\":\"\\\"y\\\"\"}"
    );
}

#[test]
fn members_are_taken_from_where_the_definition_says() {
    let server = peculiar(|oauth| {
        for name in ["access_token", "refresh_token", "expires_in", "token_type", "scope"] {
            oauth.token_response.insert(name.to_owned(), format!("authed_user.{name}"));
        }
        oauth.scope_separator = ",".to_owned();
    });
    let set = read(
        &server,
        r#"{"ok":true,"access_token":"xoxb","token_type":"bot","scope":"bot","authed_user":{
            "access_token":"xoxp","refresh_token":"xoxe","expires_in":60,"token_type":"user",
            "scope":"chat:write,users:read"}}"#,
    )
    .unwrap();
    assert_eq!(secret(&set.access_token), "xoxp");
    assert_eq!(set.refresh_token.as_ref().map(secret), Some("xoxe"));
    assert_eq!(set.expires_at.map(|at| at.as_second()), Some(now().as_second() + 60));
    assert_eq!(set.scopes, ["chat:write", "users:read"]);
}

#[test]
fn a_member_that_is_not_there_is_not_looked_for_elsewhere() {
    let server = peculiar(|oauth| {
        let path = "authed_user.access_token".to_owned();
        oauth.token_response.insert("access_token".to_owned(), path);
    });
    for body in [
        r#"{"access_token":"xoxb"}"#,
        r#"{"access_token":"xoxb","authed_user":{"id":"u"}}"#,
        r#"{"access_token":"xoxb","authed_user":"access_token"}"#,
    ] {
        let error = read(&server, body).unwrap_err();
        assert!(error.ends_with("no access token"), "{error}");
    }
}

#[test]
fn scopes_are_joined_as_the_provider_takes_them() {
    let server = peculiar(|oauth| {
        oauth.scope_separator = ",".to_owned();
        // Names the parameter of the browser's request only.
        oauth.scope_param = "user_scope".to_owned();
    });
    let fake = Fake::script([tokens()]);
    run(client_credentials(&fake, &server, &public(), &scopes(&["a", "b"]), now())).unwrap();
    assert!(fake.body().contains("&scope=a%2Cb&"), "{}", fake.body());
}

#[test]
fn a_stored_server_is_the_same_server() {
    let server = peculiar(|oauth| {
        oauth.token_request = Encoding::Json;
        oauth.resource = Some("https://api.example/".to_owned());
        oauth.token_params.insert("x".to_owned(), "y".to_owned());
        oauth.token_headers.insert("x-y".to_owned(), "z".to_owned());
    });
    let stored = serde_json::to_string(&server).unwrap();
    let again: Server = serde_json::from_str(&stored).unwrap();
    assert_eq!(refreshed(&again), refreshed(&server));
    assert_eq!(serde_json::to_string(&again).unwrap(), stored);
}

#[test]
fn nothing_peculiar_is_nothing_added() {
    assert_eq!(
        refreshed(&server()),
        "POST https://id.example/token\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=refresh_token&refresh_token=rt-0&client_id=app"
    );
}
