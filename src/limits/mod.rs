//! How much agents may ask for: rates, and budgets that outlive the daemon.
//!
//! [`Limits::admit`] is asked before a request goes out and [`Limits::spent`] told how many bytes it
//! was. A request that several rules cover must fit into all of them, and counts in all or none.
//! Without rules both are one atomic load; with rules, a lock for as long as it takes to add up.
//!
//! Knows no request and no policy: it is given an agent's and a connection's name, and the time.
//!
//! # Budgets
//!
//! What is used of limits of a day or longer is written to `limits.json`, at most once a second and at
//! the end: a daemon that is killed forgets its last second. A file that is there and cannot be read
//! fails closed: what a budget covers is refused until somebody has looked, since to begin anew would
//! give whoever can damage the file the whole budget again. Rates are not affected. A file that cannot
//! be *written* is reported and counting goes on in memory.
//!
//! # Bounds
//!
//! At most [`MAX_COUNTS`] agents and connections are counted for a rule; what has run out makes room,
//! and when there is none, another is refused.

mod count;
mod rule;
mod store;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use self::{
    count::{Count, Usage},
    store::Budget,
};
pub use self::{
    rule::{BUDGET, Rule, Scope, Subject},
    store::Error,
};

/// Counts of one rule: agents, connections, or pairs of them.
pub const MAX_COUNTS: usize = 4096;
/// Budgets are not written more often than this.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Why a request may not go out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Id of the rule.
    pub rule: Arc<str>,
    /// What about it.
    pub cause: Cause,
}

/// What keeps a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A rate; there is room again after this time.
    Rate(Duration),
    /// A budget; the next period begins after this time.
    Budget(Duration),
    /// More agents and connections than are counted.
    Crowded,
    /// It is not known what has been used of a budget: see [`Limits::problem`].
    Unknown,
}

/// What is limited, and what has been used.
#[derive(Debug)]
pub struct Limits {
    shared: Arc<Shared>,
    /// Writes budgets; runs from the first rule that is one.
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Are there rules?
    active: AtomicBool,
    state: Mutex<State>,
    /// Budgets have changed, or it is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    scopes: Vec<Tracked>,
    /// Why budgets are not known.
    unknown: Option<Arc<Error>>,
    /// Why they could not be written.
    unwritten: Option<Arc<Error>>,
    /// Something has not been written.
    dirty: bool,
    closing: bool,
}

/// A scope with its rules, and the counts of those it matches. Budgets stay when their rules go, until
/// their period ends: taking a rule out and in again gives nothing back.
#[derive(Debug)]
struct Tracked {
    scope: Scope,
    rules: Vec<Rule>,
    counts: HashMap<Who, Count>,
}

/// Whose count it is, as far as the scope tells them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Who {
    agent: Option<Arc<str>>,
    connection: Option<Arc<str>>,
}

impl Limits {
    /// No rules yet, and what was used of budgets as the file says.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let mut state = State::default();
        match store::read(path) {
            Ok(budgets) => {
                for budget in budgets {
                    state.restore(budget);
                }
            }
            Err(error) => state.unknown = Some(Arc::new(error)),
        }
        let shared = Shared {
            path: path.to_owned(),
            active: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared), writer: Mutex::default() }
    }

    /// Replaces the rules. What has been used stays with the scope of a rule.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        let mut state = self.shared.lock();
        for tracked in &mut state.scopes {
            tracked.rules.clear();
        }
        let mut any = false;
        for rule in rules {
            any = true;
            state.tracked(&rule.scope).rules.push(rule);
        }
        state.scopes.retain(|tracked| !tracked.rules.is_empty() || tracked.scope.is_budget());
        let budgets = state.scopes.iter().any(|tracked| tracked.scope.is_budget());
        drop(state);
        if budgets {
            self.start_writer();
        }
        self.shared.active.store(any, Ordering::Release);
    }

    /// May a request go out? If so, it counts.
    ///
    /// # Errors
    /// The rule that it does not fit into, the one that lasts longest.
    pub fn admit(&self, subject: Subject<'_>, now: SystemTime) -> Result<(), Exceeded> {
        if !self.shared.active.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = since_1970(now);
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let covers =
            |tracked: &&mut Tracked| !tracked.rules.is_empty() && tracked.scope.covers(subject);
        let mut worst: Option<Exceeded> = None;
        for tracked in state.scopes.iter_mut().filter(covers) {
            let exceeded = tracked.exceeded(subject, now, state.unknown.is_some());
            worst = worst.into_iter().chain(exceeded).max_by_key(|exceeded| exceeded.cause.rank());
        }
        if let Some(exceeded) = worst {
            return Err(exceeded);
        }
        let one = Usage { requests: 1, bytes: 0 };
        for tracked in state.scopes.iter_mut().filter(covers) {
            state.dirty |= tracked.add(subject, now, one);
        }
        self.shared.wake(state);
        Ok(())
    }

    /// A request that was admitted has ended, after so many bytes.
    pub fn spent(&self, subject: Subject<'_>, bytes: u64, now: SystemTime) {
        if bytes == 0 || !self.shared.active.load(Ordering::Acquire) {
            return;
        }
        let now = since_1970(now);
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        for tracked in &mut state.scopes {
            let by_bytes = tracked.rules.iter().any(|rule| rule.bytes.is_some());
            if by_bytes && tracked.scope.covers(subject) {
                state.dirty |= tracked.add(subject, now, Usage { requests: 0, bytes });
            }
        }
        self.shared.wake(state);
    }

    /// Why budgets are not known, or not written.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<Error>> {
        let state = self.shared.lock();
        state.unknown.clone().or_else(|| state.unwritten.clone())
    }

    /// Writes what is still to be written. Called once, at the end.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("budgets are not written: their thread is gone");
        }
    }

    fn start_writer(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("limits".to_owned());
        match thread.spawn(move || shared.write_budgets()) {
            Ok(thread) => *writer = Some(thread),
            Err(error) => tracing::error!(%error, "budgets will not be written"),
        }
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: &State) {
        if state.dirty {
            self.changed.notify_one();
        }
    }

    /// The writing thread.
    fn write_budgets(&self) {
        let mut state = self.lock();
        loop {
            state = self
                .changed
                .wait_while(state, |state| !state.dirty && !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
            if state.dirty {
                state.dirty = false;
                let budgets = state.budgets(since_1970(SystemTime::now()));
                // What could not be read is left for somebody to look at.
                let writable = state.unknown.is_none();
                drop(state);
                let written = if writable { store::write(&self.path, budgets) } else { Ok(()) };
                state = self.lock();
                if let Err(error) = &written {
                    tracing::error!(%error, "budgets are not written");
                    // Once more with the next request, or at the end.
                }
                state.unwritten = written.err().map(Arc::new);
            }
            if state.closing {
                return;
            }
            (state, _) = self
                .changed
                .wait_timeout_while(state, WRITE_PAUSE, |state| !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// The scope with its counts, made if it is not there.
    fn tracked(&mut self, scope: &Scope) -> &mut Tracked {
        let at = self.scopes.iter().position(|tracked| tracked.scope == *scope);
        let at = at.unwrap_or_else(|| {
            self.scopes.push(Tracked {
                scope: scope.clone(),
                rules: Vec::new(),
                counts: HashMap::new(),
            });
            self.scopes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.scopes[at]
    }

    fn restore(&mut self, budget: Budget) {
        let Budget { scope, agent, connection, number, requests, bytes } = budget;
        if scope.is_budget() {
            let count = Count::Fixed { number, used: Usage { requests, bytes } };
            self.tracked(&scope).counts.insert(Who { agent, connection }, count);
        }
    }

    /// What is to be kept of budgets.
    fn budgets(&self, now: Duration) -> Vec<Budget> {
        let mut budgets = Vec::new();
        for tracked in &self.scopes {
            let current = count::period_number(now, tracked.scope.period());
            for (who, count) in &tracked.counts {
                if let Count::Fixed { number, used } = count
                    && *number >= current
                {
                    budgets.push(Budget {
                        scope: tracked.scope.clone(),
                        agent: who.agent.clone(),
                        connection: who.connection.clone(),
                        number: *number,
                        requests: used.requests,
                        bytes: used.bytes,
                    });
                }
            }
        }
        budgets
    }
}

impl Tracked {
    fn who(&self, subject: Subject<'_>) -> Who {
        let (agents, connections) = (&self.scope.agents, &self.scope.connections);
        Who {
            agent: (!agents.is_empty()).then(|| Arc::clone(subject.agent)),
            connection: subject.connection.filter(|_| !connections.is_empty()).cloned(),
        }
    }

    /// The rule that one more request does not fit into.
    fn exceeded(&mut self, subject: Subject<'_>, now: Duration, unknown: bool) -> Option<Exceeded> {
        let refuse = |rule: &Rule, cause| Some(Exceeded { rule: Arc::clone(&rule.id), cause });
        let budget = self.scope.is_budget();
        let first = self.rules.first()?;
        if budget && unknown {
            return refuse(first, Cause::Unknown);
        }
        let period = self.scope.period();
        let who = self.who(subject);
        if self.counts.len() >= MAX_COUNTS && !self.counts.contains_key(&who) {
            self.counts.retain(|_, count| {
                count.advance(now, period);
                count.used() != Usage::default()
            });
            if self.counts.len() >= MAX_COUNTS {
                return refuse(first, Cause::Crowded);
            }
        }
        let count = self.counts.get_mut(&who)?;
        count.advance(now, period);
        let used = count.used();
        let waits = self.rules.iter().filter_map(|rule| {
            let fits = |used: Usage| {
                rule.requests.is_none_or(|most| used.requests < most)
                    && rule.bytes.is_none_or(|most| used.bytes < most)
            };
            (!fits(used)).then(|| (rule, count.wait(now, period, fits)))
        });
        let (rule, wait) = waits.max_by_key(|(_, wait)| *wait)?;
        refuse(rule, if budget { Cause::Budget(wait) } else { Cause::Rate(wait) })
    }

    /// Counts; true if that is to be written.
    fn add(&mut self, subject: Subject<'_>, now: Duration, more: Usage) -> bool {
        let budget = self.scope.is_budget();
        let period = self.scope.period();
        let who = self.who(subject);
        let count = self.counts.entry(who);
        let count = count.or_insert_with(if budget { Count::fixed } else { Count::sliding });
        count.advance(now, period);
        count.add(more);
        budget
    }
}

impl Cause {
    /// Which of two is worse.
    fn rank(self) -> (u8, Duration) {
        match self {
            Self::Rate(wait) => (0, wait),
            Self::Budget(wait) => (1, wait),
            Self::Crowded => (2, Duration::ZERO),
            Self::Unknown => (3, Duration::ZERO),
        }
    }
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
