//! Ways to name a host. The connection's own name is the one that counts: in another spelling it is the
//! same, and any other is refused.

use std::fmt::Write as _;

use super::{agent::Agent, stage::Stage};

const POLICY: &str = "[[rule]]\nverdict = \"deny\"\nid = \"admin\"\nhost = \"api.acme.test\"\n\
                      path = \"/admin/**\"\n";

const SAME: &str = "200 -";
const OTHER: &str = "421 misdirected";
const NONE: &str = "400 -";

/// `Host` on a connection to `api.acme.test`, and what comes of a request for what it may have.
#[rustfmt::skip]
const HOSTS: &[(&str, &str)] = &[
    ("api.acme.test", SAME),
    ("API.Acme.TEST", SAME),
    ("api.acme.test.", SAME),
    ("api.acme.test:443", SAME),
    ("api.acme.test:", SAME),
    ("api.acme.test.:443", SAME),
    ("api.acme.test:8443", OTHER),
    ("api.acme.test:80", OTHER),
    ("api.acme.test:443:443", OTHER),
    ("api.acme.test..", OTHER),
    (".api.acme.test", OTHER),
    ("other.acme.test", OTHER),
    ("files.acme.test", OTHER),
    ("acme.test", OTHER),
    ("127.0.0.1", OTHER),
    ("[::1]", OTHER),
    ("x@api.acme.test", OTHER),
    ("api.acme.test@other.acme.test", OTHER),
    ("other.acme.test@api.acme.test", OTHER),
    ("api.acme.test, other.acme.test", OTHER),
    ("api.acme.test/", OTHER),
    ("api.acme.test/admin", OTHER),
    ("api.acme.test#", OTHER),
    ("api%2eacme.test", OTHER),
    ("xn--api-.acme.test", OTHER),
    ("api\u{3002}acme\u{3002}test", "400 bad-authority"),
    ("\u{ff41}pi.acme.test", "400 bad-authority"),
    ("", "400 bad-authority"),
    ("api.acme.test\0", NONE),
];

/// A host in its plain spelling.
fn plain(host: &str) -> String {
    let host = host.trim_end_matches("443").trim_end_matches(':').trim_end_matches('.');
    host.to_lowercase()
}

async fn told(agent: &Agent, host: &str, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = agent.raw("api.acme.test", head.as_bytes()).await.unwrap();
    format!("{} {}", answer.status, answer.code())
}

#[tokio::test]
async fn a_name_in_another_spelling_is_the_same_host_and_no_other_is() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    let mut failures = String::new();
    for (host, expected) in HOSTS {
        let open = told(&agent, host, "/items").await;
        let received = stage.server.take();
        // As the agent spelt it.
        let sent = received.iter().filter_map(|seen| seen.header("host"));
        let sent: Vec<_> = sent.map(plain).collect();
        let named = if *expected == SAME { vec!["api.acme.test".to_owned()] } else { Vec::new() };
        let shut = told(&agent, host, "/admin/users").await;
        let shut_as = if *expected == SAME { "403 policy-denied" } else { expected };
        let hidden = stage.server.take();
        if open != *expected || shut != shut_as || sent != named || !hidden.is_empty() {
            writeln!(failures, "{host:?}: {open}, {shut}, received {received:?} {hidden:?}")
                .unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[tokio::test]
async fn two_hosts_or_none_are_refused() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    for fields in [
        "",
        "Host: api.acme.test\r\nHost: api.acme.test\r\n",
        "Host: api.acme.test\r\nHost: other.acme.test\r\n",
        "Host : api.acme.test\r\n",
    ] {
        let head = format!("GET /items HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        let answer = agent.raw("api.acme.test", head.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 400, "{fields:?}");
        assert!(stage.server.take().is_empty(), "{fields:?}");
    }
}

#[tokio::test]
async fn the_name_in_the_handshake_counts_in_any_case() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    for path in ["/items", "/admin"] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: api.acme.test\r\nConnection: close\r\n\r\n");
        let answer = agent.raw("API.ACME.test", head.as_bytes()).await.unwrap();
        assert_eq!(answer.status, if path == "/admin" { 403 } else { 200 });
    }
    assert_eq!(stage.server.take().len(), 1);
}

#[tokio::test]
async fn http_2_may_not_name_another_host_than_its_connection() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    let mut sender = agent.http2("api.acme.test").await;
    for (uri, expected) in [
        ("https://api.acme.test/items", SAME),
        ("https://API.acme.test:443/items", SAME),
        ("https://other.acme.test/items", OTHER),
        ("https://x@api.acme.test/items", OTHER),
        ("https://api.acme.test:8443/items", OTHER),
        ("https://api.acme.test./items", SAME),
    ] {
        let answer = Agent::get2(&mut sender, uri.parse().unwrap()).await.unwrap();
        assert_eq!(format!("{} {}", answer.status, answer.code()), expected, "{uri}");
        let sent = stage.server.take();
        assert_eq!(sent.len(), usize::from(expected == SAME), "{uri}");
    }
}
