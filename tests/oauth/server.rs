//! A server from a definition: what is filled in, and what is refused.

use authsome::{
    auth::{Error, Fault, Server},
    provider::{ClientAuthentication, OAuth},
};

use super::fake::{Fake, oauth, peculiar, run, server};

/// Sets one address of a definition.
type Set = fn(&mut OAuth, String);

const ADDRESSES: [(&str, Set); 7] = [
    ("issuer", |oauth, url| oauth.issuer = Some(url)),
    ("authorization endpoint", |oauth, url| oauth.authorization_url = Some(url)),
    ("token endpoint", |oauth, url| oauth.token_url = Some(url)),
    ("refresh endpoint", |oauth, url| oauth.refresh_url = Some(url)),
    ("revocation endpoint", |oauth, url| oauth.revocation_url = Some(url)),
    ("device authorization endpoint", |oauth, url| oauth.device_authorization_url = Some(url)),
    ("registration endpoint", |oauth, url| oauth.registration_endpoint = Some(url)),
];

#[test]
fn each_address_must_be_one_that_secrets_may_go_to() {
    for (name, set) in ADDRESSES {
        for (url, problem) in [
            ("http://id.example/x", "is not https"),
            ("https://user:pass@id.example/x", "holds a user or a password"),
            ("https://id.example/x#y", "has a fragment"),
            ("id.example", "is not a URL"),
            ("https://id.example/x y", "holds a character that no URL has"),
        ] {
            let mut oauth = oauth();
            set(&mut oauth, url.to_owned());
            let error = Server::new(&oauth, None).unwrap_err();
            assert_eq!(error.to_string(), format!("the {name} {problem}"));
            assert_eq!(error.kind(), Fault::Provider);
        }
        for url in ["https://id.example/x", "http://127.0.0.1:8080/x", "http://[::1]/x"] {
            let mut oauth = oauth();
            set(&mut oauth, url.to_owned());
            assert!(Server::new(&oauth, None).is_ok(), "{name} {url}");
        }
    }
}

#[test]
fn the_base_url_fills_every_address() {
    for (name, set) in ADDRESSES {
        let mut oauth = oauth();
        set(&mut oauth, "{base_url}/x".to_owned());
        let error = Server::new(&oauth, None).unwrap_err();
        assert_eq!(error.to_string(), "the base URL is missing", "{name}");
        assert!(Server::new(&oauth, Some("https://git.example")).is_ok(), "{name}");
    }
}

#[test]
fn a_base_url_given_counts_more_than_the_definition_s() {
    let mut oauth = oauth();
    oauth.base_url = Some("https://git.example".to_owned());
    oauth.token_url = Some("{base_url}/token".to_owned());
    let token_url = |base| Server::new(&oauth, base).unwrap().token_url().unwrap().to_owned();
    assert_eq!(token_url(None), "https://git.example/token");
    assert_eq!(token_url(Some("https://git.corp/")), "https://git.corp/token");
    assert_eq!(token_url(Some("https://git.corp/sub/")), "https://git.corp/sub/token");
}

#[test]
fn a_base_url_that_is_none_is_the_user_s_fault() {
    for base in [
        "http://git.example",
        "git.example",
        "https://a@git.example",
        "https://git.example/?x",
        "https://git.example/#x",
        "https://git.example/{token}",
        "",
    ] {
        let error = Server::new(&oauth(), Some(base)).unwrap_err();
        assert!(matches!(error, Error::BaseUrl { .. }), "{base}: {error}");
        assert_eq!(error.kind(), Fault::User);
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_header_that_cannot_be_sent_is_refused() {
    for (name, value) in [("a b", "x"), ("", "x"), ("x", "a\r\nb: c")] {
        let mut oauth = oauth();
        oauth.token_headers.insert(name.to_owned(), value.to_owned());
        let error = Server::new(&oauth, None).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
}

#[test]
fn a_flow_is_known_where_the_definition_says_so_and_there_is_an_endpoint() {
    assert!(server().has_device_flow() && server().can_register());
    let without = peculiar(|oauth| {
        oauth.supports_device_code = false;
        oauth.supports_dcr = false;
    });
    assert!(!without.has_device_flow() && !without.can_register());
}

#[test]
fn nothing_missing_is_nothing_asked() {
    let fake = Fake::default();
    run(server().complete(&fake)).unwrap();
    assert!(fake.requests().is_empty());
}

#[test]
fn a_client_of_the_user_s_own_shows_itself_as_the_definition_says() {
    let basic = peculiar(|oauth| oauth.authorization_method = ClientAuthentication::Basic);
    assert_eq!(basic.client_authentication(true), ClientAuthentication::Basic);
    assert_eq!(basic.client_authentication(false), ClientAuthentication::None);
    assert_eq!(server().client_authentication(true), ClientAuthentication::Body);
}
