//! The thread that signs how far the log went: at most once per [`INTERVAL`], at once when somebody
//! waits for it.
//!
//! The lines are put on disk before the head that names them, so that after a power failure, too, there
//! are never fewer lines than the head says. That takes as long as the disk takes, which is why it is
//! done here and not where lines are written.

use std::{
    fs::File,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Error, Result, SignedHead, Signer, causes,
    head::{self, Place},
    log::Shared,
};

/// How long lines may be without a signed head.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct SigningThread {
    shared: Arc<Shared>,
    signer: Arc<dyn Signer>,
}

/// What is to be signed.
struct Task {
    place: Place,
    file: Arc<File>,
}

impl SigningThread {
    pub(super) fn new(shared: &Arc<Shared>, signer: Arc<dyn Signer>) -> Self {
        Self { shared: Arc::clone(shared), signer }
    }

    pub(super) fn run(self) {
        if let Err(error) = head::keep_key(&self.shared.path, &self.signer.public_key()) {
            tracing::warn!(
                error = causes(&error),
                "the key that verifies the audit log is not kept beside it"
            );
        }
        while let Some(task) = self.next() {
            let seq = task.place.head.seq;
            let signed = self.sign(&task);
            let mut state = self.shared.lock();
            state.tried = Some(seq);
            match signed {
                Ok(head) => {
                    state.signed = Some(head);
                    state.unsigned = None;
                }
                Err(error) => {
                    let error = causes(&error);
                    if state.unsigned.is_none() {
                        tracing::warn!(error, "the head of the audit log cannot be signed");
                    }
                    state.unsigned = Some(error);
                }
            }
            drop(state);
            self.shared.done.notify_all();
        }
    }

    fn sign(&self, task: &Task) -> Result<SignedHead> {
        let path = &self.shared.path;
        task.file
            .sync_data()
            .map_err(|e| Error::Write { path: path.clone(), source: Arc::new(e) })?;
        head::write(path, &task.place, &*self.signer)
    }

    /// Waits until there is something to sign; `None` when all is done.
    fn next(&self) -> Option<Task> {
        let mut state = self.shared.lock();
        let wait = |state| self.shared.to_sign.wait(state).unwrap_or_else(PoisonError::into_inner);
        // Never a head that says nothing of what opening found.
        while state.opening {
            if state.finished {
                return None;
            }
            state = wait(state);
        }
        // The first comes at once.
        while state.tried.is_some() {
            let is_signed = state.tried == Some(state.place.head.seq);
            if is_signed && state.finished {
                return None;
            }
            if !is_signed || state.unsigned.is_some() {
                break;
            }
            state.signing_asleep = true;
            state = wait(state);
        }
        state.signing_asleep = false;
        let waiting = self.shared.to_sign.wait_timeout_while(state, INTERVAL, |state| {
            let is_signed = state.tried == Some(state.place.head.seq);
            let is_asked = state.flushing > 0 && !is_signed;
            state.tried.is_some() && !is_asked && !state.finished
        });
        let state = waiting.unwrap_or_else(PoisonError::into_inner).0;
        Some(Task { place: state.place.clone(), file: Arc::clone(&state.file) })
    }
}
