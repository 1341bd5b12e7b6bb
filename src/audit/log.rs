//! Writing: callers put events into a bounded queue, one thread makes lines of them.
//!
//! A caller pays for a lock and a move, and at most once per [`LINGER`] for waking the thread, which
//! then gathers what comes in that time into one write(2). A full queue makes callers wait; while the
//! disk refuses, it makes them fail instead, so that nobody waits for a disk that stays full.

use std::{
    collections::VecDeque,
    fmt,
    fs::{File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    Error, Event, Result,
    chain::{self, Head},
    recover::{self, End},
};
use crate::paths;

/// Events that may wait.
const QUEUE_MAX: usize = 8192;

/// Lines of one write(2). With the longest line of some 5 KiB it stays below what
/// [`recover::end`] looks back over.
const BATCH_MAX: usize = 256;

/// How long the thread gathers events before it writes.
const LINGER: Duration = Duration::from_millis(3);

/// How long after a refused write the next is tried.
const RETRY: Duration = Duration::from_millis(250);

/// The log of one home, open for appending. Dropping it writes what waits.
pub struct AuditLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Something for the writing thread: an event while it sleeps, a flush, the end.
    work: Condvar,
    /// Something for the callers: room, lines written, a failure.
    done: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Event>,
    /// Events ever queued and ever written.
    queued: u64,
    written: u64,
    /// The thread waits for a first event and must be woken for it.
    asleep: bool,
    /// Somebody waits for `written`: gather no longer.
    flushing: usize,
    closing: bool,
    failure: Option<Arc<io::Error>>,
}

impl AuditLog {
    /// Opens the log for appending, creating it (0600) if there is none, and continues its chain. What
    /// a crash left at its end is kept and noted (see [`super`]).
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::Damaged`], [`Error::Path`], [`Error::Read`], [`Error::Write`],
    /// [`Error::Closed`].
    pub fn open(path: &Path) -> Result<Self> {
        let file = paths::append_private(path)?;
        Self::over(file, path)
    }

    fn over(file: File, path: &Path) -> Result<Self> {
        let path = path.to_owned();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Held { path }),
            Err(TryLockError::Error(source)) => return Err(Error::Read { path, source }),
        }
        let end =
            recover::end(&file).map_err(|source| Error::Read { path: path.clone(), source })?;
        let (head, pending) = match end {
            End::Whole(head) => (head, Vec::new()),
            End::Unended(head) => (head, b"\n".to_vec()),
            End::Torn(mut head, event) => {
                let mut pending = b"\n".to_vec();
                chain::write(&event, &mut head, &mut pending, &mut Vec::new())
                    .map_err(|e| Error::Write { path: path.clone(), source: Arc::new(e.into()) })?;
                (head, pending)
            }
            End::Damaged => return Err(Error::Damaged { path }),
        };
        let shared = Arc::new(Shared {
            path: path.clone(),
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let writer =
            Writer { shared: Arc::clone(&shared), file, head, pending, scratch: Vec::new() };
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .map_err(|_| Error::Closed { path })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes an event over. It is in the file a few milliseconds later. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Error::Write`] if the queue is full and the disk refuses; the event was not taken then.
    pub fn append(&self, event: Event) -> Result<()> {
        let mut state = self.shared.lock();
        while state.queue.len() >= QUEUE_MAX {
            self.shared.health(&state)?;
            state = self.shared.wait_done(state);
        }
        state.queue.push_back(event);
        state.queued += 1;
        if state.asleep {
            state.asleep = false;
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Waits until everything taken so far is in the file.
    ///
    /// # Errors
    /// [`Error::Write`] if the disk refuses; it is tried again nevertheless.
    pub fn flush(&self) -> Result<()> {
        let mut state = self.shared.lock();
        let goal = state.queued;
        state.flushing += 1;
        self.shared.work.notify_one();
        let done = loop {
            if state.written >= goal {
                break Ok(());
            }
            if let Err(e) = self.shared.health(&state) {
                break Err(e);
            }
            state = self.shared.wait_done(state);
        };
        state.flushing -= 1;
        done
    }

    /// Can events be written? As long as this fails, whatever must be recorded must not happen.
    ///
    /// # Errors
    /// [`Error::Write`] with the last refusal.
    pub fn healthy(&self) -> Result<()> {
        self.shared.health(&self.shared.lock())
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every update of the state is a few assignments that can't panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_done<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.done.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self, state: &State) -> Result<()> {
        match &state.failure {
            None => Ok(()),
            Some(source) => {
                Err(Error::Write { path: self.path.clone(), source: Arc::clone(source) })
            }
        }
    }
}

/// The thread that owns the file.
struct Writer {
    shared: Arc<Shared>,
    file: File,
    head: Head,
    /// Lines, or the rest of them, that are not in the file yet.
    pending: Vec<u8>,
    scratch: Vec<u8>,
}

impl Writer {
    fn run(mut self) {
        // First the end of an earlier, interrupted line, if there is one.
        if !self.pending.is_empty() && !self.write_out() {
            return;
        }
        while let Some(batch) = self.next() {
            let count = batch.len() as u64;
            for mut event in batch {
                event.bound();
                // Serialising plain data into memory fails only for a time before year -9999.
                let _ = chain::write(&event, &mut self.head, &mut self.pending, &mut self.scratch);
            }
            if !self.write_out() {
                return;
            }
            self.shared.lock().written += count;
            self.shared.done.notify_all();
        }
        // A closed log survives a power failure; while it is open, the kernel's write-back has to do.
        let _ = self.file.sync_data();
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
        let gather = |state: &mut State| {
            state.flushing == 0 && !state.closing && state.queue.len() < BATCH_MAX
        };
        state = self
            .shared
            .work
            .wait_timeout_while(state, LINGER, gather)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let count = state.queue.len().min(BATCH_MAX);
        let batch = state.queue.drain(..count).collect();
        drop(state);
        self.shared.done.notify_all();
        Some(batch)
    }

    /// Writes what is pending, as often as it takes. Gives up only when the log is being closed.
    fn write_out(&mut self) -> bool {
        let mut failed = false;
        loop {
            match self.file.write(&self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                    if self.pending.is_empty() {
                        break;
                    }
                    // The rest is what tells why it was not all.
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let mut state = self.shared.lock();
                    if !failed {
                        tracing::error!(
                            path = %self.shared.path.display(), error = %e,
                            "cannot write the audit log; requests are refused until it can"
                        );
                    }
                    failed = true;
                    state.failure = Some(Arc::new(e));
                    self.shared.done.notify_all();
                    if state.closing {
                        return false;
                    }
                    let waiting = |state: &mut State| !state.closing;
                    drop(
                        self.shared
                            .work
                            .wait_timeout_while(state, RETRY, waiting)
                            .unwrap_or_else(PoisonError::into_inner),
                    );
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Kind, read};

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let first = AuditLog::open(&path).unwrap();
        assert!(matches!(AuditLog::open(&path), Err(Error::Held { .. })));
        drop(first);
        AuditLog::open(&path).unwrap();
    }

    #[test]
    fn dropping_writes_what_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path).unwrap();
        for _ in 0..1000 {
            log.append(Event::new(Kind::Run)).unwrap();
        }
        drop(log);
        assert_eq!(read::verify(&path).unwrap().records, 1000);
    }

    #[test]
    fn a_device_that_is_full_is_reported_and_callers_are_not_kept_waiting() {
        let path = Path::new("/dev/full");
        let file = std::fs::OpenOptions::new().read(true).append(true).open(path).unwrap();
        let log = AuditLog::over(file, path).unwrap();
        log.append(Event::new(Kind::Run)).unwrap();
        assert!(matches!(log.flush(), Err(Error::Write { .. })));
        let error = log.healthy().unwrap_err();
        assert!(error.hint().unwrap().contains("/dev/full"));
        let refused = (0..=QUEUE_MAX).find_map(|_| log.append(Event::new(Kind::Run)).err());
        assert!(matches!(refused, Some(Error::Write { .. })));
    }
}
