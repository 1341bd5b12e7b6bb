//! Who comes in, and who does not.

use super::client::{Server, path_of};

const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src \
         'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
    ("x-frame-options", "DENY"),
];

/// Every path there is, and one there is not.
const PATHS: [&str; 14] = [
    "/",
    "/connections",
    "/connections/a/b/disconnect",
    "/providers",
    "/providers/github",
    "/logins/0a",
    "/logins/0a/address",
    "/runs",
    "/runs/1",
    "/events",
    "/audit",
    "/health",
    "/live.js",
    "/nowhere",
];

#[tokio::test]
async fn without_a_session_there_is_nothing_wherever_one_looks() {
    let server = Server::start().await;
    let nothing = server.get("/").await;
    assert_eq!(nothing.status, 403);
    assert!(nothing.text.contains("authsome ui"), "{}", nothing.text);
    for path in PATHS {
        let answer = server.get(path).await;
        assert_eq!((answer.status, &answer.text), (403, &nothing.text), "{path}");
    }
    let host = server.host();
    for line in ["POST /connections/a/b/disconnect", "POST /sign-out", "DELETE /", "HEAD /"] {
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n");
        assert_eq!(server.send(&head, "").await.status, 403, "{line}");
    }
    assert!(server.backend.take_done().is_empty());
}

#[tokio::test]
async fn an_invented_cookie_opens_nothing() {
    let server = Server::start().await;
    let (host, port) = (server.host(), server.port);
    for cookie in [String::new(), "0".repeat(64), "\"".to_owned()] {
        let head =
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: authsome-{port}={cookie}\r\n");
        assert_eq!(server.send(&head, "").await.status, 403, "{cookie}");
    }
}

#[tokio::test]
async fn a_link_opens_the_page_it_was_made_for_once() {
    let server = Server::start().await;
    let link = server.dashboard.link("default", Some("/providers/github?replace=1"));
    assert!(link.starts_with(&format!("http://{}/open/", server.host())), "{link}");
    let first = server.get(path_of(&link)).await;
    assert_eq!(first.status, 200);
    assert!(first.text.contains("0; url=/providers/github?replace=1"), "{}", first.text);
    let cookie = first.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let second = server.get(path_of(&link)).await;
    assert_eq!(second.status, 403);
    assert!(second.header("set-cookie").is_none());
}

#[tokio::test]
async fn a_look_at_a_links_head_does_not_use_it_up() {
    let server = Server::start().await;
    let link = server.dashboard.link("default", None);
    let head = format!("HEAD {} HTTP/1.1\r\nHost: {}\r\n", path_of(&link), server.host());
    assert_eq!(server.send(&head, "").await.status, 403);
    assert_eq!(server.get(path_of(&link)).await.status, 200);
}

#[tokio::test]
async fn a_link_leads_to_pages_of_ours_only() {
    let server = Server::start().await;
    for page in ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"] {
        let link = server.dashboard.link("default", Some(page));
        let answer = server.get(path_of(&link)).await;
        assert!(answer.text.contains("0; url=/\""), "{}", answer.text);
        assert!(!answer.text.contains("evil"), "{}", answer.text);
    }
}

#[tokio::test]
async fn another_host_is_told_nothing_session_or_not() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (port, cookie) = (server.port, &browser.cookie);
    let hosts = [
        format!("Host: localhost:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("Host: evil.test:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}.evil.test\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nHost: evil.test\r\n"),
    ];
    for host in hosts {
        for path in ["/", "/style.css", "/callback?state=unguessable"] {
            let head = format!("GET {path} HTTP/1.1\r\n{host}Cookie: {cookie}\r\n");
            let answer = server.send(&head, "").await;
            assert_eq!((answer.status, answer.text.as_str()), (421, "nothing here\n"), "{host}");
        }
    }
    let head =
        format!("GET http://evil.test/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n");
    assert_eq!(server.send(&head, "").await.status, 421);
    let head = format!("GET / HTTP/1.0\r\nCookie: {cookie}\r\n");
    assert_eq!(server.send(&head, "").await.status, 421);
}

#[tokio::test]
async fn another_origin_is_refused_also_for_reading() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let port = server.port;
    let origins = [
        "https://evil.test".to_owned(),
        "null".to_owned(),
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ];
    for origin in origins {
        let line = format!("Origin: {origin}\r\n");
        let read = server.send(&(browser.head("GET", "/") + &line), "").await;
        assert_eq!(read.status, 403, "{origin}");
        let form = format!("csrf={}", browser.csrf);
        let posted = browser.post_raw("/connections/a/b/default", &line, &form).await;
        assert_eq!(posted.status, 403, "{origin}");
    }
    for site in ["cross-site", "same-site", "nonsense"] {
        let line = format!("Sec-Fetch-Site: {site}\r\n");
        assert_eq!(server.send(&(browser.head("GET", "/") + &line), "").await.status, 403);
        let line = format!("Origin: http://{}\r\n{line}", server.host());
        let form = format!("csrf={}", browser.csrf);
        let posted = browser.post_raw("/connections/a/b/default", &line, &form).await;
        assert_eq!(posted.status, 403, "{site}");
    }
    let done = server.backend.take_done();
    assert!(!done.iter().any(|done| done.starts_with("default")), "{done:?}");
}

#[tokio::test]
async fn a_form_needs_a_sign_of_where_it_comes_from() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let form = format!("csrf={}", browser.csrf);
    assert_eq!(browser.post_raw("/connections/a/b/default", "", &form).await.status, 403);
    // What browsers send from a page with `Referrer-Policy: no-referrer`.
    let headers = "Origin: null\r\nSec-Fetch-Site: same-origin\r\n";
    let posted = browser.post_raw("/connections/a/b/default", headers, &form).await;
    assert_eq!(posted.location(), "/connections?done=default");
}

#[tokio::test]
async fn a_form_without_its_sessions_token_changes_nothing() {
    let server = Server::start().await;
    let (browser, other) = (server.browser().await, server.browser().await);
    let origin = format!("Origin: http://{}\r\n", server.host());
    let path = "/connections/a/b/disconnect";
    let foreign = format!("csrf={}", other.csrf);
    for form in ["", "csrf=", "csrf=00", &foreign, "secret.csrf=x"] {
        let answer = browser.post_raw(path, &origin, form).await;
        assert_eq!(answer.status, 403, "{form}");
    }
    let done = server.backend.take_done();
    assert!(!done.iter().any(|done| done.starts_with("disconnect")), "{done:?}");
    assert_eq!(browser.post(path, "").await.status, 200);
    assert!(server.backend.take_done().contains(&"disconnect a/b".to_owned()));
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let mut answers = vec![
        server.get("/").await,
        server.get("/open/nothing").await,
        server.get("/style.css").await,
        server.get("/callback").await,
        server.get("/callback?state=unguessable").await,
        server.get(path_of(&server.dashboard.link("default", None))).await,
        server.send("GET / HTTP/1.1\r\nHost: evil.test\r\n", "").await,
        browser.post("/connections/a/b/default", "").await,
        browser.post("/nowhere", "").await,
        browser.post_raw("/sign-out", "", "").await,
        server.send(&browser.head("DELETE", "/"), "").await,
    ];
    for path in PATHS.into_iter().filter(|path| *path != "/events") {
        answers.push(browser.get(path).await);
    }
    for answer in answers {
        for (name, value) in HEADERS {
            assert_eq!(answer.header(name), Some(value), "{name} of {}", answer.head);
        }
    }
}

#[tokio::test]
async fn sessions_survive_a_restart_and_their_forms_too() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (cookie, csrf) = (browser.cookie.clone(), browser.csrf.clone());
    let token = cookie.split_once('=').unwrap().1;
    assert!(!std::fs::read_to_string(&server.sessions).unwrap().contains(token));
    let server = server.restart().await;
    let browser = super::client::Browser { server: &server, cookie, csrf };
    assert!(browser.page("/").await.contains("Overview"));
    assert_eq!(browser.post("/connections/a/b/default", "").await.status, 303);
}

#[tokio::test]
async fn a_signed_out_session_is_over_also_after_a_restart() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let left = browser.post("/sign-out", "").await;
    assert_eq!(left.status, 200);
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(browser.get("/").await.status, 403);
    let cookie = browser.cookie.clone();
    let server = server.restart().await;
    let browser = super::client::Browser { server: &server, cookie, csrf: String::new() };
    assert_eq!(browser.get("/").await.status, 403);
}
