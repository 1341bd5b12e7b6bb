//! How much may be asked for, counted where requests pass.

use super::{
    agent::{Agent, Options},
    stage::Stage,
};

async fn stage(limits: &str) -> Stage {
    Stage::new(&[("policy.toml", limits)]).await
}

async fn codes(agent: &Agent, count: usize) -> Vec<String> {
    let mut codes = Vec::new();
    for _ in 0..count {
        codes.push(agent.get("/items").await.code());
    }
    codes
}

#[tokio::test]
async fn what_is_too_much_is_told_when_to_come_again_and_goes_nowhere() {
    let stage = stage("[[limit]]\nid = \"few\"\nrequests = 3\nper = \"minute\"\n").await;
    let agent = stage.agent("codex");
    assert_eq!(codes(&agent, 3).await, ["-"; 3]);
    stage.server.take();

    let mut live = stage.common.live();
    let answer = agent.get("/items").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate-limited"));
    // A minute, and what it is counted in.
    assert!((1..=90).contains(&answer.retry_after.unwrap()), "{answer:?}");
    assert!(answer.detail().contains("few"), "{}", answer.body);
    assert!(stage.server.take().is_empty());
    let event = agent.record(&mut live).await;
    assert_eq!((&event["policy"], &event["status"]), (&"few".into(), &429.into()));
    assert_eq!(event["connection"], "acme/default");
}

#[tokio::test]
async fn a_limit_that_names_agents_is_each_ones_own() {
    let stage = stage("[[limit]]\nagent = \"*\"\nrequests = 2\nper = \"hour\"\n").await;
    let (codex, claude) = (stage.agent("codex"), stage.agent("claude"));
    assert_eq!(codes(&codex, 3).await, ["-", "-", "rate-limited"]);
    assert_eq!(codes(&claude, 3).await, ["-", "-", "rate-limited"]);
    // Another run is the same agent.
    assert_eq!(codes(&stage.agent("codex"), 1).await, ["rate-limited"]);
}

#[tokio::test]
async fn a_limit_that_names_no_agent_is_everybodys() {
    let stage = stage("[[limit]]\nrequests = 2\nper = \"hour\"\n").await;
    let (codex, claude) = (stage.agent("codex"), stage.agent("claude"));
    assert_eq!(codes(&codex, 1).await, ["-"]);
    assert_eq!(codes(&claude, 2).await, ["-", "rate-limited"]);
    assert_eq!(codes(&codex, 1).await, ["rate-limited"]);
}

#[tokio::test]
async fn a_limit_that_names_connections_is_each_ones_own() {
    let stage = stage("[[limit]]\nconnection = \"acme/*\"\nrequests = 2\nper = \"hour\"\n").await;
    let options = Options { connection: Some("work"), ..Options::default() };
    let (default, work) = (stage.agent("codex"), stage.agent_with("codex", options));
    assert_eq!(codes(&default, 3).await, ["-", "-", "rate-limited"]);
    assert_eq!(codes(&work, 3).await, ["-", "-", "rate-limited"]);
    let elsewhere = default.send_to("other.acme.test", "GET", "/", "").await;
    assert_eq!(elsewhere.status, 200);
    assert_eq!(stage.server.take().len(), 5);
}

#[tokio::test]
async fn what_a_policy_denies_uses_nothing_up() {
    let stage = stage(
        "[[rule]]\nverdict = \"deny\"\naction = \"write\"\n\n\
         [[limit]]\nrequests = 1\nper = \"hour\"\n",
    )
    .await;
    let agent = stage.agent("codex");
    for _ in 0..3 {
        assert_eq!(agent.send("POST", "/items", "").await.code(), "policy-denied");
    }
    assert_eq!(codes(&agent, 2).await, ["-", "rate-limited"]);
}

#[tokio::test]
async fn bytes_are_counted_when_they_have_passed() {
    let stage = stage("[[limit]]\nbytes = \"1000\"\nper = \"hour\"\n").await;
    let agent = stage.agent("codex");
    let mut live = stage.common.live();
    for code in ["-", "-", "rate-limited"] {
        assert_eq!(agent.get("/bytes/600").await.code(), code);
        agent.record(&mut live).await;
    }
    assert_eq!(stage.server.take().len(), 2);
}

#[tokio::test]
async fn a_budget_is_called_one() {
    let stage =
        stage("[[limit]]\nid = \"daily\"\nagent = \"codex\"\nrequests = 1\nper = \"day\"\n").await;
    let agent = stage.agent("codex");
    assert_eq!(codes(&agent, 2).await, ["-", "budget-spent"]);
    assert_eq!(codes(&stage.agent("claude"), 2).await, ["-", "-"]);
}

#[tokio::test]
async fn connections_that_stay_encrypted_count_too() {
    let stage =
        stage("[[limit]]\nhost = \"files.acme.test\"\nrequests = 1\nper = \"hour\"\n").await;
    let agent = stage.agent("codex");
    assert!(agent.reaches(&stage, "files.acme.test").await);
    let mut live = stage.common.live();
    assert!(!agent.reaches(&stage, "files.acme.test").await);
    let refused = async {
        loop {
            let event = agent.record(&mut live).await;
            if event["decision"] == "deny" {
                return event;
            }
        }
    };
    assert_eq!(refused.await["error"], "rate-limited");
    assert!(agent.reaches(&stage, "mirror.acme.test").await);
}
