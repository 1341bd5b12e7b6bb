//! A body scrubbed as it streams.

use std::{fmt, mem, sync::Arc};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Edge, Scrubber, push_plain};

/// Scrubs one body, whatever way it is cut into chunks.
///
/// What may still turn out to be a secret is kept back until the next chunk decides: a suffix that
/// some pattern begins with, never more. The output is the same as if the body had come whole.
pub struct ScrubStream {
    scrubber: Arc<Scrubber>,
    held: Zeroizing<Vec<u8>>,
    /// How many of the first held bytes were given out all the same; see [`ScrubStream::release`].
    released: usize,
    edge: Option<Edge>,
}

impl fmt::Debug for ScrubStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrubStream").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl ScrubStream {
    pub(super) fn new(scrubber: Arc<Scrubber>) -> Self {
        Self { scrubber, held: Zeroizing::default(), released: 0, edge: None }
    }

    /// Takes the next chunk, returns what can be sent on: possibly nothing. A chunk in which nothing
    /// is found, nor begins, is returned as it is.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.scrubber.is_empty() || chunk.is_empty() {
            return chunk;
        }
        if self.held.is_empty() && self.edge.is_none() {
            let hold = self.scrubber.hold_from(&chunk, 0);
            if self.scrubber.next_match(&chunk, 0).is_none_or(|(found, _)| found.start >= hold) {
                self.held.extend_from_slice(chunk.get(hold..).unwrap_or_default());
                return if hold == chunk.len() { chunk } else { chunk.slice(..hold) };
            }
            return self.scrub(&chunk);
        }
        let mut text = mem::take(&mut self.held);
        text.extend_from_slice(&chunk);
        self.scrub(&text)
    }

    /// The end of the body: what was kept back.
    pub fn finish(&mut self) -> Bytes {
        let text = mem::take(&mut self.held);
        let mut out = Vec::with_capacity(text.len());
        self.scrubber.scrub(&text, text.len(), &mut self.edge, &mut out);
        self.edge = None;
        let out = self.unreleased(out);
        self.released = 0;
        out
    }

    /// How many bytes are still to come for what was pushed.
    pub fn pending(&self) -> usize {
        self.held.len().saturating_sub(self.released)
    }

    /// Whether [`ScrubStream::release`] would give anything.
    pub fn is_releasable(&self, max: usize) -> bool {
        self.pending() > 0 && self.held.len() <= max
    }

    /// Gives out what is kept back, undecided, if that is `max` bytes at most: for a stream whose
    /// other end waits for them. They stay part of a possible match. If it completes, its other bytes
    /// are replaced; so no more than its first `max` bytes are ever shown, however often this is
    /// called.
    pub fn release(&mut self, max: usize) -> Bytes {
        if !self.is_releasable(max) {
            return Bytes::new();
        }
        let mut out = Vec::with_capacity(self.pending());
        // The character behind a base64 match holds bits of the secret, matched or not.
        let mut edge = self.edge.filter(|_| self.released == 0);
        push_plain(self.held.get(self.released..).unwrap_or_default(), &mut edge, &mut out);
        self.released = self.held.len();
        out.into()
    }

    /// Output less the bytes at its start that were given out before: its length is the input's.
    fn unreleased(&mut self, out: Vec<u8>) -> Bytes {
        let given = self.released.min(out.len());
        self.released -= given;
        Bytes::from(out).slice(given..)
    }

    /// All matches that later chunks cannot change. A match that begins where text must be held may
    /// grow into a longer one; one that begins before is as long as it gets.
    fn scrub(&mut self, text: &[u8]) -> Bytes {
        let scrubber = Arc::clone(&self.scrubber);
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        loop {
            let rest = text.get(at..).unwrap_or_default();
            let hold = scrubber.hold_from(rest, 0);
            let passed = scrubber.scrub(rest, hold, &mut self.edge, &mut out);
            at += passed;
            // A match may reach beyond the place to hold from; look again behind it.
            if passed <= hold {
                break;
            }
        }
        self.held.extend_from_slice(text.get(at..).unwrap_or_default());
        self.unreleased(out)
    }
}
