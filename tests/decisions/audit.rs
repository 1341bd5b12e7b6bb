//! What is on record of requests, in the file that a person reads. Each row of a table checks the same
//! of its own event; here it is the log itself, after it was closed.

use authsome::audit::{Event, Kind};
use secrecy::ExposeSecret as _;

use super::stage::{Stage, secret};

const POLICY: &str = "[[rule]]\nverdict = \"deny\"\nid = \"no-writes\"\naction = \"write\"\n\n\
                      [[rule]]\nverdict = \"allow\"\nid = \"items\"\npath = \"/items/**\"\n";

/// Never to be found in the log.
const QUERY: &str = "token=hunter2-in-the-query";

fn requests(stage: &Stage) -> Vec<Event> {
    let events = stage.log().into_iter().map(|entry| entry.event);
    events.filter(|event| event.kind == Kind::Request).collect()
}

#[tokio::test]
async fn a_line_says_who_did_what_and_by_which_rule() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    let mut live = stage.common.live();
    for (method, path) in
        [("GET", "/items/./a%2d1"), ("POST", "/items/7"), ("GET", "/other"), ("GET", "/bad%00")]
    {
        agent.send(method, &format!("{path}?{QUERY}"), "").await;
        agent.record(&mut live).await;
    }
    let events = requests(&stage);
    let summary: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event.method.as_deref().unwrap(),
                event.path.as_deref().unwrap(),
                event.decision.as_deref().unwrap(),
                event.policy.as_deref().unwrap_or("-"),
                event.connection.as_deref().unwrap_or("-"),
                event.status.unwrap(),
                event.error.as_deref().unwrap_or("-"),
            )
        })
        .collect();
    assert_eq!(
        summary,
        [
            ("GET", "/items/a-1", "inject", "items", "acme/default", 200, "-"),
            ("POST", "/items/7", "deny", "no-writes", "acme/default", 403, "policy-denied"),
            ("GET", "/other", "inject", "-", "acme/default", 200, "-"),
            ("GET", "/bad%00", "deny", "-", "-", 400, "bad-path"),
        ]
    );
    for event in &events {
        assert_eq!(event.agent.as_deref(), Some("agent://local/codex"));
        assert_eq!(event.user.as_deref(), Some(&**stage.common.user()));
        assert_eq!(event.run.as_deref(), Some(agent.run.as_str()));
        assert_eq!(event.profile.as_deref(), Some("default"));
        assert_eq!((event.host.as_deref(), event.port), (Some("api.acme.test"), Some(443)));
        assert!(event.duration_ms.is_some() && event.bytes_received.is_some());
    }
}

#[tokio::test]
async fn neither_query_nor_secret_is_written_down() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent("codex");
    let mut live = stage.common.live();
    let placeholder = agent.placeholder("acme/work").to_owned();
    for (method, path) in [("GET", "/items"), ("POST", "/items"), ("GET", "/%zz")] {
        let field = format!("Authorization: Bearer {placeholder}\r\n");
        agent.send(method, &format!("{path}?{QUERY}"), &field).await;
        agent.record(&mut live).await;
    }
    let text: String =
        stage.log().iter().map(|entry| serde_json::to_string(&entry.event).unwrap()).collect();
    let secret = secrecy::SecretString::from(secret("acme/work"));
    for hidden in [QUERY, "hunter2", &placeholder, secret.expose_secret()] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
}
