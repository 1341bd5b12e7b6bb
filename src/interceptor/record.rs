//! One record per request or connection, by construction.
//!
//! An [`Entry`] is made before anything is decided and reports to the gate when it is dropped,
//! however that comes about. Until somebody says that it ended well, it counts as cut short.

use std::{
    cell::Cell,
    fmt,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use tokio::time::timeout;

use crate::{
    gate::{Decision, Gate, Record, RecordKind, Target},
    process::Caller,
};

/// Error code of a request or connection that the agent left before it was over.
const CUT_SHORT: &str = "agent-closed";

/// How long a connection that was refused is kept open until it is known whose it is.
const CALLER_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes of one request or connection. Shared by the two directions, which live in one thread.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// From the agent.
    pub(super) sent: Cell<u64>,
    /// To the agent.
    pub(super) received: Cell<u64>,
}

impl Tally {
    pub(super) fn add_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    pub(super) fn add_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }
}

/// A record in the making.
pub(super) struct Entry {
    gate: Arc<dyn Gate>,
    caller: Caller,
    record: Option<Record>,
    begun: Instant,
    tally: Rc<Tally>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Entry {
    pub(super) fn new(
        gate: &Arc<dyn Gate>,
        caller: &Caller,
        kind: RecordKind,
        target: Target,
    ) -> Self {
        let decision = match kind {
            RecordKind::Request => Decision::Forward,
            RecordKind::Splice => Decision::Splice,
            RecordKind::Connection => Decision::Deny,
        };
        let record = Record {
            kind,
            process: None,
            target,
            method: None,
            path: None,
            decision,
            connection: None,
            policy: None,
            status: None,
            error: Some(CUT_SHORT),
            bytes_sent: 0,
            bytes_received: 0,
            started: SystemTime::now(),
            duration: Duration::ZERO,
        };
        let tally = Rc::default();
        let (gate, caller) = (Arc::clone(gate), caller.clone());
        Self { gate, caller, record: Some(record), begun: Instant::now(), tally }
    }

    /// The counters whose last values are recorded.
    pub(super) fn tally(&self) -> Rc<Tally> {
        Rc::clone(&self.tally)
    }

    /// Fills in what is known.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// Says what the agent was answered with.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.edit(|record| record.status = Some(status.as_u16()));
    }

    /// Says what went wrong.
    pub(super) fn failed(&mut self, code: &'static str) {
        self.edit(|record| record.error = Some(code));
    }

    /// Refused, with this code.
    pub(super) fn denied(&mut self, code: &'static str) {
        self.edit(|record| {
            record.decision = Decision::Deny;
            record.error = Some(code);
        });
    }

    /// Waits until it is known who is recorded, so that the connection is not closed before. Else the
    /// agent would close its end too, and nobody could tell any more whose it was.
    pub(super) async fn caller_known(&self) {
        // Longer than this it is recorded as soon as it is known, which then is likely nobody.
        let _ = timeout(CALLER_TIMEOUT, self.caller.known()).await;
    }

    /// Everything arrived; the record is made now.
    pub(super) fn complete(mut self) {
        self.edit(|record| record.error = None);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.bytes_sent = self.tally.sent.get();
            record.bytes_received = self.tally.received.get();
            record.duration = self.begun.elapsed();
            // Who it was is known by now, unless it was over almost before it began.
            let gate = Arc::clone(&self.gate);
            self.caller.tell(move |process| gate.record(Record { process, ..record }));
        }
    }
}
