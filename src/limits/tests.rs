use std::fs;

use super::*;

/// A moment in the middle of a day.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + BUDGET * 20_000 + BUDGET / 2
}

fn scope(agent: Option<&str>, connection: Option<&str>, seconds: u64) -> Scope {
    Scope {
        agents: agent.map(str::to_owned).into_iter().collect(),
        connections: connection.map(str::to_owned).into_iter().collect(),
        seconds,
        ..Scope::default()
    }
}

fn requests(scope: Scope, most: u64) -> Rule {
    Rule { id: format!("at most {most}").into(), scope, requests: Some(most), bytes: None }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("limits.json")
    }

    fn limits(&self, rules: impl IntoIterator<Item = Rule>) -> Limits {
        let limits = Limits::open(&self.file());
        limits.set_rules(rules);
        limits
    }
}

fn subject<'a>(agent: &'a Arc<str>, connection: &'a Arc<str>) -> Subject<'a> {
    Subject { agent, connection: Some(connection), host: "a.test" }
}

fn ask(limits: &Limits, agent: &str, connection: &str, now: SystemTime) -> Result<(), Exceeded> {
    let (agent, connection) = (agent.into(), connection.into());
    limits.admit(subject(&agent, &connection), now)
}

#[test]
fn without_rules_everything_passes() {
    let limits = Place::new().limits([]);
    assert_eq!(ask(&limits, "codex", "a/b", noon()), Ok(()));
}

#[test]
fn a_rate_is_refused_with_its_rule_and_when_there_is_room_again() {
    let limits = Place::new().limits([requests(scope(None, None, 60), 2)]);
    for _ in 0..2 {
        ask(&limits, "codex", "a/b", noon()).unwrap();
    }
    let exceeded = ask(&limits, "codex", "a/b", noon()).unwrap_err();
    assert_eq!(&*exceeded.rule, "at most 2");
    let Cause::Rate(wait) = exceeded.cause else { panic!("{exceeded:?}") };
    assert_eq!(ask(&limits, "codex", "a/b", noon() + wait), Ok(()));
}

#[test]
fn a_pattern_counts_each_match_and_what_is_left_out_is_counted_together() {
    let each = Place::new().limits([requests(scope(Some("*"), None, 60), 1)]);
    ask(&each, "codex", "a/b", noon()).unwrap();
    ask(&each, "claude", "a/b", noon()).unwrap();
    assert!(ask(&each, "codex", "c/d", noon()).is_err());

    let together = Place::new().limits([requests(scope(None, Some("*"), 60), 1)]);
    ask(&together, "codex", "a/b", noon()).unwrap();
    assert!(ask(&together, "claude", "a/b", noon()).is_err());
    ask(&together, "claude", "c/d", noon()).unwrap();
}

#[test]
fn a_request_that_does_not_fit_counts_nowhere() {
    let limits = Place::new()
        .limits([requests(scope(None, Some("a/*"), 60), 1), requests(scope(None, None, 3600), 2)]);
    ask(&limits, "codex", "a/b", noon()).unwrap();
    for _ in 0..5 {
        assert!(ask(&limits, "codex", "a/b", noon()).is_err());
    }
    ask(&limits, "codex", "c/d", noon()).unwrap();
    assert!(ask(&limits, "codex", "c/d", noon()).is_err());
}

#[test]
fn bytes_are_counted_when_they_are_spent() {
    let rule = Rule { requests: None, bytes: Some(100), ..requests(scope(None, None, 60), 0) };
    let limits = Place::new().limits([rule]);
    let (agent, connection): (Arc<str>, Arc<str>) = ("codex".into(), "a/b".into());
    limits.spent(subject(&agent, &connection), 99, noon());
    ask(&limits, "codex", "a/b", noon()).unwrap();
    limits.spent(subject(&agent, &connection), 1, noon());
    assert!(ask(&limits, "codex", "a/b", noon()).is_err());
}

#[test]
fn two_rules_of_one_scope_count_a_request_once() {
    let bytes = Rule { requests: None, bytes: Some(10), ..requests(scope(None, None, 60), 0) };
    let limits = Place::new().limits([requests(scope(None, None, 60), 2), bytes]);
    ask(&limits, "codex", "a/b", noon()).unwrap();
    ask(&limits, "codex", "a/b", noon()).unwrap();
    assert!(ask(&limits, "codex", "a/b", noon()).is_err());
}

#[test]
fn a_budget_outlives_the_daemon() {
    let place = Place::new();
    let rule = || requests(scope(Some("codex"), Some("a/b"), 86_400), 2);
    let now = SystemTime::now();
    let limits = place.limits([rule()]);
    ask(&limits, "codex", "a/b", now).unwrap();
    limits.close();
    let limits = place.limits([rule()]);
    ask(&limits, "codex", "a/b", now).unwrap();
    let exceeded = ask(&limits, "codex", "a/b", now).unwrap_err();
    assert!(matches!(exceeded.cause, Cause::Budget(wait) if wait <= BUDGET), "{exceeded:?}");
    assert_eq!(ask(&limits, "codex", "a/b", now + BUDGET), Ok(()));
}

#[test]
fn the_file_is_private() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let limits = place.limits([requests(scope(None, None, 86_400), 2)]);
    ask(&limits, "codex", "a/b", SystemTime::now()).unwrap();
    limits.close();
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn rates_are_never_written() {
    let place = Place::new();
    let limits = place.limits([requests(scope(None, None, 60), 2)]);
    ask(&limits, "codex", "a/b", SystemTime::now()).unwrap();
    limits.close();
    assert!(!place.file().exists());
}

#[test]
fn a_damaged_file_refuses_what_a_budget_covers_and_is_left_as_it_is() {
    let place = Place::new();
    crate::paths::write_private(&place.file(), b"{\"v\":1,\"budgets\":[{").unwrap();
    let limits = place.limits([
        requests(scope(None, Some("a/b"), 86_400), 2),
        requests(scope(None, None, 60), 9),
    ]);
    let exceeded = ask(&limits, "codex", "a/b", noon()).unwrap_err();
    assert_eq!(exceeded.cause, Cause::Unknown);
    assert_eq!(ask(&limits, "codex", "c/d", noon()), Ok(()));
    assert!(limits.problem().unwrap().to_string().contains("limits.json"));
    limits.close();
    assert_eq!(fs::read(place.file()).unwrap(), b"{\"v\":1,\"budgets\":[{");
}

#[test]
fn a_file_of_another_version_is_not_taken_for_an_empty_one() {
    let place = Place::new();
    crate::paths::write_private(&place.file(), b"{\"v\":2,\"budgets\":[]}").unwrap();
    let limits = place.limits([requests(scope(None, None, 86_400), 2)]);
    assert_eq!(ask(&limits, "codex", "a/b", noon()).unwrap_err().cause, Cause::Unknown);
}

#[test]
fn a_rule_with_another_number_goes_on_from_what_was_used() {
    let limits = Place::new().limits([requests(scope(None, None, 60), 2)]);
    ask(&limits, "codex", "a/b", noon()).unwrap();
    limits.set_rules([requests(scope(None, None, 60), 1)]);
    assert!(ask(&limits, "codex", "a/b", noon()).is_err());
    limits.set_rules([requests(scope(None, None, 60), 3)]);
    ask(&limits, "codex", "a/b", noon()).unwrap();
}

#[test]
fn a_budget_that_is_taken_out_and_in_again_gives_nothing_back() {
    let limits = Place::new().limits([requests(scope(None, None, 86_400), 1)]);
    ask(&limits, "codex", "a/b", noon()).unwrap();
    limits.set_rules([]);
    assert_eq!(ask(&limits, "codex", "a/b", noon()), Ok(()));
    limits.set_rules([requests(scope(None, None, 86_400), 1)]);
    assert!(ask(&limits, "codex", "a/b", noon()).is_err());
}

#[test]
fn more_agents_than_are_counted_are_refused_until_others_have_run_out() {
    let limits = Place::new().limits([requests(scope(Some("*"), None, 60), 5)]);
    for number in 0..MAX_COUNTS {
        ask(&limits, &format!("agent-{number}"), "a/b", noon()).unwrap();
    }
    let exceeded = ask(&limits, "another", "a/b", noon()).unwrap_err();
    assert_eq!(exceeded.cause, Cause::Crowded);
    ask(&limits, "agent-1", "a/b", noon()).unwrap();
    ask(&limits, "another", "a/b", noon() + Duration::from_secs(120)).unwrap();
}

#[test]
fn at_most_as_many_as_allowed_pass_of_many_at_once() {
    let limits = Place::new().limits([requests(scope(None, None, 60), 100)]);
    let passed = std::thread::scope(|threads| {
        let work = || (0..100).filter(|_| ask(&limits, "codex", "a/b", noon()).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| threads.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(passed, 100);
}
