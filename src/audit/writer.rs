//! The thread that owns the file: makes lines of events, writes them, begins a new file when one is
//! full ([`super::rotate`]).

use std::{
    fs::File,
    io::{self, Write},
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Event, Settings, Signer, WhenUnwritable,
    chain::{self, Head},
    head::Place,
    log::Shared,
    open::Start,
};

/// Lines of one write(2). With the longest line of some 5 KiB it stays below what
/// [`super::recover::end`] looks back over.
const BATCH_MAX: usize = 256;

/// How long the thread gathers events before it writes.
pub(super) const LINGER: Duration = Duration::from_millis(3);

/// How long after a refused write the next is tried.
const RETRY: Duration = Duration::from_millis(250);

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) file: Arc<File>,
    pub(super) head: Head,
    /// Number of the first line in the file, and its bytes so far.
    pub(super) first: u64,
    pub(super) length: u64,
    /// Lines, or the rest of them, that are not in the file yet.
    pending: Vec<u8>,
    scratch: Vec<u8>,
    /// Bytes from which on the file is full.
    pub(super) full_at: u64,
    pub(super) max_size: u64,
    pub(super) keep: Option<usize>,
    pub(super) signer: Option<Arc<dyn Signer>>,
}

impl Writer {
    pub(super) fn new(
        shared: &Arc<Shared>,
        start: Start,
        settings: &Settings,
        signer: Option<Arc<dyn Signer>>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            file: start.file,
            head: start.next,
            first: start.place.file,
            length: start.length,
            pending: start.pending,
            scratch: Vec::new(),
            full_at: settings.max_size,
            max_size: settings.max_size,
            keep: settings.keep,
            signer,
        }
    }

    pub(super) fn run(mut self) {
        // First what opening found to be said, if there is anything.
        if !self.pending.is_empty() {
            if !self.write_out() {
                return;
            }
            self.publish(1);
        }
        while let Some(batch) = self.next() {
            let count = batch.len() as u64;
            for event in batch {
                self.add(event);
            }
            if !self.write_out() {
                return;
            }
            self.publish(count);
            if self.length >= self.full_at {
                if !self.rotate() {
                    return;
                }
                self.publish(0);
            }
        }
        // A closed log survives a power failure.
        let _ = self.file.sync_data();
    }

    /// Makes a line of an event.
    pub(super) fn add(&mut self, mut event: Event) {
        event.bound();
        // Serialising plain data into memory fails only for a time before year -9999.
        let _ = chain::write(&event, &mut self.head, &mut self.pending, &mut self.scratch);
    }

    /// Tells callers and the signing thread how far the file goes now.
    fn publish(&self, count: u64) {
        let place = Place { head: self.head.clone(), file: self.first, end: self.length };
        let mut state = self.shared.lock();
        state.written += count;
        let was_opening = std::mem::take(&mut state.opening);
        state.place = place;
        if !Arc::ptr_eq(&state.file, &self.file) {
            state.file = Arc::clone(&self.file);
        }
        let wake = std::mem::take(&mut state.signing_asleep) || was_opening || state.flushing > 0;
        drop(state);
        if wake {
            self.shared.to_sign.notify_one();
        }
        self.shared.done.notify_all();
    }

    /// Waits for events, gathers a little, and takes a batch; `None` when all is done.
    fn next(&self) -> Option<Vec<Event>> {
        let mut state = self.shared.lock();
        while state.queue.is_empty() {
            if state.closing {
                return None;
            }
            state.asleep = true;
            state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        state = self
            .shared
            .work
            .wait_timeout_while(state, LINGER, |state| {
                state.flushing == 0 && !state.closing && state.queue.len() < BATCH_MAX
            })
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let count = state.queue.len().min(BATCH_MAX);
        let batch = state.queue.drain(..count).collect();
        drop(state);
        self.shared.done.notify_all();
        Some(batch)
    }

    /// Writes what is pending, as often as it takes. Gives up only when the log is being closed.
    pub(super) fn write_out(&mut self) -> bool {
        let mut failed = false;
        while !self.pending.is_empty() {
            match (&*self.file).write(&self.pending) {
                // The rest is what tells why it was not all.
                Ok(count) => {
                    self.pending.drain(..count);
                    self.length += count as u64;
                    if failed && self.pending.is_empty() {
                        self.add_lost();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    if !failed {
                        self.say_unwritable(&e);
                    }
                    failed = true;
                    if !self.wait_for_retry(e) {
                        return false;
                    }
                }
            }
        }
        if failed {
            self.shared.lock().failure = None;
            self.shared.done.notify_all();
            tracing::info!(path = %self.shared.path.display(), "the audit log is written again");
        }
        true
    }

    fn say_unwritable(&self, error: &io::Error) {
        let consequence = match self.shared.when_unwritable {
            WhenUnwritable::Deny => "requests are refused until it can",
            WhenUnwritable::Allow => "requests go on, and what there is no room for is counted",
        };
        tracing::error!(
            path = %self.shared.path.display(), %error,
            "cannot write the audit log; {consequence}"
        );
    }

    /// `false` if the log is being closed.
    fn wait_for_retry(&self, error: io::Error) -> bool {
        let mut state = self.shared.lock();
        state.failure = Some(Arc::new(error));
        self.shared.done.notify_all();
        if state.closing {
            let lost = state.queue.len() as u64 + state.lost;
            tracing::error!(lost, "the audit log is closed without the last events");
            return false;
        }
        let state = self.shared.work.wait_timeout_while(state, RETRY, |state| !state.closing);
        drop(state.unwrap_or_else(PoisonError::into_inner));
        true
    }

    /// Puts on record how many events there was no room for.
    fn add_lost(&mut self) {
        let lost = std::mem::take(&mut self.shared.lock().lost);
        if lost > 0 {
            self.add(Event { lost: Some(lost), ..Event::of_log("lost") });
        }
    }
}
