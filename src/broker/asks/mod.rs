//! Requests that wait for a person.
//!
//! A policy that answers "ask" holds its request here until somebody approves or denies it, or a time
//! limit passes, which is a denial. A waiting request costs its own task and an entry: no thread, and
//! the lock is held only to look something up. When the agent leaves, its future is dropped and the
//! question goes with it, so nobody approves what has no one to go to.
//!
//! Equal requests of a run (same agent, connection, method, host, port, path and policy) are one
//! question, answered together. "For this run" covers what is equal in all of that, until the run
//! ends: another path, another method or another policy is asked about anew.
//!
//! Fails closed: beyond [`MAX_WAITING`] and [`MAX_WAITING_OF_RUN`] nothing is asked and the request is
//! refused; so is one whose run or daemon ends. Knows no policy, no vault and no log; see [`answer`]
//! for those.

mod answer;
mod question;
mod rule;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use self::question::Subject;
pub use self::{
    answer::Approver,
    question::{Answer, CONNECT, Question},
};
use crate::protocol::{
    ErrorKind, ErrorReply,
    asks::{AskView, AsksView},
};

/// Requests that wait at once.
pub const MAX_WAITING: usize = 1024;
/// Of those, requests of one run: it must not take the places of all others.
pub const MAX_WAITING_OF_RUN: usize = 256;
/// How long a question is open, in seconds, unless its policy or `config.toml` says otherwise.
pub const DEFAULT_ASK_SECONDS: u32 = 120;
/// Subjects that are remembered for one run; more are asked about again.
const MAX_GRANTS: usize = 4096;
/// What ids are made of: nothing that looks like something else.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Letters of an id: few enough to type, enough that a slip meets no other question.
const ID_LENGTH: usize = 4;

/// All questions of one daemon.
#[derive(Debug)]
pub struct Asks {
    state: Mutex<State>,
    /// Counts changes of what is waiting.
    revision: watch::Sender<u64>,
    /// Seconds that a question is open where its policy does not say.
    limit: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    waiting: Vec<Entry>,
    /// By run: what may pass without asking.
    granted: HashMap<Arc<str>, HashSet<Subject>>,
    /// Nothing is asked any more.
    closed: bool,
}

/// One question and those who wait for its answer.
#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    question: Question,
    subject: Subject,
    count: usize,
    asked_at: Timestamp,
    /// When the last who waits gives up.
    deadline: Instant,
    /// Somebody is answering it.
    claimed: bool,
    answer: watch::Sender<Option<Answer>>,
}

impl Entry {
    fn view(&self) -> AskView {
        let question = &self.question;
        let text = |text: &Arc<str>| (**text).to_owned();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let expires_at = SignedDuration::try_from(left)
            .ok()
            .and_then(|left| Timestamp::now().checked_add(left).ok())
            .unwrap_or(self.asked_at);
        AskView {
            id: text(&self.id),
            agent: text(&question.agent),
            user: text(&question.user),
            profile: text(&question.profile),
            run: text(&question.run),
            command: text(&question.command),
            connection: question.connection.as_ref().map(text),
            method: text(&question.method),
            host: text(&question.host),
            port: question.port,
            path: text(&question.path),
            policy: question.policy.as_ref().map(text),
            reason: question.reason.as_ref().map(text),
            count: self.count,
            asked_at: format!("{:.0}", self.asked_at),
            expires_at: format!("{expires_at:.0}"),
            seconds_left: left.as_secs(),
        }
    }
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            revision: watch::Sender::new(0),
            limit: AtomicU32::new(DEFAULT_ASK_SECONDS),
        }
    }
}

impl Asks {
    /// Holds a request until somebody answers, at most for `limit`. `waits` is told of the question if
    /// no other of its run was waiting.
    ///
    /// Dropping the future takes the question back.
    pub async fn ask(
        &self,
        question: Question,
        limit: Duration,
        waits: impl FnOnce(&AskView),
    ) -> Answer {
        let waiter = match self.join(question, limit) {
            Ok((waiter, first)) => {
                if let Some(view) = first {
                    waits(&view);
                }
                waiter
            }
            Err(answer) => return answer,
        };
        waiter.wait(limit).await
    }

    /// What is waiting, oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<AskView> {
        self.lock().waiting.iter().map(Entry::view).collect()
    }

    /// How many questions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A number that changes whenever something begins or ceases to wait.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// What is waiting, once its revision is another than `seen`, or after `wait`.
    pub async fn next(&self, seen: Option<u64>, wait: Duration) -> AsksView {
        let mut changes = self.changes();
        if let Some(seen) = seen {
            // Late or not, what there is now is the answer.
            let _ = timeout(wait, changes.wait_for(|revision| *revision != seen)).await;
        }
        // Before the questions: one that comes between the two is seen again, not missed.
        let revision = *changes.borrow_and_update();
        AsksView { revision, asks: self.pending() }
    }

    /// Sets a question aside for whoever answers it: nobody else can meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if nothing of that id is waiting.
    pub(super) fn claim(&self, id: &str) -> Result<Claim<'_>, ErrorReply> {
        let mut state = self.lock();
        let entry = state.waiting.iter_mut().find(|entry| *entry.id == *id && !entry.claimed);
        let entry = entry.ok_or_else(|| gone(id))?;
        entry.claimed = true;
        let (id, question) = (Arc::clone(&entry.id), entry.question.clone());
        Ok(Claim { asks: self, id, question, view: entry.view() })
    }

    /// Refuses what a run is waiting for, and forgets what it was allowed.
    pub fn run_ended(&self, run: &str) {
        let mut state = self.lock();
        state.granted.remove(run);
        self.end(&mut state, |entry| *entry.question.run == *run);
    }

    /// Refuses everything that is waiting or comes later: the daemon ends.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.end(&mut state, |_| true);
    }

    /// How long a question is open where its policy does not say.
    #[must_use]
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.limit.load(Ordering::Relaxed).into())
    }

    /// Changes that, from the next question on.
    pub fn set_limit(&self, seconds: u32) {
        self.limit.store(seconds, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.revision.send_modify(|revision| *revision = revision.wrapping_add(1));
    }

    /// Adds one that waits, or says at once what comes of it. With it the question, if its run has no
    /// other.
    fn join(
        &self,
        question: Question,
        limit: Duration,
    ) -> Result<(Waiter<'_>, Option<AskView>), Answer> {
        if !question.is_readable() {
            return Err(Answer::TooLong);
        }
        let subject = question.subject();
        let mut state = self.lock();
        if state.closed {
            return Err(Answer::Gone);
        }
        if state.granted.get(&question.run).is_some_and(|granted| granted.contains(&subject)) {
            return Err(Answer::Run);
        }
        let waiting = |entry: &Entry| entry.count;
        let of_run = |entry: &&Entry| entry.question.run == question.run;
        let all: usize = state.waiting.iter().map(waiting).sum();
        let others: usize = state.waiting.iter().filter(of_run).map(waiting).sum();
        if all >= MAX_WAITING || others >= MAX_WAITING_OF_RUN {
            return Err(Answer::TooMany);
        }
        let deadline = Instant::now() + limit;
        let same =
            |entry: &&mut Entry| entry.question.run == question.run && entry.subject == subject;
        let (id, answer, first) = if let Some(entry) = state.waiting.iter_mut().find(same) {
            entry.count += 1;
            entry.deadline = entry.deadline.max(deadline);
            (Arc::clone(&entry.id), entry.answer.subscribe(), None)
        } else {
            let id = state.new_id().ok_or(Answer::Gone)?;
            let answer = watch::Sender::new(None);
            let receiver = answer.subscribe();
            let entry = Entry {
                id: Arc::clone(&id),
                question,
                subject,
                count: 1,
                asked_at: Timestamp::now(),
                deadline,
                claimed: false,
                answer,
            };
            let first = (others == 0).then(|| entry.view());
            state.waiting.push(entry);
            (id, receiver, first)
        };
        drop(state);
        self.changed();
        Ok((Waiter { asks: self, id, answer, waits: true }, first))
    }

    /// Takes one that waits away; false if the question has been answered.
    fn leave(&self, id: &str) -> bool {
        let mut state = self.lock();
        let Some(at) = state.waiting.iter().position(|entry| *entry.id == *id) else {
            return false;
        };
        if let Some(entry) = state.waiting.get_mut(at) {
            entry.count -= 1;
            if entry.count == 0 {
                state.waiting.remove(at);
            }
        }
        drop(state);
        self.changed();
        true
    }

    fn end(&self, state: &mut State, which: impl Fn(&Entry) -> bool) {
        state.waiting.retain(|entry| {
            let ends = which(entry);
            if ends {
                entry.answer.send_replace(Some(Answer::Gone));
            }
            !ends
        });
        self.changed();
    }
}

impl State {
    /// An id that nothing else has; none without random numbers.
    fn new_id(&self) -> Option<Arc<str>> {
        loop {
            let mut bytes = [0_u8; ID_LENGTH];
            getrandom::fill(&mut bytes).ok()?;
            let letter = |byte: &u8| LETTERS.get(usize::from(*byte) % LETTERS.len()).copied();
            let id: String = bytes.iter().filter_map(letter).map(char::from).collect();
            if self.waiting.iter().all(|entry| *entry.id != *id) {
                return Some(id.into());
            }
        }
    }
}

/// One request that waits. Dropping it, whether or not it has an answer, takes it out of its question.
struct Waiter<'a> {
    asks: &'a Asks,
    id: Arc<str>,
    answer: watch::Receiver<Option<Answer>>,
    /// It has neither an answer nor given up.
    waits: bool,
}

impl Waiter<'_> {
    async fn wait(mut self, limit: Duration) -> Answer {
        let answered = async {
            // An entry that goes says what became of it first.
            drop(self.answer.wait_for(Option::is_some).await);
        };
        let in_time = timeout(limit, answered).await.is_ok();
        self.waits = false;
        // Whoever answered in the last moment was told that it was in time, and it is.
        if !in_time && self.asks.leave(&self.id) {
            return Answer::TimedOut;
        }
        self.answer.borrow().clone().unwrap_or(Answer::Gone)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.asks.leave(&self.id);
        }
    }
}

/// A question that is being answered. Dropped without an answer, it waits on.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    asks: &'a Asks,
    id: Arc<str>,
    pub(super) question: Question,
    /// As it was when it was set aside.
    pub(super) view: AskView,
}

impl Claim<'_> {
    /// Tells those who wait. Returns the question as it was.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if all of them left meanwhile, and the answer was for nobody else.
    pub(super) fn give(self, answer: Answer) -> Result<AskView, ErrorReply> {
        let mut state = self.asks.lock();
        let at = state.waiting.iter().position(|entry| entry.id == self.id);
        let entry = at.map(|at| state.waiting.remove(at)).ok_or_else(|| gone(&self.id))?;
        let view = entry.view();
        // Somebody waits, so the run is open, and what is remembered goes when it ends.
        if answer == Answer::Run {
            let granted = state.granted.entry(Arc::clone(&self.question.run)).or_default();
            if granted.len() < MAX_GRANTS {
                granted.insert(entry.subject);
            }
        }
        entry.answer.send_replace(Some(answer));
        drop(state);
        self.asks.changed();
        Ok(view)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.asks.lock();
        if let Some(entry) = state.waiting.iter_mut().find(|entry| entry.id == self.id) {
            entry.claimed = false;
        }
    }
}

fn gone(id: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::NotFound,
        message: format!("no request `{id}` is waiting: it was answered, timed out or is gone"),
        hint: Some("authsome approve".to_owned()),
    }
}

#[cfg(test)]
mod tests;
