//! Connections whose values lie elsewhere: what is known of them now, and how requests get it.
//!
//! A value is fetched when a request first needs it, used for as long as its kind allows, and fetched
//! ahead of that time's end where fetching is slow. Whoever needs one that is not there joins the fetch
//! that is under way, or begins one; it runs in a thread of its own and is not lost with the request that
//! began it. A value whose time is over is never used: where there is no newer one, the request is
//! denied. A fetch that failed is not tried again at once.

mod fetch;
mod guard;
mod put;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use self::fetch::{Failure, Freshness, Held};
pub(super) use self::guard::{guard, variables};
use super::{Broker, entry::Entry};
use crate::{
    gate::{BoxFuture, Denial, Injection, Renewal, Verdict},
    protocol::{ErrorReply, Secret},
};

/// How long one fetch may take while requests wait for it.
const FETCH_LIMIT: Duration = Duration::from_secs(15);
/// How long a request waits for a fetch, which may be another's and cannot always be cut short.
const WAIT_LIMIT: Duration = Duration::from_secs(20);
/// How long a fetch that failed is not tried again.
const FAILURE_PAUSE: Duration = Duration::from_secs(3);
/// A value that an upstream refuses is not fetched again for that within this time: it is the request
/// that is refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

type Outcome = Result<Arc<Held>, Failure>;
type Flight = watch::Receiver<Option<Outcome>>;

/// What is known of one connection's values now.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Held>>,
    flight: Option<Flight>,
    failed: Option<(Instant, Failure)>,
    /// When it was last fetched because an upstream had refused it.
    refused: Option<Instant>,
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the connection cannot be used, as far as is known.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.lock();
        let usable = state.held.as_ref().is_some_and(|held| held.freshness() != Freshness::Stale);
        state.failed.as_ref().filter(|_| !usable).map(|(_, failure)| failure.reason.clone())
    }

    /// Takes over what a login has fetched.
    fn prime(&self, held: Arc<Held>) {
        self.lock().held = Some(held);
    }
}

/// What a look at the state gives.
enum Look {
    Now(Outcome),
    Later(Flight),
}

impl Broker {
    /// The verdict that a connection means whose values lie elsewhere: at once if they are known.
    pub(super) fn sourced_verdict(self: &Arc<Self>, entry: Arc<Entry>) -> BoxFuture<'_, Verdict> {
        entry.used();
        match self.look(&entry, None) {
            Look::Now(outcome) => Box::pin(std::future::ready(verdict(&entry, outcome))),
            Look::Later(flight) => Box::pin(async move { verdict(&entry, wait(flight).await) }),
        }
    }

    /// What to do about a 401 for the value that was `used`: fetched once more, and sent again if it is
    /// another one now.
    pub(super) async fn refetched(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        used: &Injection,
    ) -> Renewal {
        let outcome = match self.look(entry, used.issue) {
            Look::Now(outcome) => outcome,
            Look::Later(flight) => wait(flight).await,
        };
        match outcome {
            Ok(held) if held.injection.issue != used.issue => {
                Renewal::Again(held.injection.clone())
            }
            // The upstream's own answer says more than a fetch that failed.
            Ok(_) | Err(_) => Renewal::Keep,
        }
    }

    /// The secrets of a connection, for its user.
    pub(super) async fn revealed(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
    ) -> Result<BTreeMap<String, Secret>, ErrorReply> {
        let outcome = match self.look(entry, None) {
            Look::Now(outcome) => outcome,
            Look::Later(flight) => wait(flight).await,
        };
        let held = outcome.map_err(|failure| failure.reply(&entry.full_name))?;
        Ok(entry.secrets_of(&held.values))
    }

    /// What there is, or the fetch that will tell. `refused`: the issue that an upstream has refused,
    /// whose age then does not matter.
    fn look(self: &Arc<Self>, entry: &Arc<Entry>, refused: Option<u64>) -> Look {
        let live = entry.live();
        let mut state = live.lock();
        let failed_lately = |state: &State| {
            let failed = state.failed.as_ref();
            failed.filter(|(at, _)| at.elapsed() < FAILURE_PAUSE).map(|(_, why)| why.clone())
        };
        if let Some(held) = state.held.clone() {
            let lately = state.refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE);
            match (refused, held.freshness()) {
                // The same again: the caller sees that there is no other.
                (Some(issue), _) if lately && held.injection.issue == Some(issue) => {
                    return Look::Now(Ok(held));
                }
                (Some(issue), Freshness::Fresh | Freshness::Ageing)
                    if held.injection.issue != Some(issue) =>
                {
                    return Look::Now(Ok(held));
                }
                (None, Freshness::Fresh) => return Look::Now(Ok(held)),
                (None, Freshness::Ageing) => {
                    if state.flight().is_none() && failed_lately(&state).is_none() {
                        drop(self.fetch(entry, &mut state, false));
                    }
                    return Look::Now(Ok(held));
                }
                (Some(_), _) | (None, Freshness::Stale) => {}
            }
        }
        if let Some(flight) = state.flight() {
            return Look::Later(flight);
        }
        if let Some(failure) = failed_lately(&state) {
            return Look::Now(Err(failure));
        }
        Look::Later(self.fetch(entry, &mut state, refused.is_some()))
    }

    fn fetch(&self, entry: &Arc<Entry>, state: &mut State, refused: bool) -> Flight {
        let (sender, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        if refused {
            state.refused = Some(Instant::now());
        }
        let (entry, former) = (Arc::clone(entry), state.held.clone());
        // Detached: it ends by itself, and whoever waits hears of it by the channel.
        drop(self.oauth.runtime.spawn_blocking(move || {
            let outcome = fetch::fetch(&entry, former.as_ref(), refused, FETCH_LIMIT);
            let mut state = entry.live().lock();
            state.flight = None;
            match &outcome {
                Ok(held) => {
                    state.held = Some(Arc::clone(held));
                    state.failed = None;
                }
                Err(failure) => {
                    tracing::warn!(connection = %entry.full_name, reason = failure.reason, "not fetched");
                    state.failed = Some((Instant::now(), failure.clone()));
                }
            }
            drop(state);
            drop(sender.send(Some(outcome)));
        }));
        flight
    }
}

impl State {
    /// The fetch that is under way. Not one whose thread is gone: its other end is closed.
    fn flight(&self) -> Option<Flight> {
        self.flight
            .clone()
            .filter(|flight| flight.has_changed().is_ok() || flight.borrow().is_some())
    }
}

async fn wait(mut flight: Flight) -> Outcome {
    let ended =
        async { flight.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone()) };
    match tokio::time::timeout(WAIT_LIMIT, ended).await {
        Ok(Some(outcome)) => outcome,
        // The sender is dropped unused only if the thread panicked.
        Ok(None) => Err(Failure::source("the fetch was cut short".to_owned())),
        Err(_) => Err(Failure::source(format!(
            "its value has not come within {} s",
            WAIT_LIMIT.as_secs()
        ))),
    }
}

fn verdict(entry: &Entry, outcome: Outcome) -> Verdict {
    match outcome {
        Ok(held) => Verdict::Inject(held.injection.clone()),
        Err(failure) => Verdict::Deny(Denial {
            code: failure.code,
            reason: format!("{} cannot be used: {}", entry.full_name, failure.reason),
            hint: failure
                .hint
                .or_else(|| Some(format!("authsome inspect {}", entry.definition.name))),
            status: 503,
        }),
    }
}
