//! Tells a worker's open connections that it is time to go.
//!
//! A connection looks at a flag each time it is polled anyway; raising the flag wakes those that wait.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::{Context, Waker},
};

/// A worker's flag.
#[derive(Debug, Default)]
pub(super) struct Drain {
    raised: Cell<bool>,
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waker>>,
}

/// One connection's view of the flag.
#[derive(Debug)]
pub(super) struct Watch {
    drain: Rc<Drain>,
    key: u64,
    registered: bool,
}

impl Drain {
    /// Raises the flag, for good.
    pub(super) fn raise(&self) {
        self.raised.set(true);
        for waker in std::mem::take(&mut *self.waiting.borrow_mut()).into_values() {
            waker.wake();
        }
    }

    pub(super) fn watch(self: &Rc<Self>) -> Watch {
        let key = self.next.get();
        self.next.set(key + 1);
        Watch { drain: Rc::clone(self), key, registered: false }
    }
}

impl Watch {
    /// Is it time to go? If not, the task is woken when it is. To be asked from one task only.
    pub(super) fn raised(&mut self, cx: &Context<'_>) -> bool {
        if !self.registered {
            self.registered = true;
            self.drain.waiting.borrow_mut().insert(self.key, cx.waker().clone());
        }
        self.drain.raised.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.drain.waiting.borrow_mut().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_is_seen_and_a_dropped_watch_is_forgotten() {
        let drain = Rc::<Drain>::default();
        let cx = Context::from_waker(Waker::noop());
        let (mut stays, mut goes) = (drain.watch(), drain.watch());
        assert!(!stays.raised(&cx) && !goes.raised(&cx));

        drop(goes);

        assert_eq!(drain.waiting.borrow().len(), 1);
        drain.raise();
        assert!(stays.raised(&cx));
    }
}
