use std::fmt::Write as _;

use super::*;
use crate::policy::{
    Policy, RuleVerdict, action,
    tests::{query, rules},
};

/// xorshift64: the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const AGENTS: [&str; 3] = ["codex", "claude-1", "claude-2"];
const PROVIDERS: [&str; 3] = ["github", "openai", "aws"];
const CONNECTIONS: [&str; 2] = ["work", "default"];
const HOSTS: [&str; 4] = ["api.github.com", "a.internal.example", "internal.example", "x.example"];
const PATHS: [&str; 9] = [
    "/",
    "/repos",
    "/repos/",
    "/repos/acme/app",
    "/Repos/ACME/app",
    "/repos/acme2/app",
    "/a/b/c/d",
    "/b",
    "/v1/x%2Fy",
];
const PATTERNS: [&str; 12] = [
    "\"/repos/**\"",
    "\"/Repos/*\"",
    "\"/*\"",
    "\"/*/b/**\"",
    "\"/**/b/**\"",
    "\"/**/d\"",
    "\"/repos/*/app\"",
    "\"/repos/acme*/*\"",
    "\"/repos/acme/app\"",
    "\"/repos/\"",
    "[\"/v1/*\", \"/a/**/c/*\"]",
    "\"**\"",
];
const TIMES: [&str; 4] = [
    "2026-01-07T12:30:00Z",
    "2026-01-07T08:59:59Z",
    "2026-01-08T18:00:00Z",
    "2026-01-12T23:00:00Z",
];

/// A rule of which every part may be there.
fn rule(random: &mut Random) -> String {
    let mut text = "[[rule]]\n".to_owned();
    let verdict = random.one(&["allow", "deny", "ask", "approve"]);
    writeln!(text, "verdict = \"{verdict}\"").unwrap();
    let mut maybe = |text: &mut String, key: &str, values: &[&str]| {
        if random.below(3) == 0 {
            writeln!(text, "{key} = {}", random.one(values)).unwrap();
        }
    };
    maybe(&mut text, "agent", &["\"codex\"", "\"claude-*\"", "[\"codex\", \"claude-1\"]", "\"*\""]);
    maybe(&mut text, "path", &PATTERNS);
    maybe(&mut text, "host", &["\"*.internal.example\"", "\"x.example\"", "\"api.*\""]);
    maybe(&mut text, "profile", &["\"default\"", "\"w*\""]);
    maybe(&mut text, "query", &["\"force\""]);
    maybe(&mut text, "port", &["443", "[80, 8443]"]);
    maybe(&mut text, "hours", &["\"09:00-18:00\"", "\"18:00-09:00\"", "\"00:00-24:00\""]);
    maybe(&mut text, "until", &["2026-01-08T00:00:00Z", "\"2027-01-01T00:00:00Z\""]);
    maybe(&mut text, "days", &["[\"wed\", \"thu\"]", "\"mon\""]);
    if !text.contains("path") && !text.contains("query") {
        maybe(&mut text, "action", &["\"connect\"", "[\"connect\", \"GET\"]"]);
    } else {
        maybe(
            &mut text,
            "action",
            &["\"read\"", "\"write\"", "\"DELETE\"", "[\"read\", \"POST\"]"],
        );
    }
    if !text.contains("connect") {
        maybe(&mut text, "provider", &["\"github\"", "[\"openai\", \"aws\"]", "\"a*\""]);
        maybe(&mut text, "connection", &["\"github/work\"", "\"*/default\"", "\"openai/*\""]);
    }
    text
}

#[test]
fn leaving_out_what_cannot_match_changes_no_answer() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let force = ["page".to_owned(), "force".to_owned()];
    let mut verdicts = [0; 4];
    let (mut approved, mut left_out) = (0, 0);
    for _ in 0..60 {
        let text: String = (0..16).map(|_| rule(&mut random)).collect();
        let policy = rules(&text);
        for _ in 0..40 {
            let agent = format!("agent://local/{}", random.one(&AGENTS));
            let provider = random.one(&PROVIDERS);
            let connection = format!("{provider}/{}", random.one(&CONNECTIONS));
            let connected = random.below(2) == 0;
            let resource = if connected {
                Resource::Connection { provider, connection: &connection }
            } else {
                Resource::Host
            };
            let connects = !connected && random.below(2) == 0;
            let query = Query {
                agent: &agent,
                profile: random.one(&["default", "work"]),
                method: (!connects).then(|| random.one(&["GET", "POST", "DELETE", "PURGE"])),
                host: random.one(&HOSTS),
                path: if connects { "" } else { random.one(&PATHS) },
                query_keys: if random.below(2) == 0 { &force } else { &[] },
                port: if random.below(4) == 0 { 8443 } else { 443 },
                time: random.one(&TIMES).parse().unwrap(),
                resource,
                ..query()
            };
            let sliced = policy.engine.decide(&query);
            assert_eq!(sliced, policy.engine.decide_whole(&query), "{query:?}\n{text}");
            approved += usize::from(approves(&policy, sliced.as_ref()));
            left_out += usize::from(leaves_out(&policy, &query));
            let verdict = sliced.map_or(3, |decision| decision.verdict as usize);
            verdicts[verdict] += 1;
        }
    }
    // The comparison is worth something only where there was something to decide.
    assert!(verdicts.iter().all(|count| *count > 100), "{verdicts:?}");
    assert!(approved > 100 && left_out > 100, "{approved} {left_out}");
}

/// Is something allowed by a rule that approves?
fn approves(policy: &Policy, decision: Option<&Decision>) -> bool {
    let by = decision.and_then(|decision| policy.engine.decided_by(decision));
    by.is_some_and(|statement| statement.verdict == RuleVerdict::Approve)
}

/// Is there a rule whose scope admits the query, and whose condition does not?
fn leaves_out(policy: &Policy, query: &Query<'_>) -> bool {
    let slice = policy.engine.slices.of(policy.statements(), query).unwrap();
    let facts = facts::lower(query.path);
    let facts = Facts::new(query, &facts);
    slice.admitted.iter().any(|place| !policy.statements()[*place].condition.admits(&facts))
}

#[test]
fn combinations_that_are_kept_are_not_mistaken_for_one_another() {
    let policy = rules(
        "[[rule]]\nverdict = \"deny\"\npath = \"/a/**\"\n[[rule]]\nverdict = \"ask\"\npath = \"/*/b\"\n\
         [[rule]]\nverdict = \"approve\"\npath = \"/c/b\"\n",
    );
    for _ in 0..2 {
        for (path, expected) in [
            ("/a", Verdict::Deny),
            ("/a/b", Verdict::Deny),
            ("/x/b", Verdict::Ask),
            ("/c/b", Verdict::Allow),
            ("/x", Verdict::Allow),
        ] {
            assert_eq!(policy.decide(&Query { path, ..query() }).verdict, expected, "{path}");
        }
    }
}

#[test]
fn what_cedar_is_asked_is_what_the_schema_says() {
    let schema = &crate::policy::schema::parsed().unwrap().schema;
    let policy = rules("[[rule]]\nverdict = \"deny\"\npath = \"/*/x/**\"");
    let methods = action::all().filter(|name| *name != action::CONNECT).map(Some).chain([None]);
    for method in methods {
        for resource in [Resource::Connection { provider: "p", connection: "p/c" }, Resource::Host]
        {
            if method.is_none() && resource != Resource::Host {
                continue;
            }
            let query = Query { method, resource, path: "/a/x/b", ..query() };
            let slice = Slice::whole(policy.statements(), &query).unwrap();
            let globs = vec![("/*/x/**".to_owned(), PathGlob::parse("/*/x/**", false).unwrap())];
            request(&slice, &globs, &Facts::new(&query, query.path), Some(schema)).unwrap();
            let entities = slice.entities.iter().cloned();
            cedar_policy::Entities::from_entities(entities, Some(schema)).unwrap();
        }
    }
}

#[test]
fn slices_that_are_kept_are_not_mistaken_for_one_another() {
    let policy = rules(
        "[[rule]]\nverdict = \"deny\"\nhost = \"b.example\"\n\
         [[rule]]\nverdict = \"ask\"\nagent = \"other\"\n",
    );
    let decide = |agent, host| {
        let query = Query { agent, host, resource: Resource::Host, ..query() };
        policy.decide(&query).verdict
    };
    for _ in 0..2 {
        assert_eq!(decide("agent://local/codex", "a.example"), Verdict::Allow);
        assert_eq!(decide("agent://local/codex", "b.example"), Verdict::Deny);
        assert_eq!(decide("agent://local/other", "a.example"), Verdict::Ask);
    }
}

#[test]
fn more_hosts_than_are_kept_are_still_decided() {
    let policy = rules("[[rule]]\nverdict = \"deny\"\nhost = \"h7.example\"");
    for number in 0..1500 {
        let host = format!("h{}.example", number % 1100);
        let query = Query { host: &host, resource: Resource::Host, ..query() };
        let expected = if host == "h7.example" { Verdict::Deny } else { Verdict::Allow };
        assert_eq!(policy.decide(&query).verdict, expected);
    }
}
