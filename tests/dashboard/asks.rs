//! Requests that wait for a person.

use authsome::protocol::{ErrorKind, asks::AskView};

use super::{
    backend::{HOSTILE, ask, failure},
    client::Server,
    live::{listen, until},
};

#[tokio::test]
async fn a_waiting_request_is_shown_with_all_that_matters() {
    let server = Server::start().await;
    let browser = server.browser().await;
    assert!(browser.page("/asks").await.contains("Nothing is waiting."));
    *server.backend.asks.lock().unwrap() = vec![AskView { count: 3, ..ask("k7f2") }];
    let page = browser.page("/asks").await;
    for part in [
        "api.github.com/repos/ada/x",
        "github/work",
        "policy.toml:3",
        "deleting is for people",
        "3 equal requests",
        "1 min 15 s",
        "codex",
        r#"action="/asks/k7f2""#,
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches(r#"name="answer""#).count(), 4);
}

#[tokio::test]
async fn every_page_says_how_many_wait() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let none = browser.page("/connections").await;
    assert!(none.contains("<title>Connections – authsome</title>"), "{none}");
    assert!(none.contains(r#"data-count="0" hidden"#), "{none}");
    *server.backend.asks.lock().unwrap() = vec![ask("k7f2"), ask("m3x8")];
    for path in ["/", "/connections", "/health"] {
        let page = browser.page(path).await;
        assert!(page.contains("<title>(2) "), "{path}: {page}");
        assert!(page.contains(r#"data-count="2">"#), "{path}: {page}");
    }
    assert!(browser.page("/").await.contains("2 requests wait for you."));
}

#[tokio::test]
async fn each_button_is_its_answer() {
    let server = Server::start().await;
    let browser = server.browser().await;
    for (form, noted) in [
        ("answer=once", "answer k7f2 Once"),
        ("answer=run", "answer k7f2 Run"),
        ("answer=always&reason=", "answer k7f2 Always"),
        ("answer=deny&reason=not+now", r#"answer k7f2 Deny { reason: Some("not now") }"#),
    ] {
        *server.backend.asks.lock().unwrap() = vec![ask("k7f2")];
        let answer = browser.post("/asks/k7f2", form).await;
        assert!(answer.location().starts_with("/asks?done="), "{}", answer.location());
        assert_eq!(server.backend.take_done(), [noted]);
        let page = browser.page(answer.location()).await;
        assert!(page.contains(r#"role="status"><p>"#), "{page}");
    }
}

#[tokio::test]
async fn enter_in_the_reason_of_a_denial_does_not_allow() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.asks.lock().unwrap() = vec![ask("k7f2")];
    let page = browser.page("/asks").await;
    let (_, deny) = page.split_once(r#"<form class="deny""#).unwrap();
    let (form, _) = deny.split_once("</form>").unwrap();
    assert!(form.contains(r#"name="reason""#) && form.contains(r#"value="deny""#), "{form}");
    assert_eq!(form.matches("<button").count(), 1);
    assert_eq!(page.matches(r#"name="reason""#).count(), 1);
}

#[tokio::test]
async fn an_answer_needs_the_sessions_token_and_a_yes_or_no() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.asks.lock().unwrap() = vec![ask("k7f2")];
    let origin = format!("Origin: http://{}\r\n", server.host());
    let forged = browser.post_raw("/asks/k7f2", &origin, "csrf=00&answer=once").await;
    assert_eq!(forged.status, 403);
    let elsewhere = "Origin: http://evil.test\r\n";
    let form = format!("csrf={}&answer=once", browser.csrf);
    assert_eq!(browser.post_raw("/asks/k7f2", elsewhere, &form).await.status, 403);
    assert_eq!(browser.post("/asks/k7f2", "answer=perhaps").await.status, 400);
    assert_eq!(browser.get("/asks/k7f2").await.status, 404);
    assert_eq!(server.backend.take_done(), Vec::<String>::new());
}

#[tokio::test]
async fn who_answers_too_late_is_told_and_sees_what_still_waits() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.asks.lock().unwrap() = vec![ask("m3x8")];
    let answer = browser.post("/asks/gone", "answer=once").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("Nothing of that id is waiting."), "{}", answer.text);
    assert!(answer.text.contains("/asks/m3x8"), "{}", answer.text);
    let error = failure(ErrorKind::Failed, "the policy cannot be written", Some("make room"));
    *server.backend.fails.lock().unwrap() = Some(error);
    let answer = browser.post("/asks/m3x8", "answer=always").await;
    assert_eq!(answer.status, 409);
    assert!(answer.text.contains("make room") && answer.text.contains("/asks/m3x8"));
}

#[tokio::test]
async fn nothing_an_agent_says_becomes_markup() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let text = || HOSTILE.to_owned();
    let hostile = AskView {
        id: text(),
        agent: text(),
        command: text(),
        connection: Some(text()),
        method: text(),
        host: text(),
        path: text(),
        policy: Some(text()),
        reason: Some(text()),
        run: text(),
        expires_at: text(),
        ..ask("")
    };
    *server.backend.asks.lock().unwrap() = vec![hostile];
    let page = browser.page("/asks").await;
    assert!(!page.contains("<script>") && !page.contains("alert('x')\""), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[tokio::test]
async fn a_browser_without_a_script_looks_again_by_itself() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let page = browser.page("/asks").await;
    assert!(page.contains(r#"<noscript><meta http-equiv="refresh" content="5"></noscript>"#));
}

#[tokio::test]
async fn whoever_looks_on_hears_that_a_request_waits() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (mut stream, _) = listen(&browser, "/events?only=asks").await;
    assert_eq!(server.backend.live.receiver_count(), 0, "requests would be told, too");
    server.backend.asks.lock().unwrap().push(ask("k7f2"));
    server.backend.asks_changes.send_replace(1);
    until(&mut stream, "event: asks\ndata: 1\n\n").await;
}
