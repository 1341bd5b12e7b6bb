//! The pages with something on them, for a person or a browser's checks to look at.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authsome::protocol::{ConnectionView, ErrorKind, RunView, login::LoginStep};
use serde_json::json;

use super::{
    backend::{Fake, connection, failure, record},
    client::Server,
};

/// Where the link is written.
const LINK: &str = "AUTHSOME_SHOW_LINK";
/// How long to serve.
const SECONDS: &str = "AUTHSOME_SHOW_SECONDS";

/// `AUTHSOME_SHOW_LINK=FILE cargo test --test main dashboard::show -- --ignored`, then
/// `node integration/browser/look.mjs --open "$(cat FILE)" …`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until it is stopped"]
async fn serves_the_pages_to_look_at() {
    let server = Server::start().await;
    fill(&server.backend);
    let file = std::path::PathBuf::from(std::env::var_os(LINK).expect(LINK));
    let seconds: u64 =
        std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let mut left = seconds;
    while left > 0 {
        // A link lasts for a minute.
        if left.is_multiple_of(30) || left == seconds {
            let link = server.dashboard.link(None);
            authsome::paths::write_private(&file, link.as_bytes()).unwrap();
        }
        // Nobody may be looking.
        let _ = server.backend.live.send(Arc::new(request(left)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        left -= 1;
    }
}

fn request(number: u64) -> authsome::dashboard::AuditLine {
    let deny = number.is_multiple_of(5);
    let mut line = record(json!({
        "time": format!("2026-11-22T18:{:02}:{:02}.250Z", number / 60 % 60, number % 60),
        "method": if deny { "POST" } else { "GET" },
        "host": if deny { "exfil.example.net" } else { "api.github.com" },
        "port": if deny { 8443 } else { 443 },
        "path": format!("/repos/authsome/authsome/issues/{number}"),
        "decision": if deny { "deny" } else { "inject" },
        "status": if deny { 403 } else { 200 },
        "run": "5f3a9c0d12e4b678",
    }));
    if deny {
        line.insert("error".into(), "egress-refused".into());
    } else {
        line.insert("connection".into(), "github/default".into());
    }
    line
}

fn fill(backend: &Fake) {
    *backend.connections.lock().unwrap() = vec![
        ConnectionView {
            default: true,
            last_used_at: Some("2026-11-22T18:01:02Z".into()),
            ..connection("github", "default")
        },
        ConnectionView {
            expires_at: Some("2027-02-01T00:00:00Z".into()),
            last_used_at: Some("2026-11-20T08:30:00Z".into()),
            ..connection("github", "work@example.com")
        },
        ConnectionView {
            default: true,
            status: "needs_login".into(),
            reason: Some("the refresh token is not valid any more".into()),
            scopes: vec!["repo".into(), "user".into()],
            fields: BTreeMap::from([("base_url".into(), "https://forge.example.com".into())]),
            expires_at: Some("2026-11-21T10:00:00Z".into()),
            ..connection("forge", "default")
        },
        ConnectionView { default: true, ..connection("openai", "default") },
    ];
    let run = |id: &str, command: &str, seconds, requests| RunView {
        id: id.into(),
        command: command.into(),
        seconds,
        requests,
    };
    *backend.runs.lock().unwrap() = vec![
        run("5f3a9c0d12e4b678", "claude", 4_512, 318),
        run("00d1c2b3a4958677", "codex", 75, 12),
    ];
    *backend.problems.lock().unwrap() = vec![failure(
        ErrorKind::Failed,
        "provider definition acme.toml cannot be read: line 3: `host` is not known",
        Some("did you mean `hosts`?"),
    )];
    let mut lines: Vec<_> = (1..=12).map(request).collect();
    lines.push(record(json!({
        "kind": "splice", "host": "registry.npmjs.org", "port": 443, "decision": "splice",
        "run": "5f3a9c0d12e4b678",
    })));
    lines.push(record(json!({
        "kind": "vault", "operation": "put", "connection": "github/default",
    })));
    lines.push(record(json!({
        "kind": "run", "operation": "open", "run": "5f3a9c0d12e4b678",
    })));
    *backend.audit.lock().unwrap() = lines;
    backend.put_login("working", LoginStep::Working);
    backend.put_login(
        "client",
        LoginStep::NeedsClient {
            redirect_uri: "http://127.0.0.1:7998/auth/callback/oauth".into(),
            hint: Some("Register an application at https://forge.test/apps".into()),
            needs_secret: true,
        },
    );
    backend.put_login(
        "browser",
        LoginStep::Browser {
            url: "https://forge.test/authorize?client_id=x&state=y".into(),
            redirect_uri: "http://127.0.0.1:7998/callback".into(),
        },
    );
    backend.put_login(
        "device",
        LoginStep::Device {
            user_code: "WDJB-MJHT".into(),
            verification_uri: "https://forge.test/device".into(),
            verification_uri_complete: None,
        },
    );
    let stored = Box::new(connection("forge", "work"));
    backend.put_login("done", LoginStep::Done { status: "stored".into(), connection: stored });
    let error = failure(
        ErrorKind::LoginNeeded,
        "forge.test refused the login: access_denied",
        Some("log in again and allow the access"),
    );
    backend.put_login("failed", LoginStep::Failed { error });
}
