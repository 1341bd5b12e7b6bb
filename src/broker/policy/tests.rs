use super::*;

fn limits(home: &tempfile::TempDir) -> Arc<Limits> {
    Arc::new(Limits::open(&home.path().join("limits.json")))
}

fn live(text: Option<&str>) -> (tempfile::TempDir, LivePolicy) {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("policy");
    paths::create_private_dir(&directory).unwrap();
    if let Some(text) = text {
        paths::write_private(&directory.join(RULES_FILE), text.as_bytes()).unwrap();
    }
    let live = LivePolicy::open(directory, &limits(&home)).unwrap();
    (home, live)
}

fn write(home: &tempfile::TempDir, text: &str) {
    let file = home.path().join("policy").join(RULES_FILE);
    paths::write_private(&file, text.as_bytes()).unwrap();
}

fn rules(live: &LivePolicy) -> usize {
    live.current().unwrap().statements().len()
}

const RULE: &str = "[[rule]]\nverdict = \"deny\"\naction = \"write\"\n";

#[test]
fn a_change_takes_the_place_of_what_was_there() {
    let (home, live) = live(None);
    assert_eq!(rules(&live), 0);
    write(&home, RULE);
    live.shared.look();
    assert_eq!(rules(&live), 1);
    fs::remove_dir_all(home.path().join("policy")).unwrap();
    live.shared.look();
    assert_eq!(rules(&live), 0);
}

#[test]
fn a_policy_with_an_error_denies_and_the_old_one_is_gone() {
    let (home, live) = live(Some(RULE));
    write(&home, "[[rule]]\nverdict = \"dny\"\n");
    live.shared.look();
    let problem = live.current().unwrap_err();
    assert!(problem.message.contains("policy.toml:2:11: bad value for `verdict`"), "{problem:?}");
    assert_eq!(problem.denial().code, "policy-invalid");
    assert_eq!(
        problem.reply().hint.as_deref(),
        Some("expected `allow`, `deny`, `ask` or `approve`")
    );
    write(&home, RULE);
    live.shared.look();
    assert_eq!(rules(&live), 1);
}

#[test]
fn what_looks_the_same_but_was_just_written_is_read_again() {
    let (home, live) = live(Some(RULE));
    let file = home.path().join("policy").join(RULES_FILE);
    let same_length = RULE.replace("deny", "nope");
    let mut seen = lock(&live.shared.seen);
    // As if the file system had not noticed: what was seen is what is there.
    paths::write_private(&file, same_length.as_bytes()).unwrap();
    *seen = Seen::of(&live.shared.directory);
    drop(seen);
    live.shared.look();
    assert!(live.current().is_err());
}

#[test]
fn a_directory_that_cannot_be_read_denies() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("policy");
    paths::write_private(&file, b"").unwrap();
    assert!(LivePolicy::open(file, &limits(&home)).unwrap().current().is_err());
}

#[test]
fn a_rule_is_added_at_the_end_once_and_holds_at_once() {
    let before = "# mine\ndefault = \"deny\"   # careful\n";
    let (home, live) = live(Some(before));
    live.append_rule(RULE).unwrap();
    live.append_rule(RULE).unwrap();
    assert_eq!(rules(&live), 1);
    let text = fs::read_to_string(home.path().join("policy").join(RULES_FILE)).unwrap();
    assert_eq!(text, format!("{before}\n{RULE}"));
}

#[test]
fn a_rule_is_added_where_there_was_no_file() {
    let (home, live) = live(None);
    fs::remove_dir_all(home.path().join("policy")).unwrap();
    live.append_rule(RULE).unwrap();
    assert_eq!(rules(&live), 1);
}

#[test]
fn a_rule_that_is_added_where_cedar_denies_does_not_allow_the_rest() {
    let (home, live) = live(None);
    let file = home.path().join("policy").join("a.cedar");
    paths::write_private(&file, b"permit(principal, action in Action::\"read\", resource);")
        .unwrap();
    live.append_rule(RULE).unwrap();
    let policy = live.current().unwrap();
    assert_eq!((policy.default_verdict(), rules(&live)), (Verdict::Deny, 2));
}

#[test]
fn a_rule_that_approves_ends_the_asking_at_once() {
    let query = policy::Query {
        agent: "agent://local/codex",
        user: "ada",
        profile: "default",
        run: "00ff",
        method: Some("POST"),
        host: "api.test",
        port: 443,
        path: "/orders",
        query_keys: &[],
        resource: policy::Resource::Connection { provider: "shop", connection: "shop/work" },
        time: jiff::Timestamp::UNIX_EPOCH,
        zone: &jiff::tz::TimeZone::UTC,
    };
    let draft = policy::Draft {
        verdict: policy::RuleVerdict::Approve,
        agent: Some(query.agent),
        profile: Some(query.profile),
        connection: Some("shop/work"),
        host: Some(query.host),
        port: Some(query.port),
        action: query.method,
        path: Some(query.path),
        reason: None,
    };
    let rule = draft.to_toml().unwrap();
    for before in ["default = \"ask\"\n", "[[rule]]\nverdict = \"ask\"\naction = \"write\"\n"] {
        let (_home, live) = live(Some(before));
        let decide =
            |path| live.current().unwrap().decide(&policy::Query { path, ..query }).verdict;
        assert_eq!(decide("/orders"), Verdict::Ask, "{before}");
        live.append_rule(&rule).unwrap();
        assert_eq!(decide("/orders"), Verdict::Allow, "{before}");
        assert_eq!(decide("/orders/1"), Verdict::Ask, "{before}");
    }
}

#[test]
fn a_rule_that_means_nothing_leaves_the_file_alone() {
    let (home, live) = live(Some(RULE));
    let error = live.append_rule("[[rule]]\nverdict = \"perhaps\"\n").unwrap_err();
    assert!(error.message.contains("the rule cannot be added: "), "{error:?}");
    let text = fs::read_to_string(home.path().join("policy").join(RULES_FILE)).unwrap();
    assert_eq!((text.as_str(), rules(&live)), (RULE, 1));
}
