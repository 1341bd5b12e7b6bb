//! The scrubber in a stream that must also stay prompt.
//!
//! The scrubber holds back bytes that could begin a secret until it sees what follows. On a stream
//! whose other end waits for exactly those bytes that would be a deadlock, so after a pause a *short*
//! tail is let go: too short to be of use to anyone, and rare. It stays the start of a possible match,
//! whose rest is replaced should it come. A longer tail is held for good.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::scrub::{ScrubStream, Scrubber};

/// Silence after which a short tail is let go.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest tail that is let go.
const SHORT: usize = 4;

/// One direction of one exchange, scanned.
pub(super) struct Scan {
    stream: ScrubStream,
    timer: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("held", &self.held()).finish_non_exhaustive()
    }
}

impl Scan {
    pub(super) fn new(scrubber: &Arc<Scrubber>) -> Self {
        Self { stream: scrubber.stream(), timer: None }
    }

    /// What may be passed on, perhaps nothing yet.
    pub(super) fn push(&mut self, chunk: Bytes) -> Bytes {
        self.timer = None;
        self.stream.push(chunk)
    }

    /// What is left at the end of the stream.
    pub(super) fn finish(&mut self) -> Bytes {
        self.timer = None;
        self.stream.finish()
    }

    /// Bytes that are still to come.
    pub(super) fn held(&self) -> usize {
        self.stream.pending()
    }

    /// Called when nothing more has come: ready with a short tail once the pause is over.
    pub(super) fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if !self.stream.is_releasable(SHORT) {
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + PAUSE)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.timer = None;
                Poll::Ready(self.stream.release(SHORT))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
