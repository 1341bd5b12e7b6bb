//! Renewing access tokens: one at a time for each connection, however many runs ask.
//!
//! Whoever needs a newer token joins the renewal that is under way, or begins one. It runs in a task of
//! its own, so that it is not lost with the request that began it; the new tokens are on disk before
//! anyone sees them. A renewal that failed is not tried again at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    super::{Broker, entry::Entry},
    Grant,
    grant::NOT_RENEWABLE,
};
use crate::{
    auth::{self, Fault, TokenSet},
    protocol::{ErrorKind, ErrorReply, chain},
};

/// First wait after a renewal that failed; doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A refused token that is not older than this is not renewed again for being refused: it is the
/// request that is refused.
const FORCED_PAUSE: Duration = Duration::from_secs(15);

/// Why there is no newer token.
#[derive(Clone, Debug)]
pub(in crate::broker) struct NotRenewed {
    /// Does only a new login help?
    pub(in crate::broker) login: bool,
    /// What happened, lower case, no full stop.
    pub(in crate::broker) reason: String,
}

type Outcome = Result<(), NotRenewed>;

/// The renewals under way, and those that failed lately.
#[derive(Debug, Default)]
pub(in crate::broker) struct Renewals {
    flights: Mutex<HashMap<Arc<str>, Flight>>,
    /// Tokens that a full disk did not take, and the issue they follow: where refresh tokens rotate
    /// they are the only ones that still work. Nothing uses them before they are stored.
    unsaved: Mutex<HashMap<Arc<str>, (u64, TokenSet)>>,
}

#[derive(Debug)]
enum Flight {
    /// Under way; the outcome comes here.
    Running(watch::Receiver<Option<Outcome>>),
    /// Not before then.
    Waiting { until: Instant, failures: u32, why: NotRenewed },
    /// Renewed then because the upstream had refused the one before.
    Forced(Instant),
}

impl Renewals {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaved(&self) -> MutexGuard<'_, HashMap<Arc<str>, (u64, TokenSet)>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets about connections: they were stored anew, or deleted.
    pub(in crate::broker) fn forget(&self, name: &str) {
        let mut flights = self.lock();
        if flights.get(name).is_some_and(|flight| !matches!(flight, Flight::Running(_))) {
            flights.remove(name);
        }
    }
}

impl Broker {
    /// Begins a renewal unless there is one or it failed lately. Waits for nothing.
    pub(in crate::broker) fn renew_ahead(self: &Arc<Self>, entry: &Arc<Entry>) {
        let mut flights = self.oauth.renewals.lock();
        match flights.get(&entry.full_name) {
            Some(Flight::Running(outcome)) if is_under_way(outcome) => {}
            Some(Flight::Waiting { until, .. }) if Instant::now() < *until => {}
            _ => drop(self.begin(&mut flights, entry, false)),
        }
    }

    /// A newer issue of the connection than `used`, or why there is none. `refused`: the upstream has
    /// refused the one in use, so its age does not matter.
    pub(in crate::broker) async fn renewed(
        self: &Arc<Self>,
        name: &str,
        used: u64,
        refused: bool,
    ) -> Result<Arc<Entry>, NotRenewed> {
        let mut outcome = {
            let mut flights = self.oauth.renewals.lock();
            // Looked at under the lock: a renewal that has just ended has replaced the snapshot first.
            let entry = self.current(name)?;
            let Some(grant) = entry.grant() else { return Ok(entry) };
            if grant.issue != used {
                return Ok(entry);
            }
            if let Some(reason) = &grant.needs_login {
                return Err(NotRenewed { login: true, reason: reason.clone() });
            }
            if !grant.can_renew() {
                return Err(NotRenewed { login: true, reason: NOT_RENEWABLE.to_owned() });
            }
            match flights.get(name) {
                Some(Flight::Running(outcome)) if is_under_way(outcome) => outcome.clone(),
                Some(Flight::Waiting { until, why, .. }) if Instant::now() < *until => {
                    return Err(why.clone());
                }
                Some(Flight::Forced(at)) if refused && at.elapsed() < FORCED_PAUSE => {
                    let reason = "the provider refuses a token that is new".to_owned();
                    return Err(NotRenewed { login: false, reason });
                }
                _ => self.begin(&mut flights, &entry, refused),
            }
        };
        // The sender is dropped unused only if the task panicked.
        let ended =
            outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match ended {
            Some(Ok(())) => self.current(name),
            Some(Err(why)) => Err(why),
            None => {
                Err(NotRenewed { login: false, reason: "the renewal was cut short".to_owned() })
            }
        }
    }

    fn current(&self, name: &str) -> Result<Arc<Entry>, NotRenewed> {
        let gone = || NotRenewed { login: true, reason: "it is not connected any more".to_owned() };
        let (provider, connection) = name.split_once('/').ok_or_else(gone)?;
        self.snapshot().find(provider, Some(connection)).cloned().ok_or_else(gone)
    }

    fn begin(
        self: &Arc<Self>,
        flights: &mut HashMap<Arc<str>, Flight>,
        entry: &Arc<Entry>,
        refused: bool,
    ) -> watch::Receiver<Option<Outcome>> {
        let (sender, outcome) = watch::channel(None);
        let failures = match flights.get(&entry.full_name) {
            Some(Flight::Waiting { failures, .. }) => *failures,
            _ => 0,
        };
        flights.insert(Arc::clone(&entry.full_name), Flight::Running(outcome.clone()));
        let (broker, entry) = (Arc::clone(self), Arc::clone(entry));
        drop(self.oauth.runtime.spawn(async move {
            let ended = broker.renew(&entry).await;
            {
                let mut flights = broker.oauth.renewals.lock();
                let name = &entry.full_name;
                match &ended {
                    Ok(()) if refused => {
                        flights.insert(Arc::clone(name), Flight::Forced(Instant::now()));
                    }
                    Ok(()) => drop(flights.remove(name)),
                    Err(why) => {
                        let until = Instant::now() + why.wait.unwrap_or_else(|| wait(failures));
                        let why = why.why.clone();
                        let failures = failures.saturating_add(1);
                        let failed = Flight::Waiting { until, failures, why };
                        flights.insert(Arc::clone(name), failed);
                    }
                }
            }
            drop(sender.send(Some(ended.map_err(|failed| failed.why))));
        }));
        outcome
    }

    /// Asks the provider and stores what it says.
    async fn renew(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<(), Failed> {
        let name = &entry.full_name;
        let Some(grant) = entry.grant() else { return Ok(()) };
        let server = self.server_of(entry).map_err(Failed::reply)?;
        let http = self.oauth.http().map_err(Failed::reply)?;
        let client = grant.client.client();
        let issue = grant.issue;
        let unsaved = self.oauth.renewals.unsaved().remove(name);
        if let Some((of, tokens)) = unsaved
            && of == issue
        {
            return self.keep_renewed(entry, issue, tokens).await;
        }
        let now = Timestamp::now();
        // Not shown to requests: it means nothing to them.
        let mark = move |grant: &mut Grant| grant.renewing_since.replace(now).is_some();
        let interrupted =
            self.change_grant(entry, issue, false, mark).await.map_err(Failed::reply)?;
        let answer = match &grant.refresh_token {
            Some(token) => {
                auth::refresh(&http, &server, &client, &token.0, &grant.scopes, now).await
            }
            None => auth::client_credentials(&http, &server, &client, &grant.scopes, now).await,
        };
        match answer {
            Ok(tokens) => self.keep_renewed(entry, issue, tokens).await,
            Err(error) => {
                tracing::warn!(connection = %name, error = chain(&error), "not renewed");
                let mut reason = format!("it could not be renewed: {}", chain(&error));
                let login = error.kind() == Fault::Grant;
                if login && interrupted {
                    reason.push_str(
                        "; the daemon was stopped while it renewed the token before, whose \
                         replacement was lost with it",
                    );
                }
                let why = NotRenewed { login, reason: reason.clone() };
                // Where the provider may have acted without our hearing of it, the mark stays.
                let heard = !error.is_transient();
                let note = move |grant: &mut Grant| {
                    if heard {
                        grant.renewing_since = None;
                    }
                    if login {
                        grant.needs_login = Some(reason);
                    }
                };
                self.change_grant(entry, issue, login, note).await.map_err(Failed::reply)?;
                if login {
                    self.note_soon("login-needed", name);
                }
                Err(Failed { why, wait: error.retry_after().map(|wait| wait.min(LONGEST_WAIT)) })
            }
        }
    }
}

impl Broker {
    /// Stores what a renewal gave, or keeps it for the next attempt to.
    async fn keep_renewed(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        issue: u64,
        tokens: TokenSet,
    ) -> Result<(), Failed> {
        let name = &entry.full_name;
        match self.store_renewed(entry, issue, tokens.clone()).await {
            Ok(()) => {
                self.note_soon("renew", name);
                Ok(())
            }
            Err(error) => {
                if error.kind == ErrorKind::Unavailable {
                    self.oauth.renewals.unsaved().insert(Arc::clone(name), (issue, tokens));
                }
                Err(Failed::reply(error))
            }
        }
    }
}

struct Failed {
    why: NotRenewed,
    wait: Option<Duration>,
}

impl Failed {
    fn reply(error: ErrorReply) -> Self {
        let login = error.kind == ErrorKind::LoginNeeded;
        Self { why: NotRenewed { login, reason: error.message }, wait: None }
    }
}

/// Will an outcome come, or has it? Not from a task that panicked.
fn is_under_way(outcome: &watch::Receiver<Option<Outcome>>) -> bool {
    outcome.has_changed().is_ok() || outcome.borrow().is_some()
}

/// Twice as long after each failure, less up to a quarter by chance, so that many daemons do not all
/// come back at once.
fn wait(failures: u32) -> Duration {
    let full = FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT);
    let mut byte = [0_u8];
    // Without randomness the wait is the full one.
    let _ = getrandom::fill(&mut byte);
    full - full / 1024 * u32::from(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        for failures in 0..40 {
            let wait = wait(failures);
            let full = FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT);
            assert!(wait <= full && wait >= full / 4 * 3 - Duration::from_millis(300), "{wait:?}");
        }
    }
}
