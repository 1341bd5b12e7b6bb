//! Upstream HTTP: a worker's own pool of connections, and one request over one of them.
//!
//! Everything here lives in one worker thread, so nothing is locked. Connections are kept per dialer
//! and target, which is also what their certificates were verified for: a request can only leave on a
//! connection that was opened for its own host. An HTTP/1.1 connection is driven by the request that
//! uses it rather than by a task of its own, which saves two task switches a request; HTTP/2
//! connections are shared and have a task.

mod body;
mod link;
mod origin;
mod shared;

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use body::{Recording, RequestBody, UpstreamBody};
pub(super) use origin::Origin;
pub(super) use shared::LocalExecutor;

use super::dialer::{DialError, Dialer};
use crate::gate::Target;

/// How long an unused connection is kept. Shorter than most servers keep theirs, so that it is
/// rarely they who close.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Unused HTTP/1.1 connections kept for one target.
const MAX_IDLE: usize = 64;

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection.
    Dial(DialError),
    /// A connection, but no HTTP answer on it.
    Protocol,
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

/// A worker's upstream connections.
#[derive(Debug, Default)]
pub(super) struct Pool {
    origins: RefCell<HashMap<(u64, Target), Rc<Origin>>>,
}

impl Pool {
    /// Where requests of one run to one target go. To be asked once per connection, not per request.
    /// None if the target's name cannot stand in a URI.
    pub(super) fn origin(&self, dialer: &Arc<Dialer>, target: &Target) -> Option<Rc<Origin>> {
        let key = (dialer.id(), target.clone());
        let mut origins = self.origins.borrow_mut();
        if let Some(origin) = origins.get(&key) {
            return Some(Rc::clone(origin));
        }
        let origin = Rc::new(Origin::new(Arc::clone(dialer), target.clone())?);
        origins.insert(key, Rc::clone(&origin));
        Some(origin)
    }

    /// Closes what has been idle too long and forgets targets nobody uses.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.origins.borrow_mut().retain(|_, origin| {
            let in_use = Rc::strong_count(origin) > 1;
            origin.sweep(now) || in_use
        });
    }
}
