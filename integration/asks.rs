//! Requests that wait for a person: real agents, answered from the command line, at a terminal and from
//! a browser.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    browser::{Browser, look},
    dashboard::{link, scene},
    policy::put,
    support::{As, KEY, Scene, eventually, text, within, write},
    terminal::Terminal,
};

const FILES: &str = "https://api.openai.com/v1/files";
const MODELS: &str = "https://api.openai.com/v1/models";
/// What writes to OpenAI is asked about, for ten minutes.
const CAREFUL: &str = "[[rule]]\nid = \"careful\"\nverdict = \"ask\"\nprovider = \"openai\"\n\
                       action = \"write\"\nseconds = 600\nreason = \"writing is for people\"\n";

/// How long it may take a busy machine to make hundreds of connections.
const AWHILE: Duration = Duration::from_secs(60);

/// A home with a key and a policy from the start, and a dashboard.
fn asking(rules: &str) -> Scene {
    let scene = scene();
    put(&scene, rules);
    scene.login("openai", KEY);
    scene
}

/// A run that goes on while a person decides.
struct Held(Option<Child>);

impl Held {
    fn run(scene: &Scene, script: &str) -> Self {
        let mut program = scene.run(["sh", "-c", script]);
        let command = program.command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(Some(command.stderr(Stdio::piped()).spawn().unwrap()))
    }

    /// What it said, once it has ended: standard output and standard error.
    fn end(mut self) -> (String, String) {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        (text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A script that writes to OpenAI and says the body and the status of the answer.
fn writes() -> String {
    format!("curl -sS -m 60 -w ' %{{http_code}}\\n' -d x {FILES}")
}

/// The same, twice over.
fn writes_twice() -> String {
    format!("{0}; {0}", writes())
}

/// So many writes at once. What a busy machine is too slow for is tried again.
fn writes_many(version: &str, count: u32) -> String {
    format!(
        "curl -sS {version} -Z --parallel-max {count} --retry 20 --retry-delay 1 \
         --retry-all-errors -m 600 -o /dev/null -d x '{FILES}/[1-{count}]'"
    )
}

fn waiting(scene: &Scene) -> Vec<Value> {
    let answer = scene.authsome(["approve", "--json"]).success();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["asks"].as_array().unwrap().clone()
}

/// The one that waits, once it does.
fn one(scene: &Scene) -> Value {
    eventually("a request waits", || waiting(scene).len() == 1);
    waiting(scene).remove(0)
}

/// Its id.
fn id(scene: &Scene) -> String {
    one(scene)["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_held_request_is_sent_when_it_is_approved_and_not_before() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        put(&scene, CAREFUL);
        scene.login("openai", KEY);
        let run = Held::run(&scene, &writes());
        let ask = one(&scene);
        assert!(scene.upstream.seen().is_empty());
        assert_eq!(ask["agent"], "agent://local/sh");
        assert_eq!(ask["connection"], "openai/default");
        assert_eq!((&ask["method"], &ask["path"]), (&"POST".into(), &"/v1/files".into()));
        assert_eq!(ask["reason"], "writing is for people");
        let id = ask["id"].as_str().unwrap();

        scene.authsome(["approve", id]).success();

        let (out, err) = run.end();
        assert!(out.ends_with(" 200\n"), "{out}");
        assert!(err.contains(&format!("authsome approve {id}")), "{err}");
        let seen = scene.upstream.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
        assert_eq!(scene.authsome(["approve", id]).run().status.code(), Some(3));
    }
}

#[test]
fn an_approval_for_a_run_ends_with_it() {
    let scene = asking(CAREFUL);
    let run = Held::run(&scene, &writes_twice());
    scene.authsome(["approve", &id(&scene), "--for", "run"]).success();
    assert_eq!(run.end().0.matches(" 200\n").count(), 2);

    let _run = Held::run(&scene, &writes());
    one(&scene);
}

#[test]
fn an_approval_for_always_is_a_rule_of_the_policy() {
    let scene = asking(CAREFUL);
    let run = Held::run(&scene, &writes_twice());
    scene.authsome(["approve", &id(&scene), "--for", "always"]).success();
    assert_eq!(run.end().0.matches(" 200\n").count(), 2);

    let policy = std::fs::read_to_string(scene.home().join("policy/policy.toml")).unwrap();
    assert!(policy.starts_with(CAREFUL), "{policy}");
    assert!(policy.contains("path = \"/v1/files\""), "{policy}");
    assert!(Held::run(&scene, &writes()).end().0.ends_with(" 200\n"));
    // Nothing beside it.
    let _run = Held::run(&scene, &format!("{}/more", writes()));
    assert_eq!(one(&scene)["path"], "/v1/files/more");
}

#[test]
fn who_is_denied_is_told_why_and_nothing_is_sent() {
    let scene = asking(CAREFUL);
    let run = Held::run(&scene, &writes());
    scene.authsome(["deny", &id(&scene), "--reason", "not on a Friday"]).success();
    let (out, _) = run.end();
    let problem: Value = serde_json::from_str(out.strip_suffix(" 403\n").unwrap()).unwrap();
    assert_eq!(problem["code"], "ask-denied");
    assert!(problem["detail"].as_str().unwrap().ends_with("not on a Friday"), "{problem}");
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn what_nobody_answers_is_denied() {
    let scene = asking(&CAREFUL.replace("600", "1"));
    let (out, _) = Held::run(&scene, &writes()).end();
    assert!(out.contains("ask-timeout") && out.ends_with(" 403\n"), "{out}");
    assert!(scene.upstream.seen().is_empty());
    assert!(waiting(&scene).is_empty());
}

#[test]
fn every_answer_is_on_record_with_who_gave_it() {
    let scene = asking(CAREFUL);
    let run = Held::run(&scene, &writes());
    scene.authsome(["approve", &id(&scene)]).success();
    run.end();
    let log = scene.authsome(["log", "-n", "20", "--json"]).success();
    let log: Value = serde_json::from_str(&log).unwrap();
    let entries = log["entries"].as_array().unwrap();
    let of = |kind: &str| entries.iter().find(|entry| entry["kind"] == kind).unwrap();
    let (answer, request) = (of("ask"), of("request"));
    assert_eq!((&answer["operation"], &answer["by"]), (&"approve-once".into(), &"cli".into()));
    assert_eq!(answer["policy"], "careful");
    assert_eq!((&request["policy"], &request["status"]), (&"careful".into(), &200.into()));
    assert_eq!(request["run"], answer["run"]);
}

#[test]
fn an_agent_that_is_killed_leaves_no_question() {
    let scene = asking(CAREFUL);
    // Only its client, while it goes on; then all of it.
    let script =
        format!("{} & until test -e go; do sleep 0.05; done; kill $!; sleep 600", writes());
    let run = Held::run(&scene, &script);
    one(&scene);
    write(&scene.user_home().join("go"), b"");
    eventually("the question of the client goes", || waiting(&scene).is_empty());
    drop(run);

    let run = Held::run(&scene, &writes());
    let id = id(&scene);
    drop(run);
    eventually("the question of the run goes", || waiting(&scene).is_empty());
    assert_eq!(scene.authsome(["approve", &id]).run().status.code(), Some(3));
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn two_hundred_held_requests_hold_up_nobody_else() {
    let scene = asking(CAREFUL);
    // Over as many connections, and over as few as there can be.
    for version in ["--http1.1", "--http2"] {
        let run = Held::run(&scene, &writes_many(version, 200));
        within(AWHILE, "all of them wait", || waiting(&scene).len() == 200);
        let sent = scene.upstream.seen().len();
        scene.run(["curl", "-sS", "-f", "-m", "20", MODELS]).success();
        assert_eq!(scene.upstream.seen().len(), sent + 1);
        // Another's question is answered among them.
        let other = Held::run(&scene, &writes());
        eventually("it waits, too", || waiting(&scene).len() == 201);
        let asks = waiting(&scene);
        let own = asks.iter().find(|ask| ask["path"] == "/v1/files").unwrap();
        scene.authsome(["approve", own["id"].as_str().unwrap()]).success();
        assert!(other.end().0.ends_with(" 200\n"));
        let page = Browser::start(&scene).open(&link(&scene));
        assert!(page.text.contains("200 requests wait for you."), "{}", page.text);
        drop(run);
        eventually("none of them waits", || waiting(&scene).is_empty());
    }
}

#[test]
fn more_than_a_run_may_hold_is_refused() {
    let scene = asking(CAREFUL);
    let _run = Held::run(&scene, &writes_many("--http2", 300));
    within(AWHILE, "as many wait as may", || waiting(&scene).len() == 256);
    let refused = || scene.authsome(["log", "-n", "500", "--json"]).success();
    within(AWHILE, "the others are refused", || refused().contains("ask-too-many"));
    assert_eq!(waiting(&scene).len(), 256);
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn a_connection_that_nobody_reads_is_asked_about_too() {
    let scene = asking("[[rule]]\nverdict = \"ask\"\naction = \"connect\"\nseconds = 600\n");
    let script = "curl -sSk -m 60 -o /dev/null -w '%{http_code}\\n' https://db.example.test/";
    let run = Held::run(&scene, script);
    let ask = one(&scene);
    assert_eq!((&ask["method"], &ask["host"]), (&"connect".into(), &"db.example.test".into()));
    assert!(scene.upstream.seen().is_empty());
    scene.authsome(["approve", ask["id"].as_str().unwrap()]).success();
    assert_eq!(run.end().0, "200\n");

    let run = Held::run(&scene, script);
    scene.authsome(["deny", &id(&scene)]).success();
    assert_eq!(run.end().0, "000\n");
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[test]
fn a_request_that_waits_outlives_no_daemon() {
    let scene = asking(CAREFUL);
    let run = Held::run(&scene, &writes());
    one(&scene);
    scene.authsome(["daemon", "stop"]).success();
    let (out, _) = run.end();
    assert!(out.contains("ask-gone") && out.ends_with(" 503\n"), "{out}");
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn a_person_at_a_terminal_is_asked_as_requests_come() {
    let scene = asking(CAREFUL);
    let terminal = Terminal::open(&scene);
    terminal.authsome("approve --watch");
    terminal.expect("waiting for requests");

    let run = Held::run(&scene, &writes());
    terminal.expect("POST api.openai.com/v1/files");
    terminal.expect("allow it? [y] once");
    terminal.line("y");
    terminal.expect("Approved once");
    assert!(run.end().0.ends_with(" 200\n"));

    let run = Held::run(&scene, &format!("{}/2", writes()));
    terminal.expect("POST api.openai.com/v1/files/2");
    terminal.line("what");
    terminal.line("n");
    terminal.expect("Denied: POST api.openai.com/v1/files/2");
    assert!(run.end().0.ends_with(" 403\n"));

    // Another's answer takes the question back.
    let run = Held::run(&scene, &format!("{}/3", writes()));
    terminal.expect("POST api.openai.com/v1/files/3");
    scene.authsome(["approve", &id(&scene)]).success();
    terminal.expect("Answered elsewhere");
    assert!(run.end().0.ends_with(" 200\n"));
    terminal.keys(&["C-c"]);
    terminal.line("echo back $?");
    terminal.expect("back 130");
}

#[test]
fn a_person_decides_by_clicking() {
    let scene = asking(CAREFUL);
    let (link, mut browser) = (link(&scene), Browser::start(&scene));
    browser.open(&link);
    browser.follow("Approvals");
    let run = Held::run(&scene, &writes());
    let shown = browser.wait_for("writing is for people");
    assert!(shown.title.starts_with("(1) "), "{}", shown.title);
    let done = browser.press("Allow once POST api.openai.com/v1/files");
    assert!(done.text.contains("Allowed once."), "{}", done.text);
    assert!(run.end().0.ends_with(" 200\n"));

    let run = Held::run(&scene, &writes());
    browser.wait_for("writing is for people");
    browser.fill("Reason to deny it (optional, for the agent)", "not on a Friday");
    let done = browser.press("Deny POST api.openai.com/v1/files");
    assert!(done.text.contains("Denied."), "{}", done.text);
    let (out, _) = run.end();
    assert!(out.contains("not on a Friday") && out.ends_with(" 403\n"), "{out}");
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[test]
fn the_page_of_what_waits_can_be_used_by_everybody() {
    let scene = asking(CAREFUL);
    let link = link(&scene);
    let long = "a-very-long-name-of-a-file-that-somebody-made-up".repeat(4);
    let _run = Held::run(&scene, &format!("{0} & {0} & {1}/{long}", writes(), writes()));
    eventually("both wait", || waiting(&scene).len() == 2);
    look(&scene, &link, &["/".to_owned(), "/asks".to_owned(), "/runs".to_owned()]);
}
