use std::io::Write as _;

use jiff::tz::TimeZone;

use super::*;
use crate::request_path::canonical;

static UTC: TimeZone = TimeZone::UTC;

/// A query that tests change.
pub(super) fn query() -> Query<'static> {
    Query {
        agent: "agent://local/codex",
        user: "alice",
        profile: "default",
        run: "0123456789abcdef",
        method: Some("GET"),
        host: "api.github.com",
        port: 443,
        path: "/repos/acme/app",
        query_keys: &[],
        resource: Resource::Connection { provider: "github", connection: "github/work" },
        // A Wednesday.
        time: "2026-01-07T12:30:00Z".parse().unwrap(),
        zone: &UTC,
    }
}

fn host(host: &str) -> Query<'_> {
    Query { method: None, host, path: "", resource: Resource::Host, ..query() }
}

fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let mut file = fs::File::create(home.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    home
}

pub(super) fn rules(text: &str) -> Policy {
    Policy::load(home(&[(RULES_FILE, text)]).path()).unwrap()
}

fn cedar(text: &str) -> Policy {
    Policy::load(home(&[("a.cedar", text)]).path()).unwrap()
}

fn verdict(policy: &Policy, query: &Query<'_>) -> Verdict {
    policy.decide(query).verdict
}

#[test]
fn without_files_everything_is_allowed_and_nothing_named() {
    let empty = tempfile::tempdir().unwrap();
    for directory in [empty.path().to_owned(), empty.path().join("none")] {
        let decision = Policy::load(&directory).unwrap().decide(&query());
        assert_eq!((decision.verdict, decision.policy), (Verdict::Allow, None));
    }
}

#[test]
fn the_default_decides_where_nothing_matches() {
    for (text, expected, named) in [
        ("", Verdict::Allow, None),
        ("default = \"allow\"", Verdict::Allow, None),
        ("default = \"deny\"", Verdict::Deny, Some("default")),
        ("default = \"ask\"", Verdict::Ask, Some("default")),
    ] {
        let decision = rules(text).decide(&query());
        assert_eq!((decision.verdict, decision.policy.as_deref()), (expected, named), "{text}");
    }
}

#[test]
fn cedar_files_alone_deny_what_they_do_not_permit() {
    let policy = cedar("permit(principal, action in Action::\"read\", resource);");
    assert_eq!(verdict(&policy, &query()), Verdict::Allow);
    assert_eq!(verdict(&policy, &Query { method: Some("POST"), ..query() }), Verdict::Deny);
}

#[test]
fn deny_beats_approve_beats_ask_beats_allow_in_any_order() {
    let rule = |verdict: &str| format!("[[rule]]\nverdict = \"{verdict}\"\n");
    for (verdicts, expected) in [
        (["allow", "ask", "deny"], Verdict::Deny),
        (["deny", "allow", "ask"], Verdict::Deny),
        (["ask", "allow", "allow"], Verdict::Ask),
        (["allow", "allow", "allow"], Verdict::Allow),
        (["ask", "approve", "ask"], Verdict::Allow),
        (["approve", "ask", "allow"], Verdict::Allow),
        (["approve", "deny", "ask"], Verdict::Deny),
    ] {
        let policy = rules(&verdicts.map(rule).concat());
        assert_eq!(verdict(&policy, &query()), expected, "{verdicts:?}");
    }
}

#[test]
fn the_statement_that_decides_is_named_with_its_reason() {
    let policy = rules(
        "[[rule]]\nverdict = \"ask\"\nid = \"careful\"\nreason = \"it is work\"\nseconds = 90\n\
         [[rule]]\nverdict = \"deny\"\naction = \"write\"\n",
    );
    let asked = policy.decide(&query());
    assert_eq!(asked.verdict, Verdict::Ask);
    assert_eq!(asked.policy.as_deref(), Some("careful"));
    assert_eq!(asked.reason.as_deref(), Some("it is work"));
    assert_eq!(asked.ask_seconds, Some(90));
    let denied = policy.decide(&Query { method: Some("DELETE"), ..query() });
    assert_eq!(denied.policy.as_deref(), Some("policy.toml:6"));
}

#[test]
fn what_is_approved_is_not_asked_and_the_approval_is_named() {
    let approval =
        "[[rule]]\nid = \"yes\"\nverdict = \"approve\"\nreason = \"r\"\npath = \"/repos/**\"\n";
    for asks in ["default = \"ask\"\n", "[[rule]]\nverdict = \"ask\"\n", ""] {
        let policy = rules(&format!("{asks}{approval}"));
        let decision = policy.decide(&query());
        assert_eq!(decision.verdict, Verdict::Allow, "{asks}");
        assert_eq!(decision.policy.as_deref(), Some("yes"), "{asks}");
        assert_eq!((decision.reason.as_deref(), decision.ask_seconds), (Some("r"), None), "{asks}");
        let other = if asks.is_empty() { Verdict::Allow } else { Verdict::Ask };
        assert_eq!(verdict(&policy, &Query { path: "/user", ..query() }), other, "{asks}");
    }
}

#[test]
fn a_default_that_denies_allows_what_is_approved() {
    let policy = rules("default = \"deny\"\n[[rule]]\nverdict = \"approve\"\naction = \"read\"");
    assert_eq!(verdict(&policy, &query()), Verdict::Allow);
    assert_eq!(verdict(&policy, &Query { method: Some("POST"), ..query() }), Verdict::Deny);
}

#[test]
fn a_cedar_policy_may_approve_what_another_asks() {
    let policy = cedar(
        "@verdict(\"ask\") forbid(principal, action, resource);\n\
         permit(principal, action, resource);\n\
         @id(\"yes\") @verdict(\"approve\")\n\
         permit(principal, action, resource) when { context.path like \"/repos/*\" };",
    );
    assert_eq!(policy.decide(&query()).policy.as_deref(), Some("yes"));
    assert_eq!(verdict(&policy, &Query { path: "/user", ..query() }), Verdict::Ask);
}

#[test]
fn who_approved_of_a_path_as_it_is_sent_is_not_asked_what_else_it_means() {
    let path = canonical("/files/a%2Fb").unwrap();
    let decide = |approved: &str, also: &str| {
        let policy = rules(&format!(
            "[[rule]]\nverdict = \"ask\"\n[[rule]]\nverdict = \"approve\"\npath = \"{approved}\"\n{also}"
        ));
        policy.decide_path(&query(), &path).verdict
    };
    assert_eq!(decide("/files/a%2Fb", ""), Verdict::Allow);
    let denied = "[[rule]]\nverdict = \"deny\"\npath = \"/files/a/b\"\n";
    assert_eq!(decide("/files/a%2Fb", denied), Verdict::Deny);
    // Of a pattern nobody has seen what it covers.
    assert_eq!(decide("/files/*", ""), Verdict::Ask);
}

#[test]
fn a_cedar_policy_may_ask_and_is_named() {
    let policy = cedar(
        "permit(principal, action, resource);\n\
         @verdict(\"ask\") @seconds(\"30\") @reason(\"r\")\n\
         forbid(principal, action, resource) when { context.path like \"/repos/*\" };",
    );
    let decision = policy.decide(&query());
    assert_eq!(decision.verdict, Verdict::Ask);
    assert_eq!(decision.policy.as_deref(), Some("a.cedar:policy1"));
    assert_eq!((decision.reason.as_deref(), decision.ask_seconds), (Some("r"), Some(30)));
}

#[test]
fn what_cannot_be_evaluated_denies_and_is_named() {
    let policy = cedar(
        "permit(principal, action, resource);\n\
         @id(\"big\") permit(principal, action, resource)\n\
         when { context.time * 9223372036854775807 > 0 };",
    );
    let decision = policy.decide(&query());
    assert_eq!(decision.verdict, Verdict::Deny);
    assert_eq!(decision.policy.as_deref(), Some("big"));
    assert!(decision.reason.unwrap().contains("overflow"));
}

#[test]
fn a_refusing_rule_matches_a_path_in_either_case_an_allowing_one_as_it_is() {
    let deny = rules("[[rule]]\nverdict = \"deny\"\npath = \"/repos/Acme/**\"");
    let allow =
        rules("default = \"deny\"\n[[rule]]\nverdict = \"allow\"\npath = \"/repos/acme/**\"");
    let shouted = Query { path: "/REPOS/ACME/app", ..query() };
    assert_eq!(verdict(&deny, &shouted), Verdict::Deny);
    assert_eq!(verdict(&allow, &shouted), Verdict::Deny);
    assert_eq!(verdict(&allow, &query()), Verdict::Allow);
}

#[test]
fn of_all_readings_of_a_path_the_strictest_answer_holds() {
    let deny = rules("[[rule]]\nverdict = \"deny\"\npath = \"/admin/**\"");
    let allow = rules("default = \"deny\"\n[[rule]]\nverdict = \"allow\"\npath = \"/pub/**\"");
    for raw in ["/pub/..%2fadmin/x", "/pub/%252e%252e/admin", "/pub/..;/admin", "/pub/..%5cadmin"] {
        let path = canonical(raw).unwrap();
        assert_eq!(verdict(&deny, &Query { path: path.as_str(), ..query() }), Verdict::Allow);
        assert_eq!(deny.decide_path(&query(), &path).verdict, Verdict::Deny, "{raw}");
        assert_eq!(allow.decide_path(&query(), &path).verdict, Verdict::Deny, "{raw}");
    }
    let plain = canonical("/pub/a%20b/").unwrap();
    assert_eq!(allow.decide_path(&query(), &plain).verdict, Verdict::Allow);
}

#[test]
fn hours_are_those_of_the_zone_and_until_ends_a_rule() {
    let policy = rules(
        "[[rule]]\nverdict = \"deny\"\nhours = \"09:00-18:00\"\ndays = [\"wed\"]\n\
         until = 2026-06-01T00:00:00Z\n",
    );
    let at = |time: &str| Query { time: time.parse().unwrap(), ..query() };
    assert_eq!(verdict(&policy, &query()), Verdict::Deny);
    assert_eq!(verdict(&policy, &at("2026-01-07T18:00:00Z")), Verdict::Allow);
    assert_eq!(verdict(&policy, &at("2026-01-08T12:30:00Z")), Verdict::Allow);
    assert_eq!(verdict(&policy, &at("2026-06-03T12:30:00Z")), Verdict::Allow);
    let zone = TimeZone::fixed(jiff::tz::offset(9));
    assert_eq!(verdict(&policy, &Query { zone: &zone, ..query() }), Verdict::Allow);
}

#[test]
fn a_connection_that_stays_encrypted_is_an_action_of_its_own() {
    let policy = rules(
        "default = \"deny\"\n[[rule]]\nverdict = \"allow\"\naction = \"connect\"\n\
         host = \"*.internal.example\"\nport = [443, 8443]\n",
    );
    assert_eq!(verdict(&policy, &host("a.internal.example")), Verdict::Allow);
    assert_eq!(verdict(&policy, &Query { port: 22, ..host("a.internal.example") }), Verdict::Deny);
    assert_eq!(verdict(&policy, &host("internal.example")), Verdict::Deny);
    let request = Query { method: Some("GET"), path: "/", ..host("a.internal.example") };
    assert_eq!(verdict(&policy, &request), Verdict::Deny);
}

#[test]
fn a_method_without_a_name_writes() {
    let policy = rules("[[rule]]\nverdict = \"deny\"\naction = \"write\"");
    for (method, expected) in
        [("GET", Verdict::Allow), ("get", Verdict::Deny), ("PURGE", Verdict::Deny)]
    {
        assert_eq!(verdict(&policy, &Query { method: Some(method), ..query() }), expected);
    }
}

#[test]
fn the_same_policy_in_cedars_language_decides_the_same() {
    let policy = rules(
        "default = \"deny\"\n\
         [[rule]]\nverdict = \"allow\"\nagent = [\"codex\", \"claude-*\"]\naction = [\"read\", \"POST\"]\n\
         connection = [\"github/*\", \"openai/default\"]\npath = [\"/repos/*/app\", \"/v1/**\", \"/x\"]\n\
         [[rule]]\nverdict = \"deny\"\nquery = \"force\"\nreason = \"it \\\"says\\\" so\"\n\
         [[rule]]\nverdict = \"ask\"\naction = \"PUT\"\n\
         [[rule]]\nverdict = \"approve\"\npath = \"/x\"\n",
    );
    let again = cedar(&policy.to_cedar());
    let force = ["force".to_owned()];
    for (agent, method, path, query_keys) in [
        ("agent://local/codex", "GET", "/repos/acme/app", &[][..]),
        ("agent://local/codex", "DELETE", "/repos/acme/app", &[]),
        ("agent://local/claude-2", "POST", "/v1/a/b", &[]),
        ("agent://local/other", "POST", "/v1/a/b", &[]),
        ("agent://local/codex", "GET", "/x", &force),
        ("agent://local/codex", "PUT", "/x", &[]),
        ("agent://local/codex", "PUT", "/y", &[]),
    ] {
        let query = Query { agent, method: Some(method), path, query_keys, ..query() };
        assert_eq!(policy.decide(&query).verdict, again.decide(&query).verdict, "{agent} {path}");
    }
}

#[test]
fn a_limit_names_what_is_to_be_counted() {
    let policy = rules(
        "[[limit]]\nagent = \"codex\"\nconnection = \"github/work\"\nrequests = 100\nper = \"minute\"\n\
         [[limit]]\nbytes = \"10MB\"\nper = \"day\"\n",
    );
    let [requests, bytes] = policy.limits() else { panic!("{:?}", policy.limits()) };
    assert_eq!((requests.quota(), requests.per().as_secs()), (Quota::Requests(100), 60));
    assert_eq!((bytes.quota(), bytes.per().as_secs()), (Quota::Bytes(10_000_000), 86_400));
    assert_eq!(&**requests.id(), "policy.toml:1");
    assert!(requests.agents().eq(["codex"]) && requests.connections().eq(["github/work"]));
    assert_eq!(bytes.agents().chain(bytes.providers()).chain(bytes.hosts()).count(), 0);
}
