//! The log as its callers see it: they put events into a bounded queue, a thread makes lines of them
//! ([`super::writer`]), another signs how far they went ([`super::signing`]).
//!
//! A caller pays for a lock and a move, and at most once per [`LINGER`](super::writer::LINGER) for
//! waking the thread, which then gathers what comes in that time into one write(2). Nothing is signed,
//! synchronised or rotated on a caller's time, unless it asks for a flush. A full queue makes callers
//! wait; while the disk refuses, it makes them fail instead ([`WhenUnwritable::Deny`]) or counts what
//! it cannot take ([`WhenUnwritable::Allow`]), so that nobody waits for a disk that stays full.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    Error, Event, Options, Result, SignedHead, WhenUnwritable,
    chain::Head,
    head::Place,
    open::{Lock, Start},
    signing::SigningThread,
    writer::Writer,
};

/// Events that may wait.
pub(super) const QUEUE_MAX: usize = 8192;

/// The log of one home, open for appending. Dropping it writes what waits.
pub struct AuditLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    signing: Option<JoinHandle<()>>,
    /// What was not as the signed head said when the log was opened.
    alarm: Option<String>,
    _lock: Lock,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// How the log is, for those who look after it.
#[derive(Debug)]
pub struct Condition {
    /// Why it can't be written now.
    pub failure: Option<Error>,
    /// Why its head can't be signed now.
    pub unsigned: Option<String>,
    /// Events lost since it was opened, which only [`WhenUnwritable::Allow`] lets happen.
    pub lost: u64,
    /// What was not as the signed head said when it was opened.
    pub alarm: Option<String>,
    /// The last line that was written.
    pub head: Head,
    /// The last head that was signed and stored.
    pub signed: Option<SignedHead>,
}

pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) when_unwritable: WhenUnwritable,
    /// Does a thread sign heads?
    signs: bool,
    state: Mutex<State>,
    /// Something for the writing thread: an event while it sleeps, a flush, the end.
    pub(super) work: Condvar,
    /// Something for the signing thread: lines while it sleeps, a flush, the end.
    pub(super) to_sign: Condvar,
    /// Something for the callers: room, lines written, a head signed, a failure.
    pub(super) done: Condvar,
}

pub(super) struct State {
    pub(super) queue: VecDeque<Event>,
    /// Events ever queued and ever written.
    queued: u64,
    pub(super) written: u64,
    /// The writing thread waits for a first event and must be woken for it.
    pub(super) asleep: bool,
    /// The signing thread waits for a first line and must be woken for it.
    pub(super) signing_asleep: bool,
    /// Somebody waits for all of it: gather no longer.
    pub(super) flushing: usize,
    pub(super) closing: bool,
    /// What opening found to be said is not written yet.
    pub(super) opening: bool,
    /// The writing thread has ended.
    pub(super) finished: bool,
    pub(super) failure: Option<Arc<io::Error>>,
    /// Events that there was no room for: not on record yet, and ever.
    pub(super) lost: u64,
    pub(super) lost_ever: u64,
    /// The last line in the file, and the file.
    pub(super) place: Place,
    pub(super) file: Arc<File>,
    /// The last line that signing was tried for; none: it never was.
    pub(super) tried: Option<u64>,
    pub(super) signed: Option<SignedHead>,
    pub(super) unsigned: Option<String>,
}

impl AuditLog {
    /// Opens the log for appending, creating it (0600) if there is none, and continues its chain. What
    /// a crash left at its end is kept and noted, and so is a log that is not what its signed head says
    /// (see [`super`]). When this returns, a head is signed for what is there, unless the disk refuses.
    ///
    /// # Errors
    /// [`Error::Held`], [`Error::Damaged`], [`Error::Path`], [`Error::Read`], [`Error::Write`],
    /// [`Error::Closed`].
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let lock = Lock::take(path)?;
        let start = Start::find(path, options.signing.as_ref())?;
        let signer = options.signing.map(|signing| signing.signer);
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            when_unwritable: options.settings.when_unwritable,
            signs: signer.is_some(),
            state: Mutex::new(State {
                queue: VecDeque::new(),
                // What has to be written first counts as one event, so that a flush waits for it.
                queued: u64::from(!start.pending.is_empty()),
                written: 0,
                asleep: false,
                signing_asleep: false,
                flushing: 0,
                closing: false,
                opening: !start.pending.is_empty(),
                finished: false,
                failure: None,
                lost: 0,
                lost_ever: 0,
                place: start.place.clone(),
                file: Arc::clone(&start.file),
                tried: None,
                signed: None,
                unsigned: None,
            }),
            work: Condvar::new(),
            to_sign: Condvar::new(),
            done: Condvar::new(),
        });
        let alarm = start.alarm.clone();
        let writer = Writer::new(&shared, start, &options.settings, signer.clone());
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
            spawned.map_err(|_| Error::Closed { path: path.to_owned() })
        };
        let writer = spawn("audit", Box::new(move || writer.run()))?;
        let mut log = Self { shared, writer: Some(writer), signing: None, alarm, _lock: lock };
        if let Some(signer) = signer {
            let thread = SigningThread::new(&log.shared, signer);
            log.signing = Some(spawn("audit-sign", Box::new(move || thread.run()))?);
        }
        // Tells of a refusal by itself, whenever it is asked.
        let _ = log.flush();
        Ok(log)
    }

    /// Takes an event over. It is in the file a few milliseconds later. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Error::Write`] if the queue is full and the disk refuses; the event was not taken then. With
    /// [`WhenUnwritable::Allow`] it is counted as lost instead.
    pub fn append(&self, event: Event) -> Result<()> {
        let mut state = self.shared.lock();
        while state.queue.len() >= QUEUE_MAX {
            if let Err(error) = self.shared.health(&state) {
                if self.shared.when_unwritable == WhenUnwritable::Deny {
                    return Err(error);
                }
                state.lost += 1;
                state.lost_ever += 1;
                return Ok(());
            }
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

    /// Waits until everything taken so far is in the file, and on disk with a head that says so. That
    /// the head cannot be written is no failure of this: [`AuditLog::condition`] tells.
    ///
    /// # Errors
    /// [`Error::Write`] if the disk refuses; it is tried again nevertheless.
    pub fn flush(&self) -> Result<()> {
        let mut state = self.shared.lock();
        let goal = state.queued;
        state.flushing += 1;
        self.shared.work.notify_one();
        self.shared.to_sign.notify_one();
        let mut to_sign = None;
        let done = loop {
            if state.written >= goal {
                let last = *to_sign.get_or_insert(state.place.head.seq);
                if !self.shared.signs || state.tried.is_some_and(|tried| tried >= last) {
                    break Ok(());
                }
            } else if let Err(e) = self.shared.health(&state) {
                break Err(e);
            }
            state = self.shared.wait_done(state);
        };
        state.flushing -= 1;
        done
    }

    /// May what must be recorded happen? While the log cannot be written it must not, unless its owner
    /// wants that ([`WhenUnwritable::Allow`]).
    ///
    /// # Errors
    /// [`Error::Write`] with the last refusal.
    pub fn healthy(&self) -> Result<()> {
        match self.shared.when_unwritable {
            WhenUnwritable::Deny => self.shared.health(&self.shared.lock()),
            WhenUnwritable::Allow => Ok(()),
        }
    }

    /// How it is, whatever its owner wants.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let state = self.shared.lock();
        Condition {
            failure: self.shared.health(&state).err(),
            unsigned: state.unsigned.clone(),
            lost: state.lost_ever,
            alarm: self.alarm.clone(),
            head: state.place.head.clone(),
            signed: state.signed.clone(),
        }
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        // A panic in a thread has been reported by the panic hook.
        if let Some(thread) = self.writer.take() {
            let _ = thread.join();
        }
        self.shared.lock().finished = true;
        self.shared.to_sign.notify_one();
        if let Some(thread) = self.signing.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{
        Kind, Signing,
        head::{self, Found, tests::Key},
        read,
    };

    fn signed(seed: u8, remembered: Option<SignedHead>) -> Options {
        let signer = Arc::new(Key::new(seed));
        Options { signing: Some(Signing { signer, remembered }), ..Options::default() }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let first = AuditLog::open(&path, Options::default()).unwrap();
        let second = AuditLog::open(&path, Options::default());
        assert!(matches!(second, Err(Error::Held { .. })));
        drop(first);
        AuditLog::open(&path, Options::default()).unwrap();
    }

    #[test]
    fn dropping_writes_what_waits_and_signs_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path, signed(1, None)).unwrap();
        for _ in 0..1000 {
            log.append(Event::new(Kind::Run)).unwrap();
        }
        drop(log);
        let report = read::verify(&path).unwrap();
        assert_eq!((report.records, report.first_problem), (1000, None));
        assert_eq!(report.signed.unwrap().seq, 1000);
    }

    #[test]
    fn a_flush_leaves_a_head_for_all_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path, signed(1, None)).unwrap();
        for count in 1..=3 {
            log.append(Event::new(Kind::Run)).unwrap();
            log.flush().unwrap();
            let Found::Head(head) = head::read(&path).unwrap() else { panic!("no head") };
            assert_eq!(head.seq, count);
            assert_eq!(log.condition().signed, Some(*head));
        }
    }

    #[test]
    fn a_log_shorter_than_its_head_says_goes_on_with_a_note_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path, signed(1, None)).unwrap();
        for _ in 0..3 {
            log.append(Event::new(Kind::Run)).unwrap();
        }
        log.flush().unwrap();
        let remembered = log.condition().signed;
        drop(log);
        crate::paths::write_private(&path, b"").unwrap();

        let log = AuditLog::open(&path, signed(1, remembered)).unwrap();

        let alarm = log.condition().alarm.unwrap();
        assert!(alarm.contains("line 3"), "{alarm}");
        drop(log);
        let problem = read::verify(&path).unwrap().first_problem.unwrap();
        assert_eq!(problem.line, 1);
        assert!(problem.fault.to_string().contains(&alarm), "{}", problem.fault);
    }

    #[test]
    fn a_log_that_is_as_its_head_says_raises_no_alarm() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut remembered = None;
        for _ in 0..3 {
            let log = AuditLog::open(&path, signed(1, remembered)).unwrap();
            log.append(Event::new(Kind::Run)).unwrap();
            log.flush().unwrap();
            let condition = log.condition();
            assert_eq!(condition.alarm, None);
            remembered = condition.signed;
        }
        assert_eq!(read::verify(&path).unwrap().records, 3);
    }
}
