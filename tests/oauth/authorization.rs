//! The authorization code flow: the address for the browser, the callback, the exchange.

use authsome::auth::{Authorization, Error, Fault, Server, TokenSet, callback_state};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::url::Url;
use sha2::{Digest, Sha256};

use super::fake::{
    Fake, Reply, now, oauth, peculiar, public, run, scopes, secret, server, text, tokens,
};

const REDIRECT: &str = "http://127.0.0.1:7998/auth/callback/oauth";

fn begin(server: &Server) -> (Url, Authorization) {
    let (url, login) =
        Authorization::begin(server, &public(), REDIRECT, &scopes(&["a:read", "b"])).unwrap();
    (Url::parse(&url).unwrap(), login)
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(found, _)| found == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} twice in {url}");
    value
}

fn finish(
    fake: &Fake,
    server: &Server,
    login: &Authorization,
    query: &str,
) -> Result<TokenSet, Error> {
    run(login.finish(fake, server, &public(), query, now()))
}

/// A server whose callbacks may, or must, name their issuer.
fn with_issuer(must: bool) -> Server {
    let metadata = format!(
        r#"{{"issuer":"https://id.example","authorization_response_iss_parameter_supported":{must}}}"#
    );
    let mut oauth = oauth();
    oauth.issuer = Some("https://id.example".to_owned());
    oauth.device_authorization_url = None;
    let server = Server::new(&oauth, None).unwrap();
    run(server.complete(&Fake::script([Reply::json(200, metadata)]))).unwrap()
}

#[test]
fn the_browser_is_sent_with_all_that_the_flow_needs() {
    let (url, login) = begin(&server());
    assert_eq!(url.origin().ascii_serialization(), "https://id.example");
    assert_eq!(url.path(), "/authorize");
    assert_eq!(parameter(&url, "response_type").as_deref(), Some("code"));
    assert_eq!(parameter(&url, "client_id").as_deref(), Some("app"));
    assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some(REDIRECT));
    assert_eq!(parameter(&url, "scope").as_deref(), Some("a:read b"));
    assert_eq!(parameter(&url, "state").as_deref(), Some(login.state()));
    assert_eq!(parameter(&url, "code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(parameter(&url, "resource"), None);
    assert!(login.state().len() >= 43, "{} characters", login.state().len());
}

#[test]
fn no_two_logins_share_state_or_challenge() {
    let (one, other) = (begin(&server()).0, begin(&server()).0);
    assert_ne!(parameter(&one, "state"), parameter(&other, "state"));
    assert_ne!(parameter(&one, "code_challenge"), parameter(&other, "code_challenge"));
}

#[test]
fn the_code_is_exchanged_with_the_verifier_of_the_challenge() {
    let (url, login) = begin(&server());
    let fake = Fake::script([tokens()]);
    let query = format!("code=c%2F1&state={}", login.state());
    let set = finish(&fake, &server(), &login, &query).unwrap();
    assert_eq!(secret(&set.access_token), "at-1");
    assert_eq!(set.scopes, ["a:read", "b"]);
    let request = fake.request();
    let (head, verifier) = request.split_once("&code_verifier=").unwrap();
    let verifier = verifier.strip_suffix("&client_id=app").unwrap();
    assert_eq!(
        head,
        "POST https://id.example/token\n\
         accept: application/json\n\
         content-type: application/x-www-form-urlencoded\n\n\
         grant_type=authorization_code&code=c%2F1\
         &redirect_uri=http%3A%2F%2F127.0.0.1%3A7998%2Fauth%2Fcallback%2Foauth"
    );
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    assert_eq!(parameter(&url, "code_challenge"), Some(challenge));
}

#[test]
fn a_whole_address_is_as_good_as_its_query() {
    let (_, login) = begin(&server());
    let query = format!("{REDIRECT}?code=c&state={}#_=_", login.state());
    assert!(finish(&Fake::script([tokens()]), &server(), &login, &query).is_ok());
}

#[test]
fn a_callback_that_is_not_this_login_s_is_refused_without_a_request() {
    let (_, login) = begin(&server());
    let state = login.state().to_owned();
    let other = begin(&server()).1.state().to_owned();
    for (query, problem) in [
        (String::new(), "has no state"),
        ("code=c".to_owned(), "has no state"),
        ("code=c&state=".to_owned(), "has no state"),
        (format!("code=c&state={other}"), "is of another login"),
        (format!("code=c&state={state}x"), "is of another login"),
        (format!("state={state}"), "has no code"),
        (format!("code=&state={state}"), "has no code"),
        (format!("code=c&code=d&state={state}"), "says something twice"),
        (format!("code=c&state={state}&state={state}"), "says something twice"),
        (format!("code=c&state={state}&iss=a&iss=a"), "says something twice"),
        (format!("error=a&error=b&state={state}"), "says something twice"),
    ] {
        let fake = Fake::script([tokens()]);
        let error = finish(&fake, &server(), &login, &query).unwrap_err();
        assert!(error.to_string().ends_with(problem), "{query}: {error}");
        assert_eq!(error.kind(), Fault::User);
        assert!(error.hint().is_some());
        assert!(fake.requests().is_empty());
    }
}

#[test]
fn a_callback_is_found_by_its_state() {
    assert_eq!(callback_state("code=c&state=a%2Bb").as_deref(), Some("a+b"));
    assert_eq!(callback_state("?state=s").as_deref(), Some("s"));
    assert_eq!(callback_state("http://127.0.0.1:7998/x?state=s").as_deref(), Some("s"));
    for query in ["", "code=c", "state=", "state=a&state=b", "state=a&state=a"] {
        assert_eq!(callback_state(query), None, "{query}");
    }
}

#[test]
fn what_the_provider_says_in_a_callback_is_an_error() {
    for (code, fault) in [
        ("access_denied", Fault::User),
        ("unauthorized_client", Fault::Client),
        ("invalid_scope", Fault::Client),
        ("invalid_request", Fault::Provider),
        ("unsupported_response_type", Fault::Provider),
        ("server_error", Fault::Provider),
        ("temporarily_unavailable", Fault::Provider),
    ] {
        let (_, login) = begin(&server());
        let fake = Fake::default();
        let query = format!("error={code}&error_description=so+it+is&state={}", login.state());
        let error = finish(&fake, &server(), &login, &query).unwrap_err();
        assert_eq!(error.kind(), fault, "{code}");
        assert!(error.to_string().ends_with(": so it is"), "{error}");
        assert!(fake.requests().is_empty());
    }
}

#[test]
fn a_false_state_hides_an_error() {
    let (_, login) = begin(&server());
    let error = finish(&Fake::default(), &server(), &login, "error=x&state=y").unwrap_err();
    assert!(matches!(error, Error::Callback { .. }), "{error}");
}

#[test]
fn another_issuer_is_refused_before_the_code_is_sent() {
    for (must, iss, fine) in [
        (false, "", true),
        (true, "", false),
        (false, "&iss=https%3A%2F%2Fid.example", true),
        (true, "&iss=https%3A%2F%2Fid.example", true),
        (true, "&iss=https%3A%2F%2Fid.example%2F", false),
        (false, "&iss=https%3A%2F%2Fevil.example", false),
    ] {
        let server = with_issuer(must);
        let (_, login) = begin(&server);
        let fake = Fake::script([tokens()]);
        let query = format!("code=c&state={}{iss}", login.state());
        let result = finish(&fake, &server, &login, &query);
        assert_eq!(result.is_ok(), fine, "{must} {iss}");
        if let Err(error) = result {
            assert!(matches!(error, Error::Issuer { .. }), "{}", text(&error));
            assert_eq!(error.kind(), Fault::Provider);
            assert!(fake.requests().is_empty());
        }
    }
}

#[test]
fn another_issuer_s_error_is_not_believed() {
    let server = with_issuer(false);
    let (_, login) = begin(&server);
    let query = format!("error=access_denied&state={}&iss=https://evil.example", login.state());
    let error = finish(&Fake::default(), &server, &login, &query).unwrap_err();
    assert!(matches!(error, Error::Issuer { .. }), "{error}");
}

#[test]
fn an_issuer_means_nothing_where_none_is_known() {
    let (_, login) = begin(&server());
    let query = format!("code=c&state={}&iss=https://accounts.example", login.state());
    assert!(finish(&Fake::script([tokens()]), &server(), &login, &query).is_ok());
}

#[test]
fn pkce_is_left_out_only_where_the_definition_says_so() {
    let server = peculiar(|oauth| oauth.pkce = false);
    let (url, login) = begin(&server);
    assert_eq!(parameter(&url, "code_challenge"), None);
    assert_eq!(parameter(&url, "code_challenge_method"), None);
    let fake = Fake::script([tokens()]);
    finish(&fake, &server, &login, &format!("code=c&state={}", login.state())).unwrap();
    assert!(!fake.body().contains("code_verifier"), "{}", fake.body());
}

#[test]
fn scopes_go_where_and_as_the_definition_says() {
    let server = peculiar(|oauth| {
        oauth.scope_separator = ",".to_owned();
        oauth.scope_param = "user_scope".to_owned();
    });
    let (url, _) = begin(&server);
    assert_eq!(parameter(&url, "user_scope").as_deref(), Some("a:read,b"));
    assert_eq!(parameter(&url, "scope"), None);
}

#[test]
fn parameters_of_the_definition_are_added_and_change_none_of_the_flow_s() {
    let server = peculiar(|oauth| {
        oauth.resource = Some("https://api.example/".to_owned());
        oauth.authorization_url = Some("https://id.example/authorize?tenant=t".to_owned());
        for (name, value) in [
            ("access_type", "offline"),
            ("prompt", "consent & more"),
            ("state", "fixed"),
            ("redirect_uri", "https://evil.example/"),
            ("scope", "all"),
            ("resource", "https://other.example/"),
            ("tenant", "u"),
        ] {
            oauth.authorization_params.insert(name.to_owned(), value.to_owned());
        }
    });
    let (url, login) = begin(&server);
    assert_eq!(parameter(&url, "access_type").as_deref(), Some("offline"));
    assert_eq!(parameter(&url, "prompt").as_deref(), Some("consent & more"));
    assert_eq!(parameter(&url, "state").as_deref(), Some(login.state()));
    assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some(REDIRECT));
    assert_eq!(parameter(&url, "scope").as_deref(), Some("a:read b"));
    assert_eq!(parameter(&url, "resource").as_deref(), Some("https://api.example/"));
    assert_eq!(parameter(&url, "tenant").as_deref(), Some("t"));
}

#[test]
fn without_scopes_none_are_named() {
    let (url, _) = Authorization::begin(&server(), &public(), REDIRECT, &[]).unwrap();
    assert!(!url.contains("scope"), "{url}");
}

#[test]
fn a_server_without_the_endpoint_is_named() {
    let server = peculiar(|oauth| oauth.authorization_url = None);
    let error = Authorization::begin(&server, &public(), REDIRECT, &[]).unwrap_err();
    assert_eq!(error.to_string(), "the provider names no authorization endpoint");
}
