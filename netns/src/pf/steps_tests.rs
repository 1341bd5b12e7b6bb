//! A packet filter with a memory, which can fail at any step.

use std::io;

use super::*;

const TOKEN: u64 = 18_446_744_072_635_809_792;
const PLAN: Plan = Plan { gid: 1_627_394_759, port: 49_152, strict: false };
const NOISE: &str = "No ALTQ support in kernel\nALTQ related functions disabled\n";

/// What a packet filter holds, and what was done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    rules: String,
    tokens: Vec<u64>,
    skips: bool,
}

struct Fake {
    state: State,
    main: String,
    /// What has been asked of it.
    done: Vec<String>,
    /// Number of the change that fails, from 0.
    fails_at: Option<usize>,
    changes: usize,
}

impl Fake {
    fn new(skips: bool) -> Self {
        Self {
            state: State { skips, ..State::default() },
            main: "anchor \"com.apple/*\" all\n".to_owned(),
            done: Vec::new(),
            fails_at: None,
            changes: 0,
        }
    }

    /// May a change be made?
    fn change(&mut self, what: String) -> bool {
        self.done.push(what);
        self.changes += 1;
        self.fails_at != Some(self.changes - 1)
    }
}

impl Filter for Fake {
    fn call(&mut self, call: &Call) -> io::Result<Output> {
        let lines = |text: &str, translates: bool| -> String {
            let is = |line: &&str| line.starts_with("no rdr") || line.starts_with("rdr");
            text.lines().filter(|line| is(line) == translates).map(|l| format!("{l}\n")).collect()
        };
        let text = match call {
            Call::MainTranslations => "rdr-anchor \"com.apple/*\" all\n".to_owned(),
            Call::MainFilters => self.main.clone(),
            Call::Interfaces if self.state.skips => "en0\nlo0 (skip)\n".to_owned(),
            Call::Interfaces => "en0\nlo0\n".to_owned(),
            Call::Info if self.state.tokens.is_empty() => "Status: Disabled".to_owned(),
            Call::Info => "Status: Enabled for 0 days".to_owned(),
            Call::References => {
                let line = |token: &u64| format!("1 pfctl {token} 0 days 00:00:01\n");
                self.state.tokens.iter().map(line).collect()
            }
            Call::AnchorTranslations => lines(&self.state.rules, true),
            Call::AnchorFilters => lines(&self.state.rules, false),
            Call::Load(_)
            | Call::Enable
            | Call::Release(_)
            | Call::FlushFilters
            | Call::FlushTranslations => {
                if !self.change(call.arguments().join(" ")) {
                    return Ok(Output { success: false, text: "pfctl: refused".to_owned() });
                }
                if let Call::Load(rules) = call {
                    self.state.rules.clone_from(rules);
                } else if let Call::Release(token) = call {
                    self.state.tokens.retain(|known| known != token);
                } else if *call == Call::Enable {
                    self.state.tokens.push(TOKEN);
                } else {
                    self.state.rules = lines(&self.state.rules, *call == Call::FlushFilters);
                }
                format!("Token : {TOKEN}")
            }
        };
        Ok(Output { success: true, text: format!("{NOISE}{text}") })
    }

    fn set_loopback_skip(&mut self, skip: bool) -> io::Result<()> {
        if !self.change(format!("skip {skip}")) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.state.skips = skip;
        Ok(())
    }
}

/// A journal in memory.
#[derive(Default)]
struct Memory(Option<Journal>);

impl Store for Memory {
    fn load(&self) -> io::Result<Option<Journal>> {
        Ok(self.0.clone())
    }
    fn save(&mut self, journal: &Journal) -> io::Result<()> {
        self.0 = Some(journal.clone());
        Ok(())
    }
    fn clear(&mut self) -> io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

const LOAD: &str = "-a com.apple/authsome -f -";
const FLUSH: [&str; 2] = ["-a com.apple/authsome -F rules", "-a com.apple/authsome -F nat"];

#[test]
fn what_is_done_is_undone_in_reverse() {
    for skips in [false, true] {
        let (mut filter, mut store) = (Fake::new(skips), Memory::default());
        let before = filter.state.clone();
        let journal = redirect(&mut filter, &mut store, &PLAN).unwrap();
        assert_eq!(store.0.as_ref(), Some(&journal));
        look(&mut filter).unwrap();

        undo(&mut filter, &mut store, journal).unwrap();

        assert_eq!((&filter.state, &store.0), (&before, &None));
        let release = format!("-X {TOKEN}");
        let wanted: Vec<&str> = if skips {
            vec![LOAD, "-E", "skip false", "skip true", &release, FLUSH[0], FLUSH[1]]
        } else {
            vec![LOAD, "-E", &release, FLUSH[0], FLUSH[1]]
        };
        assert_eq!(filter.done, wanted);
    }
}

#[test]
fn a_step_that_fails_leaves_everything_as_it_was() {
    let steps = [LOAD, "-E", "skip false"];
    let release = format!("-X {TOKEN}");
    // What a load or an enabling that failed has changed is nothing, or is seen to be nothing.
    let undone: [&[&str]; 3] =
        [&FLUSH, &FLUSH, &["skip true", release.as_str(), FLUSH[0], FLUSH[1]]];
    for (number, undone) in undone.into_iter().enumerate() {
        let (mut filter, mut store) = (Fake::new(true), Memory::default());
        let before = filter.state.clone();
        filter.fails_at = Some(number);

        assert!(matches!(redirect(&mut filter, &mut store, &PLAN), Err(Error::Filter { .. })));

        assert_eq!((&filter.state, &store.0), (&before, &None), "{number}");
        assert_eq!(filter.done, [&steps[..=number], undone].concat());
    }
}

#[test]
fn what_cannot_be_undone_stays_in_the_journal_and_the_rest_is_undone() {
    // Changes 0 to 2 are made; 3 is the first that undoes.
    for (number, left) in [
        (3, Journal { gid: PLAN.gid, loopback_was_skipped: true, token: None }),
        (4, Journal { gid: PLAN.gid, loopback_was_skipped: false, token: Some(TOKEN) }),
        (5, Journal { gid: PLAN.gid, loopback_was_skipped: false, token: None }),
    ] {
        let (mut filter, mut store) = (Fake::new(true), Memory::default());
        filter.fails_at = Some(number);
        let journal = redirect(&mut filter, &mut store, &PLAN).unwrap();

        assert!(matches!(undo(&mut filter, &mut store, journal), Err(Error::Undo { .. })));

        assert_eq!((store.0, filter.done.len()), (Some(left), 7));
    }
}

#[test]
fn what_a_killed_helper_left_is_undone_first() {
    let (mut filter, mut store) = (Fake::new(true), Memory::default());
    redirect(&mut filter, &mut store, &PLAN).unwrap();
    filter.done.clear();

    let next = redirect(&mut filter, &mut store, &Plan { gid: PLAN.gid + 1, ..PLAN }).unwrap();

    assert_eq!(filter.done[..4], ["skip true", &format!("-X {TOKEN}"), FLUSH[0], FLUSH[1]]);
    assert_eq!(filter.state.tokens, [TOKEN]);
    assert!(next.loopback_was_skipped && filter.state.rules.contains(&next.gid.to_string()));
}

#[test]
fn a_token_that_is_not_known_any_more_is_forgotten() {
    let (mut filter, mut store) = (Fake::new(false), Memory::default());
    let journal = redirect(&mut filter, &mut store, &PLAN).unwrap();
    filter.state.tokens.clear();
    undo(&mut filter, &mut store, journal).unwrap();
    assert!(filter.done.iter().all(|call| !call.starts_with("-X")));
}

#[test]
fn nothing_is_changed_where_it_would_not_work() {
    let mut filter = Fake::new(false);
    filter.main.clear();
    let error = redirect(&mut filter, &mut Memory::default(), &PLAN).unwrap_err();
    assert!(matches!(error, Error::NoAnchorPoint));

    filter = Fake::new(true);
    filter.main.push_str("block drop out all\n");
    let error = redirect(&mut filter, &mut Memory::default(), &PLAN).unwrap_err();
    assert!(matches!(error, Error::KillSwitch));
    assert!(!filter.done.iter().any(|call| call.contains("-f")));
}

#[test]
fn what_others_change_is_seen() {
    let (mut filter, mut store) = (Fake::new(false), Memory::default());
    redirect(&mut filter, &mut store, &PLAN).unwrap();
    look(&mut filter).unwrap();
    let good = filter.state.clone();
    for (change, wanted) in [
        (State { skips: true, ..good.clone() }, "skips lo0"),
        (State { rules: String::new(), ..good.clone() }, "rules are gone"),
        (State { tokens: Vec::new(), ..good }, "no longer enabled"),
    ] {
        filter.state = change;
        let error = look(&mut filter).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
