//! A policy that changes while requests are under way: from the moment it is seen nothing is decided by
//! the one before, and one that is broken lets nothing pass.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    agent::Agent,
    stage::{Stage, eventually},
};

const OLD: &str = "[[rule]]\nverdict = \"deny\"\nid = \"old\"\npath = \"/old\"\n";
const BROKEN: &str = "[[rule]]\nverdict = \"deny\"\npaht = \"/old\"\n";
const NEW: &str = "[[rule]]\nverdict = \"deny\"\nid = \"new\"\npath = \"/new\"\n";

/// Agents that never stop asking.
struct Crowd {
    stop: Arc<AtomicBool>,
    asking: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Crowd {
    fn new(stage: &Stage) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let ask = |number| {
            let (agent, stop) = (stage.agent(&format!("crowd-{number}")), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut told = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    told.push(kind(&agent, "/old").await);
                }
                told
            })
        };
        let asking = (0..4).map(ask).collect();
        Self { stop, asking }
    }

    /// What each was told, in order, without repetitions.
    async fn told(self) -> Vec<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for asking in self.asking {
            let mut told = asking.await.unwrap();
            told.dedup();
            all.push(told);
        }
        all
    }
}

async fn kind(agent: &Agent, path: &str) -> String {
    let answer = agent.get(path).await;
    format!("{} {}", answer.status, answer.code())
}

/// Asks until it is answered so.
async fn until(agent: &Agent, path: &str, expected: &str) {
    for _ in 0..2000 {
        if kind(agent, path).await == expected {
            return;
        }
    }
    panic!("never {expected}");
}

#[tokio::test]
async fn what_is_decided_after_a_change_is_decided_by_it() {
    let stage = Stage::new(&[("policy.toml", OLD)]).await;
    let agent = stage.agent("codex");
    assert_eq!(kind(&agent, "/old").await, "403 policy-denied");
    assert_eq!(kind(&agent, "/new").await, "200 -");
    let crowd = Crowd::new(&stage);

    stage.write_policy(BROKEN);
    until(&agent, "/new", "403 policy-invalid").await;
    stage.server.take();
    for path in ["/old", "/new", "/"] {
        assert_eq!(kind(&agent, path).await, "403 policy-invalid");
    }
    assert!(!agent.reaches(&stage, "files.acme.test").await);
    assert!(stage.server.take().is_empty(), "something passed without a policy");

    stage.write_policy(NEW);
    until(&agent, "/old", "200 -").await;
    assert_eq!(kind(&agent, "/new").await, "403 policy-denied");
    for told in crowd.told().await {
        let order = ["403 policy-denied", "403 policy-invalid", "200 -"];
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        assert!(!told.is_empty() && order.ends_with(&told), "by a policy that was gone: {told:?}");
    }
}

#[tokio::test]
async fn a_policy_that_is_broken_from_the_start_denies_and_says_where() {
    let stage = Stage::new(&[("policy.toml", BROKEN)]).await;
    let agent = stage.agent("codex");
    let answer = agent.get("/").await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "policy-invalid"));
    assert!(answer.detail().contains("policy.toml:3"), "{}", answer.body);
    assert!(stage.server.take().is_empty());
}

#[tokio::test]
async fn one_broken_file_among_others_breaks_all() {
    let permit = "permit(principal, action, resource);";
    let stage = Stage::new(&[("a.cedar", permit), ("b.cedar", "permit(principal")]).await;
    assert_eq!(stage.agent("codex").get("/").await.code(), "policy-invalid");
    assert!(stage.server.take().is_empty());
}

#[tokio::test]
async fn rules_that_are_deleted_are_gone() {
    let stage = Stage::new(&[("policy.toml", OLD)]).await;
    let agent = stage.agent("codex");
    assert_eq!(kind(&agent, "/old").await, "403 policy-denied");
    std::fs::remove_file(stage.policy_file()).unwrap();
    until(&agent, "/old", "200 -").await;
}

#[tokio::test]
async fn limits_change_with_the_policy() {
    let limited = "[[limit]]\nid = \"one\"\nrequests = 1\nper = \"hour\"\n";
    let stage = Stage::new(&[("policy.toml", limited)]).await;
    let agent = stage.agent("codex");
    assert_eq!(agent.get("/").await.status, 200);
    assert_eq!(agent.get("/").await.code(), "rate-limited");
    stage.write_policy("default = \"allow\"\n");
    eventually("a policy without limits", || {
        stage.common.policy().current().unwrap().limits().is_empty().then_some(())
    })
    .await;
    until(&agent, "/", "200 -").await;
}
