//! What the pages show.

use std::collections::BTreeMap;

use authsome::protocol::{ConnectionView, ErrorKind, RunView, publish::PublishedPort};
use serde_json::json;

use super::{
    backend::{Fake, HOSTILE, connection, failure, record},
    client::Server,
};

/// Everything the dashboard shows that others have named, named by somebody hostile.
fn fill_with_hostility(backend: &Fake) {
    *backend.connections.lock().unwrap() = vec![ConnectionView {
        status: HOSTILE.into(),
        reason: Some(HOSTILE.into()),
        scopes: vec![HOSTILE.into()],
        fields: BTreeMap::from([(HOSTILE.into(), HOSTILE.into())]),
        sources: BTreeMap::from([(HOSTILE.into(), HOSTILE.into())]),
        expires_at: Some(HOSTILE.into()),
        last_used_at: Some(HOSTILE.into()),
        ..connection("github", HOSTILE)
    }];
    let everywhere = json!({
        "time": HOSTILE, "kind": HOSTILE, "operation": HOSTILE, "host": HOSTILE, "path": HOSTILE,
        "connection": HOSTILE, "run": HOSTILE, "decision": HOSTILE, "error": HOSTILE,
        "process": 42, "executable": HOSTILE,
    });
    let denied = json!({ "decision": "deny", "method": HOSTILE });
    *backend.audit.lock().unwrap() = vec![record(everywhere), record(denied)];
    *backend.runs.lock().unwrap() = vec![RunView {
        id: HOSTILE.into(),
        command: HOSTILE.into(),
        agent: HOSTILE.into(),
        profile: HOSTILE.into(),
        seconds: 3,
        requests: 4,
        published: Vec::new(),
    }];
    *backend.problems.lock().unwrap() = vec![failure(ErrorKind::Failed, HOSTILE, Some(HOSTILE))];
}

#[tokio::test]
async fn no_name_becomes_markup() {
    let server = Server::start().await;
    let browser = server.browser().await;
    fill_with_hostility(&server.backend);
    let name = "%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E%22%26";
    let paths = [
        "/".to_owned(),
        "/connections".to_owned(),
        format!("/connections/github/{name}/disconnect"),
        format!("/providers?q={name}"),
        format!("/providers/github?connection={name}"),
        "/runs".to_owned(),
        format!("/runs/{name}"),
        format!("/audit?host={name}&run={name}&connection={name}"),
        "/health".to_owned(),
    ];
    for path in paths {
        let page = browser.page(&path).await;
        assert!(!page.contains("<script>") && !page.contains("alert('x')\""), "{path}: {page}");
        assert!(page.contains("&lt;script&gt;"), "{path} shows nothing of it: {page}");
    }
}

#[tokio::test]
async fn the_overview_names_what_needs_somebody() {
    let server = Server::start().await;
    let browser = server.browser().await;
    assert!(browser.page("/").await.contains("Everything works."));
    let broken = ConnectionView {
        status: "needs_login".into(),
        reason: Some("the refresh token is not valid any more".into()),
        ..connection("github", "work")
    };
    *server.backend.connections.lock().unwrap() = vec![connection("openai", "default"), broken];
    *server.backend.problems.lock().unwrap() =
        vec![failure(ErrorKind::Failed, "the disk is full", Some("make room"))];
    let page = browser.page("/").await;
    assert!(page.contains("The disk is full.") && page.contains("make room"), "{page}");
    assert!(page.contains("the refresh token is not valid any more"), "{page}");
    assert!(page.contains("http://127.0.0.1:7998"), "{page}");
    let again = "/providers/github?connection=work&amp;replace=1";
    assert!(page.contains(again) && !page.contains("openai/default"), "{page}");
}

#[tokio::test]
async fn a_connection_is_shown_with_its_dates_and_a_name_for_each_action() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.connections.lock().unwrap() = vec![
        ConnectionView { default: true, ..connection("github", "default") },
        ConnectionView {
            expires_at: Some("2020-01-02T03:04:05Z".into()),
            last_used_at: Some("2020-01-01T03:04:05Z".into()),
            ..connection("openai", "work@x")
        },
    ];
    let page = browser.page("/connections").await;
    let time = r#"<time datetime="2020-01-02T03:04:05Z">2 Jan 2020, 03:04 UTC</time>"#;
    for part in [time, ">Expired<", ">Connected<", "/connections/openai/work%40x/disconnect"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches("Make default").count(), 1);
}

#[tokio::test]
async fn why_a_login_is_needed_and_what_was_granted_is_shown() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.connections.lock().unwrap() = vec![ConnectionView {
        status: "needs_login".into(),
        reason: Some("the consent was withdrawn".into()),
        scopes: vec!["repo".into(), "read:user".into()],
        ..connection("github", "work")
    }];
    for path in ["/connections", "/providers/github"] {
        let page = browser.page(path).await;
        for part in [">Needs login<", "The consent was withdrawn.", "Scopes: repo read:user"] {
            assert!(page.contains(part), "{path}: {part} in {page}");
        }
    }
}

#[tokio::test]
async fn where_a_value_lies_and_why_it_does_not_come_is_shown() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.connections.lock().unwrap() = vec![ConnectionView {
        status: "source_failed".into(),
        reason: Some("cannot read /run/secrets/key".into()),
        sources: BTreeMap::from([("api_key".into(), "file:/run/secrets/key".into())]),
        ..connection("github", "work")
    }];
    let page = browser.page("/connections").await;
    for part in
        [">No value<", "Cannot read /run/secrets/key.", "api_key from file:/run/secrets/key"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[tokio::test]
async fn disconnecting_is_asked_twice() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.connections.lock().unwrap() = vec![connection("github", "work")];
    let path = "/connections/github/work/disconnect";
    assert!(browser.page(path).await.contains("It cannot be undone."));
    let done = server.backend.take_done();
    assert!(!done.iter().any(|done| done.starts_with("disconnect")), "{done:?}");
    let answer = browser.post(path, "").await;
    assert!(answer.text.contains("revoked at the provider"), "{}", answer.text);
    assert_eq!(server.backend.take_done(), ["disconnect github/work"]);
}

#[tokio::test]
async fn the_catalogue_is_searched_by_name_and_host() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.connections.lock().unwrap() = vec![connection("github", "work")];
    let all = browser.page("/providers").await;
    let by_name = browser.page("/providers?q=GitHub+mcp").await;
    let by_host = browser.page("/providers?q=uploads.github").await;
    let none = browser.page("/providers?q=nobody-has-this").await;
    let cards = |page: &str| page.matches("<li class=\"card\">").count();
    assert!(cards(&all) > 50);
    assert_eq!((cards(&by_name), cards(&by_host), cards(&none)), (1, 1, 0));
    assert!(by_host.contains(">Connected<") && !by_name.contains(">Connected<"));
}

#[tokio::test]
async fn the_audit_log_is_filtered_as_the_form_says() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let page = browser
        .page("/audit?kind=request&decision=deny&host=git&connection=github&run=1&limit=500")
        .await;
    let filter = r#"audit AuditFilter { kind: Some("request"), decision: Some("deny"), host: Some("git"), connection: Some("github"), run: Some("1"), before: None, limit: 500 }"#;
    assert_eq!(server.backend.take_done(), [filter]);
    assert!(page.contains(r#"<option value="deny" selected>"#), "{page}");
    assert!(!page.contains(" required"), "a filter may be left empty: {page}");
    assert!(page.contains(r#"href="/audit?decision=deny" aria-current="page""#), "{page}");
    browser.page("/audit?kind=nonsense&limit=999999999").await;
    assert!(server.backend.take_done()[0].contains("kind: None"));
}

#[tokio::test]
async fn the_audit_log_leads_to_what_is_older_with_the_same_filters() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let first = browser.page("/audit?kind=request").await;
    assert!(!first.contains(">Older<") && !first.contains(">Newest<"), "{first}");
    *server.backend.audit.lock().unwrap() =
        (0..100).rev().map(|number| record(json!({ "seq": 500 + number }))).collect();
    let first = browser.page("/audit?kind=request&host=a%26b").await;
    let older = r#"<a href="/audit?host=a%26b&amp;kind=request&amp;before=500">Older</a>"#;
    assert!(first.contains(older) && !first.contains(">Newest<"), "{first}");
    server.backend.take_done();
    let second = browser.page("/audit?host=a%26b&kind=request&before=500").await;
    assert!(server.backend.take_done()[0].contains("before: Some(500), limit: 100"));
    assert!(second.contains(r#"<a href="/audit?host=a%26b&amp;kind=request">Newest</a>"#));
}

#[tokio::test]
async fn a_run_links_to_its_requests() {
    let server = Server::start().await;
    let browser = server.browser().await;
    *server.backend.runs.lock().unwrap() = vec![RunView {
        id: "00ff".into(),
        command: "claude".into(),
        agent: "agent://local/claude".into(),
        profile: "default".into(),
        seconds: 75,
        requests: 4,
        published: vec![PublishedPort { port: 3000, host_port: 3001 }],
    }];
    let list = browser.page("/runs").await;
    assert!(list.contains(r#"href="/runs/00ff""#) && list.contains("1 min 15 s"), "{list}");
    let run = browser.page("/runs/00ff").await;
    assert!(run.contains("Run of claude") && run.contains(r#"data-run="00ff""#), "{run}");
    assert!(run.contains("localhost:3001") && run.contains("port 3000"), "{run}");
    assert!(browser.page("/runs/gone").await.contains("Not open"));
}

#[tokio::test]
async fn what_is_missing_is_a_page_that_says_so() {
    let server = Server::start().await;
    let browser = server.browser().await;
    for path in ["/nowhere", "/providers/nobody", "/connections/a/b/disconnect", "/sign-out"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text.contains("There is no such"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_backend_that_fails_is_a_page_that_says_why() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let error = failure(ErrorKind::Unavailable, "the vault is locked", Some("unlock it"));
    *server.backend.fails.lock().unwrap() = Some(error);
    let answer = browser.post("/connections/a/b/default", "").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("The vault is locked.") && answer.text.contains("unlock it"));
}
