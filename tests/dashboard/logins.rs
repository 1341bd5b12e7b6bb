//! Connecting: by a key, and by each step of a login.

use authsome::{
    protocol::{ErrorKind, login::LoginStep},
    provider::AuthType,
};

use super::{
    backend::{HOSTILE, STATE, connection, failure, login},
    client::{Server, between},
};

#[tokio::test]
async fn a_key_goes_from_the_form_to_the_backend_and_nowhere_else() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let form = browser.page("/providers/github?connection=work&replace=1").await;
    assert!(form.contains(r#"name="secret.api_key" type="password" autocomplete="off""#), "{form}");
    assert!(form.contains(r#"value="work""#) && form.contains("checked"), "{form}");
    assert!(form.contains("Starts with ghp_ or github_pat_."), "{form}");
    let sent = "secret.api_key=ghp_%2B1&connection=work&replace=1&field.none=x";
    let answer = browser.post("/providers/github/key", sent).await;
    assert_eq!(answer.location(), "/connections?done=connected");
    let done = server.backend.take_done();
    assert!(done.contains(&"put github/work api_key=ghp_+1 true".to_owned()), "{done:?}");
}

#[tokio::test]
async fn a_refused_key_is_explained_and_never_shown_again() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let error = failure(ErrorKind::Exists, "github/work is there", Some("tick the box"));
    *server.backend.fails.lock().unwrap() = Some(error);
    let answer =
        browser.post("/providers/github/key", "secret.api_key=sk-secret&connection=work").await;
    assert_eq!(answer.status, 409);
    assert!(answer.text.contains("github/work is there."), "{}", answer.text);
    assert!(answer.text.contains("tick the box"), "{}", answer.text);
    assert!(answer.text.contains(r#"value="work""#), "{}", answer.text);
    assert!(!answer.text.contains("sk-secret"), "{}", answer.text);
}

#[tokio::test]
async fn a_login_begins_as_the_form_says() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let page = browser.page("/providers/forge").await;
    for part in ["Left empty: repo user", "https://forge.test", r#"value="device_code""#] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let form = "connection=work&flow=device_code&scopes=a%2C+b&field.base_url=https%3A%2F%2Ff.test";
    let answer = browser.post("/providers/forge/login", form).await;
    assert_eq!(answer.location(), "/logins/0a");
    let begun = r#"begin forge/work flow=Some("device_code") scopes=Some(["a", "b"]) base_url=Some("https://f.test") fields={} replace=false"#;
    let done = server.backend.take_done();
    assert!(done.contains(&begun.to_owned()), "{done:?}");
}

#[tokio::test]
async fn a_base_url_is_asked_for_once_a_form_and_sent_only_if_it_is_given() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let page = browser.page("/providers/forge").await;
    let input = r#"name="field.base_url" type="text" value="" placeholder="https://forge.test" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby"#;
    assert_eq!(page.matches(input).count(), 2, "{page}");
    assert_eq!(page.matches("Base URL").count(), 2, "{page}");
    browser.post("/providers/forge/login", "connection=work&field.base_url=").await;
    let begun = "begin forge/work flow=None scopes=None base_url=None fields={} replace=false";
    let done = server.backend.take_done();
    assert!(done.contains(&begun.to_owned()), "{done:?}");
}

#[tokio::test]
async fn a_provider_with_oauth_takes_a_pasted_token_and_the_other_way_round() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let registry = authsome::dashboard::Backend::registry(&*server.backend);
    for definition in registry.iter() {
        let name = &definition.name;
        let page = browser.page(&format!("/providers/{name}")).await;
        let own = |action: &str| page.find(&format!(r#"action="/providers/{name}/{action}""#));
        let (key, login, fold) = (own("key"), own("login"), page.find("<details"));
        assert!(key.is_some(), "{name} takes no key");
        assert_eq!(login.is_some(), definition.oauth.is_some(), "{name}");
        assert_eq!(fold.is_some(), definition.oauth.is_some(), "{name}");
        let first = match definition.auth_type {
            AuthType::OAuth2 => login.or(key),
            AuthType::ApiKey => key,
        };
        assert!(fold.is_none() || first < fold, "{name}: its own kind is folded away");
    }
}

#[tokio::test]
async fn a_refused_form_is_shown_unfolded() {
    let server = Server::start().await;
    let browser = server.browser().await;
    assert!(browser.page("/providers/forge").await.contains(r#"<details class="card fold"><"#));
    for (form, open) in [("key", true), ("login", false)] {
        let error = failure(ErrorKind::Usage, "that is none", None);
        *server.backend.fails.lock().unwrap() = Some(error);
        let answer = browser.post(&format!("/providers/forge/{form}"), "connection=work").await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.text.contains(r#"<details class="card fold" open>"#), open, "{form}");
    }
}

#[tokio::test]
async fn what_the_providers_answer_tells_is_not_asked_for() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let page = browser.page("/providers/salesforce").await;
    let required = |id: &str| {
        let input = between(&page, &format!(r#"<input id="{id}""#), ">");
        input.contains(" required")
    };
    assert!(!required("login-host") && required("key-host"), "{page}");
}

#[tokio::test]
async fn a_server_is_connected_by_its_address() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let answer = browser.post("/servers", "url=https%3A%2F%2Fmcp.test%2F&connection=default").await;
    assert_eq!(answer.location(), "/logins/0a");
    assert!(server.backend.take_done()[0].starts_with("begin https://mcp.test//default"));
}

/// The page of a login at this step.
async fn shown(step: LoginStep) -> String {
    let server = Server::start().await;
    let browser = server.browser().await;
    server.backend.put_login("0a", step);
    browser.page("/logins/0a").await
}

#[tokio::test]
async fn a_working_login_is_looked_at_again() {
    let page = shown(LoginStep::Working).await;
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh" content="3"></noscript>"#));
    assert!(page.contains(r#"data-revision="7""#) && page.contains("/live.js"), "{page}");
}

#[tokio::test]
async fn a_login_that_needs_a_client_asks_for_it_and_keeps_still() {
    let page = shown(LoginStep::NeedsClient {
        redirect_uri: "http://127.0.0.1:7998/callback".into(),
        hint: Some("Register at https://forge.test/apps.".into()),
        needs_secret: true,
    })
    .await;
    assert!(page.contains("<code>http://127.0.0.1:7998/callback</code>"), "{page}");
    assert!(page.contains(r#"href="https://forge.test/apps""#), "{page}");
    assert!(page.contains(r#"name="secret.client_secret" type="password""#), "{page}");
    assert!(!page.contains("http-equiv"), "{page}");
}

#[tokio::test]
async fn a_login_in_the_browser_is_a_plain_link() {
    let url = "https://forge.test/authorize?a=1&b=2";
    let page =
        shown(LoginStep::Browser { url: url.into(), redirect_uri: "http://127.0.0.1/".into() })
            .await;
    assert!(page.contains(r#"href="https://forge.test/authorize?a=1&amp;b=2""#), "{page}");
    assert!(page.contains("Continue to Forge"), "{page}");
}

#[tokio::test]
async fn a_login_never_links_to_a_script() {
    let url = "javascript:alert(1)";
    let page = shown(LoginStep::Browser { url: url.into(), redirect_uri: String::new() }).await;
    assert!(!page.contains("href=\"javascript"), "{page}");
}

#[tokio::test]
async fn a_device_code_is_shown_with_where_to_type_it() {
    let page = shown(LoginStep::Device {
        user_code: "WDJB-MJHT".into(),
        verification_uri: "https://forge.test/device".into(),
        verification_uri_complete: Some("https://forge.test/device?c=WDJB".into()),
    })
    .await;
    for part in [">WDJB-MJHT<", "https://forge.test/device?c=WDJB", ">https://forge.test/device"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[tokio::test]
async fn an_ended_login_says_how_it_ended_and_keeps_still() {
    let done = LoginStep::Done {
        status: "stored".into(),
        connection: Box::new(connection("forge", "work")),
    };
    let error = failure(ErrorKind::Failed, HOSTILE, Some("log in again"));
    for (step, text) in [(done, "Connected"), (LoginStep::Failed { error }, "log in again")] {
        let page = shown(step).await;
        assert!(page.contains(text), "{page}");
        assert!(!page.contains("http-equiv") && !page.contains("<script>"), "{page}");
        assert!(!page.contains("Cancel"), "{page}");
    }
}

#[tokio::test]
async fn a_login_takes_what_is_added_to_it() {
    let server = Server::start().await;
    let browser = server.browser().await;
    server.backend.put_login("0a", LoginStep::Working);
    for (path, form, done) in [
        ("client", "client_id=id&secret.client_secret=s%26s", "client 0a id Some(\"s&s\")"),
        ("client", "client_id=id&secret.client_secret=", "client 0a id None"),
        ("address", "secret.url=http%3A%2F%2Fx%2F%3Fcode%3D1", "redirect 0a http://x/?code=1"),
        ("cancel", "", "cancel 0a"),
    ] {
        let answer = browser.post(&format!("/logins/0a/{path}"), form).await;
        assert_eq!(answer.location(), "/logins/0a", "{path}");
        assert_eq!(server.backend.take_done(), [done], "{path}");
    }
}

#[tokio::test]
async fn a_login_that_is_not_there_is_said_so() {
    let server = Server::start().await;
    let browser = server.browser().await;
    assert_eq!(browser.get("/logins/0a").await.status, 404);
}

#[tokio::test]
async fn a_provider_leads_back_without_a_session_by_its_state() {
    let server = Server::start().await;
    for path in authsome::dashboard::CALLBACK_PATHS {
        let answer = server.get(&format!("{path}?code=c&state={STATE}")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.contains("You can close this window."), "{}", answer.text);
        assert!(!answer.text.contains("<a "), "{}", answer.text);
    }
    let unknown = server.get("/callback?code=c&state=guessed").await;
    let nothing = server.get("/").await;
    assert_eq!((unknown.status, unknown.text), (403, nothing.text));
}

#[tokio::test]
async fn a_failed_callback_says_why_without_markup() {
    let server = Server::start().await;
    let error = failure(ErrorKind::Failed, &format!("refused: {HOSTILE}"), None);
    let failed = login("callback", LoginStep::Failed { error });
    server.backend.logins.lock().unwrap().insert("callback".into(), failed);
    let answer = server.get(&format!("/callback?state={STATE}")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("Refused: &lt;script&gt;"), "{}", answer.text);
    assert!(!answer.text.contains("<script"), "{}", answer.text);
}
