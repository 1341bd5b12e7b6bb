//! Tables of decisions: a directory is a policy with its `rows`, each an agent, a request and what is
//! to come of it.
//!
//! ```text
//! # agent   by          method   where                        status  code           policy     connection
//! codex     -           GET      api.acme.test/items          200     -              -          acme/default
//! codex     mark:work   DELETE   api.acme.test/items/7        403     policy-denied  no-delete  acme/work
//! codex     -           connect  files.acme.test:443          splice  -              -          -
//! ```
//!
//! `by` is how the account is chosen: by a placeholder (`mark:`), the header (`header:`), the run's
//! option (`run:`), in another profile (`profile:`), or not at all; `NAME=VALUE` is a header. A row is about all of it: what the
//! agent was answered, what the server received, and what is on record.
//!
//! In a policy, `{IN}` and `{OUT}` are hours that the present is and is not in, `{DAYS}` and
//! `{NO_DAY}` days.

use std::{collections::HashMap, fmt::Write as _, fs, net::Ipv4Addr, path::Path, sync::Arc};

use authsome::broker::LiveEvent;
use jiff::{ToSpan as _, Zoned};

use super::{
    agent::{Agent, Answer, DATABASE, Options},
    server::{GREETING, Seen},
    stage::{Stage, secret},
};

/// One row, its columns as they are written.
struct Row<'a> {
    text: &'a str,
    agent: &'a str,
    by: &'a str,
    method: &'a str,
    place: &'a str,
    status: &'a str,
    code: &'a str,
    policy: &'a str,
    connection: &'a str,
}

impl<'a> Row<'a> {
    fn parse(text: &'a str) -> Self {
        let columns: Vec<_> = text.split_whitespace().collect();
        let [agent, by, method, place, status, code, policy, connection] = columns[..] else {
            panic!("not eight columns: {text}");
        };
        Self { text, agent, by, method, place, status, code, policy, connection }
    }

    /// `connect` has a port, everything else a path.
    fn host(&self) -> &'a str {
        self.place.split([':', '/']).next().unwrap()
    }

    fn target(&self) -> &'a str {
        self.place.strip_prefix(self.host()).unwrap()
    }

    fn path(&self) -> &'a str {
        self.target().split('?').next().unwrap()
    }

    fn options(&self) -> Options {
        let leaked = |text: &str| -> &'static str { text.to_owned().leak() };
        match self.by.split_once(':') {
            Some(("run", name)) => Options { connection: Some(leaked(name)), ..Options::default() },
            Some(("profile", name)) => {
                Options { profile: Some(leaked(name)), ..Options::default() }
            }
            _ => Options::default(),
        }
    }

    /// The header that the row speaks of.
    fn field(&self, agent: &Agent) -> String {
        match self.by.split_once(':') {
            Some(("mark", name)) => {
                let placeholder = agent.placeholder(&format!("acme/{name}"));
                format!("Authorization: Bearer {placeholder}\r\n")
            }
            Some(("header", name)) => format!("Authsome-Connection: {name}\r\n"),
            _ => match self.by.split_once('=') {
                Some((name, value)) => format!("{name}: {value}\r\n"),
                None => String::new(),
            },
        }
    }

    /// Of a request: did the agent get, and the server see, what it says here?
    fn check_answer(&self, answer: &Answer, seen: &[Seen]) -> Result<(), String> {
        let told = format!("{} {}", answer.status, answer.code());
        if told != format!("{} {}", self.status, self.code) {
            return Err(format!("was answered {told}: {}", answer.body));
        }
        if self.status != "200" {
            return if seen.is_empty() { Ok(()) } else { Err(format!("reached {seen:?}")) };
        }
        let [seen] = seen else { return Err(format!("reached {seen:?}")) };
        let authorization = format!("Bearer {}", secret(self.connection));
        let whole = seen.method == self.method
            && seen.target == self.target()
            && seen.header("host") == Some(self.host())
            && seen.header("authorization") == Some(&authorization)
            && seen.header("authsome-connection").is_none();
        if whole { Ok(()) } else { Err(format!("reached {seen:?}")) }
    }

    /// Is on record what was done and who decided?
    fn check_event(&self, event: &LiveEvent, stage: &Stage, run: &str) -> Result<(), String> {
        let connect = self.method == "connect";
        let decision = match self.status {
            "200" => "inject",
            "splice" => "splice",
            _ => "deny",
        };
        let kind = match decision {
            "splice" => "splice",
            _ if connect => "connection",
            _ => "request",
        };
        let profile = self.by.strip_prefix("profile:").unwrap_or("default");
        let said = |text: &str| (text != "-").then(|| text.to_owned());
        let request = |text: &str| (!connect).then(|| text.to_owned());
        for (member, expected) in [
            ("kind", said(kind)),
            ("agent", Some(format!("agent://local/{}", self.agent.to_lowercase()))),
            ("user", Some(stage.common.user().to_string())),
            ("profile", said(profile)),
            ("run", said(run)),
            ("host", said(self.host())),
            ("method", request(self.method)),
            ("path", request(self.path())),
            ("status", request(self.status)),
            ("decision", said(decision)),
            ("error", said(self.code)),
            ("policy", said(self.policy)),
            ("connection", said(self.connection)),
        ] {
            let found = event
                .get(member)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            if found != expected {
                return Err(format!("has {member} {found:?} on record, not {expected:?}"));
            }
        }
        let text = format!("{event:?}");
        match self.target().split_once('?') {
            Some((_, query)) if text.contains(query) => Err(format!("has its query in {text}")),
            _ => Ok(()),
        }
    }
}

/// Whether a connection that is not looked into came about.
async fn connects(row: &Row<'_>, agent: &Agent, stage: &Stage) -> bool {
    let port = row.target().trim_start_matches(':');
    if port == DATABASE.to_string() {
        let address: Ipv4Addr = row.host().parse().unwrap();
        return agent.database(address).await == GREETING;
    }
    assert_eq!(port, "443", "{}", row.text);
    agent.reaches(stage, row.host().to_owned().leak()).await
}

async fn check(row: &Row<'_>, agent: &Agent, stage: &Stage) -> Result<(), String> {
    let mut live = stage.common.live();
    stage.server.take();
    if row.method == "connect" {
        if connects(row, agent, stage).await != (row.status == "splice") {
            return Err(format!("is no {}", row.status));
        }
    } else {
        let host: &'static str = row.host().to_owned().leak();
        let answer = agent.send_to(host, row.method, row.target(), &row.field(agent)).await;
        row.check_answer(&answer, &stage.server.take())?;
    }
    row.check_event(&*agent.record(&mut live).await, stage, &agent.run)
}

/// The present, in the words of a rule.
fn fill(text: &str) -> String {
    let now = Zoned::now();
    let hour = |hours: i32| (&now + hours.hours()).strftime("%H:00").to_string();
    let day = |days: i32| (&now + days.days()).strftime("%a").to_string().to_lowercase();
    text.replace("{IN}", &format!("{}-{}", hour(-6), hour(6)))
        .replace("{OUT}", &format!("{}-{}", hour(6), hour(8)))
        .replace("{DAYS}", &format!("[\"{}\", \"{}\"]", day(0), day(1)))
        .replace("{NO_DAY}", &format!("[\"{}\"]", day(3)))
}

/// Does every row of a directory of `tables` come out as it is written?
pub(crate) async fn holds(name: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decisions/tables").join(name);
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.push((name, fill(&fs::read_to_string(&path).unwrap())));
    }
    let at = files.iter().position(|(name, _)| name == "rows").unwrap();
    let (_, rows) = files.swap_remove(at);
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let stage = Stage::new(&files).await;
    stage.profile("second");
    let mut agents: HashMap<(&str, &str), Arc<Agent>> = HashMap::new();
    let mut failures = String::new();
    for row in rows.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let row = Row::parse(row);
        let agent = agents
            .entry((row.agent, row.by))
            .or_insert_with(|| Arc::new(stage.agent_with(row.agent, row.options())));
        if let Err(failure) = check(&row, agent, &stage).await {
            writeln!(failures, "{}\n    {failure}", row.text).unwrap();
        }
    }
    assert!(failures.is_empty(), "{name}:\n{failures}");
}
