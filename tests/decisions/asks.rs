//! Requests that a rule wants a person to decide about, held by the real interceptor.

use std::fs;

use authsome::{
    broker::asks::{Approver, MAX_WAITING_OF_RUN},
    protocol::{
        ErrorKind,
        asks::{AskAnswer, AskView},
    },
};
use tokio::join;

use super::{
    agent::{Agent, Answer},
    server::GREETING,
    stage::{Stage, eventually},
};

const WRITES: &str = "[[rule]]\nverdict = \"ask\"\nid = \"writes\"\naction = \"write\"\n\
                      reason = \"writing is for people\"\n";

async fn stage(policy: &str) -> Stage {
    Stage::new(&[("policy.toml", policy)]).await
}

/// How many requests wait.
fn waiting(stage: &Stage) -> usize {
    stage.common.asks().pending().iter().map(|ask| ask.count).sum()
}

async fn until_waiting(stage: &Stage, count: usize) {
    eventually(&format!("{count} that wait"), || (waiting(stage) == count).then_some(())).await;
}

/// Answers the next question.
async fn answer(stage: &Stage, answer: AskAnswer) -> AskView {
    let ask = eventually("a question", || stage.common.asks().pending().into_iter().next()).await;
    assert!(stage.server.take().is_empty(), "something passed unasked");
    stage.common.answer_ask(&ask.id, answer, Approver::Cli).unwrap()
}

async fn post(agent: &Agent, path: &str) -> Answer {
    agent.send("POST", path, "").await
}

/// What the server received.
fn received(stage: &Stage) -> Vec<String> {
    let seen = stage.server.take();
    seen.into_iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}

#[tokio::test]
async fn what_is_approved_once_passes_once() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let (told, ask) = join!(post(&agent, "/items/./7?x=1"), answer(&stage, AskAnswer::Once));
    assert_eq!(told.status, 200);
    assert_eq!(received(&stage), ["POST /items/7?x=1"]);
    assert_eq!(ask.summary(), "POST api.acme.test/items/7");
    assert_eq!((&*ask.agent, &*ask.run), ("agent://local/codex", &*agent.run));
    assert_eq!(ask.connection.as_deref(), Some("acme/default"));
    assert_eq!(ask.policy.as_deref(), Some("writes"));
    assert_eq!(ask.reason.as_deref(), Some("writing is for people"));
    assert_eq!(agent.told(), 1);

    let no = AskAnswer::Deny { reason: None };
    let (told, _) = join!(post(&agent, "/items/7?x=1"), answer(&stage, no));
    assert_eq!(told.code(), "ask-denied");
    assert!(received(&stage).is_empty());
}

#[tokio::test]
async fn what_is_approved_for_a_run_passes_there_and_nowhere_else() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let (told, _) = join!(post(&agent, "/items"), answer(&stage, AskAnswer::Run));
    assert_eq!(told.status, 200);
    assert_eq!(post(&agent, "/items").await.status, 200);
    assert_eq!(received(&stage), ["POST /items", "POST /items"]);

    let other_run = stage.agent("codex");
    let work = format!("Authorization: Bearer {}\r\n", agent.placeholder("acme/work"));
    for (agent, method, path, field) in [
        (&agent, "POST", "/items/8", ""),
        (&agent, "PUT", "/items", ""),
        (&agent, "POST", "/items", work.as_str()),
        (&other_run, "POST", "/items", ""),
    ] {
        let no = AskAnswer::Deny { reason: None };
        let (told, _) = join!(agent.send(method, path, field), answer(&stage, no));
        assert_eq!(told.code(), "ask-denied", "{method} {path}");
    }
    assert!(received(&stage).is_empty());
}

#[tokio::test]
async fn what_is_approved_always_is_a_rule_from_then_on() {
    let stage = stage(WRITES).await;
    let mut agent = stage.agent("codex");
    let (told, _) = join!(post(&agent, "/items"), answer(&stage, AskAnswer::Always));
    assert_eq!(told.status, 200);
    assert_eq!(received(&stage), ["POST /items"]);
    let written = fs::read_to_string(stage.policy_file()).unwrap();
    assert!(written.starts_with(WRITES.trim_end()), "{written}");
    assert!(written.contains("verdict = \"approve\""), "{written}");
    agent.end();

    let next = stage.agent("codex");
    assert_eq!(post(&next, "/items").await.status, 200);
    assert_eq!(received(&stage), ["POST /items"]);
    let claude = stage.agent("claude");
    for (agent, path) in [(&next, "/items/7"), (&claude, "/items")] {
        let no = AskAnswer::Deny { reason: None };
        let (told, _) = join!(post(agent, path), answer(&stage, no));
        assert_eq!(told.code(), "ask-denied");
    }
}

#[tokio::test]
async fn always_is_for_every_reading_of_the_path_that_was_approved() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    for path in ["/items/", "/items;v=1/a", "/a%2Fb"] {
        let (told, _) = join!(post(&agent, path), answer(&stage, AskAnswer::Always));
        assert_eq!(told.status, 200, "{path}");
        assert_eq!(post(&stage.agent("codex"), path).await.status, 200, "{path} again");
        received(&stage);
    }
    // What else servers may make of it was not approved for itself.
    let no = AskAnswer::Deny { reason: None };
    let (told, _) = join!(post(&agent, "/a/b"), answer(&stage, no));
    assert_eq!(told.code(), "ask-denied");
}

#[tokio::test]
async fn what_no_rule_can_name_is_not_approved_for_good_and_waits_on() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let (star, field) = ("/items/*", "X-HTTP-Method-Override: DELETE\r\n");
    for (path, field) in [(star, ""), ("/items", field)] {
        let refused = async {
            until_waiting(&stage, 1).await;
            let ask = stage.common.asks().pending().remove(0);
            let always = stage.common.answer_ask(&ask.id, AskAnswer::Always, Approver::Cli);
            assert_eq!(always.unwrap_err().kind, ErrorKind::Usage);
            answer(&stage, AskAnswer::Once).await
        };
        let (told, _) = join!(agent.send("POST", path, field), refused);
        assert_eq!(told.status, 200, "{path}");
        received(&stage);
    }
}

#[tokio::test]
async fn what_is_denied_goes_nowhere_and_the_agent_reads_why() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let mut live = stage.common.live();
    let no = AskAnswer::Deny { reason: Some("not on a Friday".into()) };
    let (told, _) = join!(post(&agent, "/items"), answer(&stage, no));
    assert_eq!((told.status, told.code().as_str()), (403, "ask-denied"));
    assert!(told.detail().contains("not on a Friday"), "{}", told.body);
    assert!(received(&stage).is_empty());
    let event = agent.record(&mut live).await;
    assert_eq!((&event["policy"], &event["decision"]), (&"writes".into(), &"deny".into()));
    assert_eq!(event["connection"], "acme/default");
}

#[tokio::test]
async fn what_nobody_answers_is_denied_after_its_time() {
    let stage = stage(&format!("{WRITES}seconds = 1\n")).await;
    let agent = stage.agent("codex");
    let told = post(&agent, "/items").await;
    assert_eq!((told.status, told.code().as_str()), (403, "ask-timeout"));
    assert!(received(&stage).is_empty());
    assert_eq!(waiting(&stage), 0);
}

#[tokio::test]
async fn an_agent_that_leaves_takes_its_question_along() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    tokio::select! {
        told = post(&agent, "/items") => panic!("{told:?}"),
        () = until_waiting(&stage, 1) => {}
    }
    until_waiting(&stage, 0).await;
    assert!(received(&stage).is_empty());
}

#[tokio::test]
async fn a_run_that_ends_takes_its_questions_along() {
    let stage = stage(WRITES).await;
    let mut agent = stage.agent("codex");
    let mut sender = agent.http2("api.acme.test").await;
    let asking = tokio::spawn(async move {
        let request = http::Request::post("https://api.acme.test/items");
        sender.send_request(request.body(crate::interceptor::harness::empty()).unwrap()).await
    });
    until_waiting(&stage, 1).await;
    agent.end();
    until_waiting(&stage, 0).await;
    let status = asking.await.unwrap().map(|answer| answer.status().as_u16());
    assert!(status.is_err() || status.is_ok_and(|status| status == 503));
    assert!(received(&stage).is_empty());
}

#[tokio::test]
async fn an_approval_does_not_hold_against_a_policy_that_has_changed() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let change = async {
        until_waiting(&stage, 1).await;
        stage.write_policy("[[rule]]\nverdict = \"deny\"\nid = \"never\"\naction = \"write\"\n");
        eventually("the new policy", || {
            let policy = stage.common.policy().current().unwrap();
            policy.statements().iter().any(|rule| **rule.id() == *"never").then_some(())
        })
        .await;
        answer(&stage, AskAnswer::Once).await
    };
    let (told, _) = join!(post(&agent, "/items"), change);
    assert_eq!((told.status, told.code().as_str()), (403, "policy-denied"));
    assert!(received(&stage).is_empty());
}

#[tokio::test]
async fn the_method_that_a_header_names_is_the_one_that_is_asked_about() {
    let stage = stage(WRITES).await;
    let agent = stage.agent("codex");
    let field = "X-HTTP-Method-Override: DELETE\r\n";
    let request = agent.send("GET", "/items", field);
    let (told, ask) = join!(request, answer(&stage, AskAnswer::Run));
    assert_eq!(told.status, 200);
    assert_eq!(ask.method, "GET as DELETE");
    received(&stage);
    // Approved was that, and nothing else that hides behind the same request line.
    let request = agent.send("GET", "/items", "X-HTTP-Method-Override: PUT\r\n");
    let (told, _) = join!(request, answer(&stage, AskAnswer::Deny { reason: None }));
    assert_eq!(told.code(), "ask-denied");
}

#[tokio::test]
async fn a_connection_waits_as_a_request_does() {
    let stage =
        stage("[[rule]]\nverdict = \"ask\"\nid = \"database\"\naction = \"connect\"\n").await;
    let agent = stage.agent("codex");
    let address = [127, 0, 0, 2].into();
    let (said, ask) = join!(agent.database(address), answer(&stage, AskAnswer::Once));
    assert_eq!(said, GREETING);
    assert_eq!(ask.summary(), "connect 127.0.0.2:5432");
    let no = AskAnswer::Deny { reason: None };
    let (said, _) = join!(agent.database(address), answer(&stage, no));
    assert_eq!(said, "");
    let (reached, _) =
        join!(agent.reaches(&stage, "files.acme.test"), answer(&stage, AskAnswer::Once));
    assert!(reached);
}

#[tokio::test]
async fn one_agents_questions_hold_up_no_other() {
    const HELD: usize = 200;
    let stage =
        stage("[[rule]]\nverdict = \"ask\"\nagent = \"codex\"\npath = \"/held/**\"\n").await;
    let (codex, claude) = (stage.agent("codex"), stage.agent("claude"));
    let sender = codex.http2("api.acme.test").await;
    let held = |number: usize| {
        let mut sender = sender.clone();
        // Two of each.
        let uri = format!("https://api.acme.test/held/{}", number % (HELD / 2));
        tokio::spawn(async move { Agent::get2(&mut sender, uri.parse().unwrap()).await })
    };
    let mut asking: Vec<_> = (0..HELD).map(held).collect();
    until_waiting(&stage, HELD).await;
    assert_eq!(stage.common.asks().count(), HELD / 2);
    assert_eq!(claude.get("/held/1").await.status, 200);
    assert_eq!(codex.get("/free").await.status, 200);
    assert_eq!(received(&stage), ["GET /held/1", "GET /free"]);

    asking.extend((HELD..MAX_WAITING_OF_RUN).map(held));
    until_waiting(&stage, MAX_WAITING_OF_RUN).await;
    let over = codex.get("/held/x").await;
    assert_eq!((over.status, over.code().as_str()), (429, "ask-too-many"));
    assert!(received(&stage).is_empty());

    for ask in stage.common.asks().pending() {
        stage.common.answer_ask(&ask.id, AskAnswer::Once, Approver::Dashboard).unwrap();
    }
    for asking in asking {
        assert_eq!(asking.await.unwrap().unwrap().status, 200);
    }
    assert_eq!(received(&stage).len(), MAX_WAITING_OF_RUN);
    assert_eq!(codex.told(), 1);
}
