//! What a run may reach at all, and what the policy says to that: both have to agree.

use std::fmt::Write as _;

use authsome::protocol::HostPort;

use super::{agent::Options, stage::Stage};

const POLICY: &str = "default = \"allow\"\n\n\
                      [[rule]]\nverdict = \"allow\"\nid = \"files\"\naction = \"connect\"\n\
                      host = \"files.acme.test\"\n\n\
                      [[rule]]\nverdict = \"deny\"\nid = \"no-leaks\"\naction = \"connect\"\n\
                      host = \"leaks.acme.test\"\n";

/// Hosts that `--allow` names, a host, and what becomes of a connection to it: `-` it comes about, else
/// the code it is refused by, and the policy.
#[rustfmt::skip]
const ROWS: &[(&[&str], &str, &str, &str)] = &[
    // What a policy allows, a run that is to reach providers only does not reach by that.
    (&[],                                     "files.acme.test",   "egress-refused", "-"),
    (&[],                                     "mirror.acme.test",  "egress-refused", "-"),
    (&[],                                     "leaks.acme.test",   "egress-refused", "-"),
    (&["files.acme.test"],                    "files.acme.test",   "-",              "files"),
    (&["files.acme.test"],                    "mirror.acme.test",  "egress-refused", "-"),
    (&["mirror.acme.test"],                   "mirror.acme.test",  "-",              "-"),
    // What a policy denies, a flag does not allow.
    (&["leaks.acme.test"],                    "leaks.acme.test",   "policy-denied",  "no-leaks"),
    (&["*"],                                  "leaks.acme.test",   "policy-denied",  "no-leaks"),
];

fn options(allow: &[&str]) -> Options {
    let allow = allow.iter().map(|host| HostPort { host: (*host).to_owned(), port: None });
    Options { providers_only: true, allow: allow.collect(), ..Options::default() }
}

#[tokio::test]
async fn flag_and_policy_must_both_let_a_connection_pass() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let mut failures = String::new();
    for (allow, host, code, policy) in ROWS {
        let agent = stage.agent_with("codex", options(allow));
        let mut live = stage.common.live();
        let reached = agent.reaches(&stage, host).await;
        let event = agent.record(&mut live).await;
        let said = |member: &str| event.get(member).map_or("-", |value| value.as_str().unwrap());
        if reached != (*code == "-") || said("error") != *code || said("policy") != *policy {
            writeln!(failures, "{allow:?} {host}: reached {reached}, {event:?}").unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[tokio::test]
async fn services_are_reached_whatever_else_is_not() {
    let stage = Stage::new(&[("policy.toml", POLICY)]).await;
    let agent = stage.agent_with("codex", options(&[]));
    assert_eq!(agent.get("/items").await.status, 200);
    assert!(agent.database([127, 0, 0, 2].into()).await.is_empty());
}
