//! The user's policy and its limits, in real runs: edited under a run that goes on, and explained after.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{MetadataExt as _, chown},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::Value;

use crate::support::{As, KEY, Scene, eventually, write};

const MODELS: &str = "https://api.openai.com/v1/models";
const FORBID: &str = "[[rule]]\nid = \"frozen\"\nverdict = \"deny\"\nprovider = \"openai\"\n\
                      reason = \"the quarter is closing\"\n";

/// Puts a policy into the place of what is there. A daemon that runs takes note in a moment.
pub(crate) fn put(scene: &Scene, rules: &str) {
    let directory = scene.home().join("policy");
    if !directory.exists() {
        scene.authsome(["policy", "init"]).success();
    }
    let file = directory.join("policy.toml");
    let owner = std::fs::metadata(&file).unwrap();
    // As editors do: another file, renamed. What reads it meanwhile reads the one or the other.
    let draft = directory.join(".policy.toml.draft");
    write(&draft, rules.as_bytes());
    chown(&draft, Some(owner.uid()), Some(owner.gid())).unwrap();
    std::fs::rename(&draft, &file).unwrap();
}

/// An agent that asks for what it is told to, in one run, until it is dropped.
struct Agent {
    run: Child,
    wishes: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Agent {
    fn start(scene: &Scene, flags: &[&str]) -> Self {
        let script = "while read -r url; do curl -sS -m 60 -w '\\n%{http_code}\\n' \"$url\"; done";
        let mut program = scene.run_with(flags, ["sh", "-c", script]);
        let command = program.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut run = command.stderr(Stdio::null()).spawn().unwrap();
        let (wishes, answers) = (run.stdin.take().unwrap(), run.stdout.take().unwrap());
        Self { run, wishes, answers: BufReader::new(answers) }
    }

    /// Status and body of what comes of it.
    fn get(&mut self, url: &str) -> (u16, String) {
        writeln!(self.wishes, "{url}").unwrap();
        let mut body = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the run has ended: {body}");
            match line.trim_end().parse() {
                Ok(status) => return (status, body),
                Err(_) => body.push_str(&line),
            }
        }
    }

    /// Asks again and again until a problem of this code comes of it, or none; its body.
    fn until(&mut self, code: Option<&str>) -> String {
        let mut last = String::new();
        eventually(&format!("{code:?}"), || {
            let (status, body) = self.get(MODELS);
            last = body;
            match code {
                None => status == 200,
                Some(code) => self::code(&last) == code,
            }
        });
        last
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

/// The code of a problem document; nothing of any other.
fn code(body: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(body).ok();
    problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned())).unwrap_or_default()
}

/// The last request on record.
fn last(scene: &Scene) -> Value {
    let log = scene.authsome(["log", "-n", "20", "--json"]).success();
    let log: Value = serde_json::from_str(&log).unwrap();
    let entries = log["entries"].as_array().unwrap();
    entries.iter().rfind(|entry| entry["kind"] == "request").unwrap().clone()
}

/// Root's namespaces are made in another way than a user's.
fn scenes() -> impl Iterator<Item = Scene> {
    [As::User, As::Own].into_iter().map(|whom| {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        scene
    })
}

#[test]
fn an_edited_policy_decides_in_a_run_that_is_under_way() {
    for scene in scenes() {
        let mut agent = Agent::start(&scene, &[]);
        assert_eq!(agent.get(MODELS).0, 200);

        put(&scene, FORBID);
        let problem = agent.until(Some("policy-denied"));
        assert!(problem.contains("frozen") && problem.contains("closing"), "{problem}");

        let sent = scene.upstream.seen().len();
        put(&scene, "[[rule]]\nverdict = \"maybe\"\n");
        let problem = agent.until(Some("policy-invalid"));
        assert!(problem.contains("policy.toml:2"), "{problem}");
        // It holds for hosts that no rule speaks of, too.
        assert_eq!(
            scene.run(["curl", "-sSk", "https://other.example.test/"]).run().status.code(),
            Some(35)
        );
        assert_eq!(scene.upstream.seen().len(), sent);

        put(&scene, "");
        agent.until(None);
    }
}

#[test]
fn a_run_begins_with_what_was_saved_right_before() {
    for scene in scenes() {
        scene.run(["true"]).success();
        put(&scene, FORBID);
        assert_eq!(code(&scene.run(["curl", "-sS", MODELS]).success()), "policy-denied");
    }
}

#[test]
fn a_denied_upload_over_http2_learns_why() {
    let scene = Scene::connected();
    put(&scene, FORBID);
    let script = "for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do \
                  curl -sS --http2 -d '{}' -o \"$1\" -w '%{http_version} %{http_code}\n' \"$0\"; done";
    let answers = scene.run(["sh", "-c", script, MODELS, "/dev/null"]).success();
    assert_eq!(answers, "2 403\n".repeat(12));
}

#[test]
fn a_denied_request_of_the_log_is_explained_by_the_rule() {
    let scene = Scene::new();
    put(&scene, FORBID);
    scene.login("openai", KEY);
    let (status, _) = Agent::start(&scene, &[]).get(MODELS);
    assert_eq!(status, 403);
    let denied = last(&scene);
    assert_eq!((&denied["decision"], &denied["policy"]), (&"deny".into(), &"frozen".into()));

    let seq = denied["seq"].to_string();
    let told = scene.authsome(["policy", "explain", &seq, "--json"]).success();

    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["decision"]["verdict"], "deny", "{told}");
    assert_eq!(told["decision"]["policy"], "frozen", "{told}");
    assert_eq!(told["recorded"]["error"], "policy-denied", "{told}");
    let read = scene.authsome(["policy", "explain", &seq]).success();
    assert!(read.contains("frozen") && read.contains("the quarter is closing"), "{read}");
}

#[test]
fn a_rule_about_one_agent_is_no_rule_about_another() {
    let scene = Scene::new();
    put(&scene, "[[rule]]\nid = \"caged\"\nverdict = \"deny\"\nagent = \"builder\"\n");
    scene.login("openai", KEY);
    scene.authsome(["identity", "create", "builder"]).success();

    assert_eq!(Agent::start(&scene, &["--identity", "builder"]).get(MODELS).0, 403);

    let denied = last(&scene);
    assert_eq!(denied["agent"], "agent://local/builder");
    assert_eq!(denied["policy"], "caged");
    assert_eq!(Agent::start(&scene, &[]).get(MODELS).0, 200);
    assert_eq!(last(&scene)["agent"], "agent://local/sh");
}

#[test]
fn a_spent_budget_stays_spent_in_the_next_run() {
    let scene = Scene::new();
    put(
        &scene,
        "[[limit]]\nid = \"two in all\"\nprovider = \"openai\"\nrequests = 2\nper = \"300 days\"\n",
    );
    scene.login("openai", KEY);
    let mut agent = Agent::start(&scene, &[]);
    let got: Vec<_> = (0..3).map(|_| agent.get(MODELS)).collect();
    assert_eq!(got.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 429]);
    assert_eq!(code(&got[2].1), "budget-spent");

    let head = scene.run(["curl", "-sS", "-D", "-", "-o", "/dev/null", MODELS]).success();

    assert!(head.contains(" 429") && head.to_lowercase().contains("\nretry-after: "), "{head}");
    assert_eq!(last(&scene)["policy"], "two in all");
    assert_eq!(scene.upstream.seen().len(), 2);
}
