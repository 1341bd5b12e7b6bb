//! An answer that is on its way, and who waits for it.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::Process;

type Then = Box<dyn FnOnce(Option<Process>) + Send>;

/// Who made a connection, as far as that is known yet. Cheap to clone. The default is a connection
/// that nobody looks into.
#[derive(Clone, Default)]
pub struct Caller(Option<Arc<Slot>>);

#[derive(Default)]
struct Slot {
    known: OnceLock<Option<Process>>,
    waiting: Mutex<Vec<Then>>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.as_ref().map(|slot| slot.known.get());
        f.debug_tuple("Caller").field(&known).finish()
    }
}

impl Caller {
    /// One that is known.
    #[cfg(target_os = "macos")]
    pub(super) fn known_as(process: Process) -> Self {
        let (caller, promise) = Self::promised();
        promise.keep(process);
        caller
    }

    /// One that the promise's keeper will name.
    pub(super) fn promised() -> (Self, Promise) {
        let slot = Arc::<Slot>::default();
        (Self(Some(Arc::clone(&slot))), Promise(slot))
    }

    /// Calls `then`, exactly once: now if it is known who made the connection, or that it never will
    /// be; else as soon as it is, in the thread that finds out. That is a matter of milliseconds.
    pub fn tell(&self, then: impl FnOnce(Option<Process>) + Send + 'static) {
        let Some(slot) = &self.0 else { return then(None) };
        if let Some(known) = slot.known.get() {
            return then(known.clone());
        }
        let mut waiting = slot.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.known.get() {
            None => waiting.push(Box::new(then)),
            Some(known) => {
                drop(waiting);
                then(known.clone());
            }
        }
    }

    /// Waits until there is no more to be known of it.
    pub async fn known(&self) {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        self.tell(|_| drop(sender));
        // Never sent, only dropped.
        let _ = receiver.await;
    }
}

/// Owes a [`Caller`] its answer. Dropped, it answers that there is none.
pub(super) struct Promise(Arc<Slot>);

impl Promise {
    pub(super) fn keep(self, process: Process) {
        self.0.answer(Some(process));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.answer(None);
    }
}

impl Slot {
    /// Only the first answer counts.
    fn answer(&self, process: Option<Process>) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if self.known.set(process.clone()).is_err() {
                return;
            }
            std::mem::take(&mut *waiting)
        };
        for then in waiting {
            then(process.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn process() -> Process {
        Process { pid: 7, executable: "/bin/true".into() }
    }

    fn told(caller: &Caller) -> Receiver<Option<Process>> {
        let (sender, receiver) = channel();
        caller.tell(move |process| sender.send(process).unwrap());
        receiver
    }

    #[test]
    fn who_asks_before_and_who_asks_after_hear_the_same() {
        let (caller, promise) = Caller::promised();
        let before = told(&caller);
        assert!(before.try_recv().is_err());
        promise.keep(process());
        assert_eq!(before.try_recv(), Ok(Some(process())));
        assert_eq!(told(&caller).try_recv(), Ok(Some(process())));
    }

    #[test]
    fn a_promise_that_is_dropped_is_answered() {
        let (caller, promise) = Caller::promised();
        let before = told(&caller);
        drop(promise);
        assert_eq!(before.try_recv(), Ok(None));
    }

    #[test]
    fn nobody_waits_for_what_nobody_looks_into() {
        assert_eq!(told(&Caller::default()).try_recv(), Ok(None));
    }
}
