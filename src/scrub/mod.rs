//! Secrets in what comes back.
//!
//! Finds injected secrets in response headers and bodies, plain and in the encodings that servers
//! reflect them in, and replaces each by its placeholder in the same encoding. A replacement has
//! exactly the length of what it replaces, so that `Content-Length`, gRPC and WebSocket framing stay
//! true. What goes out is looked at the same way for placeholders ([`Finder`]), which are found and not
//! replaced.
//!
//! This module knows neither HTTP bodies nor where secrets come from. What it cannot see: compressed
//! or encrypted text, and encodings that [`encode`] does not list. Nothing here can fail at run time;
//! `Debug` shows numbers only, and patterns are zeroed on drop (the search automaton, which holds the
//! first eight bytes of each, is not).

mod encode;
mod finder;
mod stream;

use std::{fmt, ops::Range, sync::Arc};

use aho_corasick::{AhoCorasick, Input, MatchKind};
use bytes::Bytes;
use http::HeaderValue;
use secrecy::SecretString;

use encode::{Edge, Pattern};
pub use finder::{FindStream, Finder};
pub use stream::ScrubStream;

/// Secrets shorter than this, in bytes, are not looked for: they would be found in innocent text.
pub const MIN_SECRET: usize = 8;

/// Length of what the automaton looks for: the start of a pattern, the rest of which is compared. It
/// keeps the automaton small and fast whatever the secrets' length. Every pattern is at least as long.
const NEEDLE: usize = MIN_SECRET;

/// Finds secrets and replaces them by placeholders. Made once for each credential, then shared.
pub struct Scrubber {
    /// Sorted by their bytes, no two the same.
    patterns: Vec<Pattern>,
    /// Finds where a pattern may begin. None if there are no patterns, or if it cannot be built; then
    /// every position is compared.
    needles: Option<AhoCorasick>,
    /// Which pairs of bytes patterns begin with, as a bit set.
    starts: Box<[u64; 1024]>,
    /// Length of the longest pattern.
    longest: usize,
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("patterns", &self.patterns.len()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// A scrubber for `pairs` of a secret and its placeholder. A secret that is shorter than
    /// [`MIN_SECRET`], or is its own placeholder, is left out; of equal secrets the first counts.
    pub fn new(pairs: &[(SecretString, String)]) -> Self {
        let spellings = pairs.iter().enumerate().flat_map(|(of, (secret, placeholder))| {
            encode::all(secret, placeholder).into_iter().map(move |p| Pattern { of, ..p })
        });
        Self::of(spellings.collect())
    }

    fn of(mut patterns: Vec<Pattern>) -> Self {
        patterns.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        patterns.dedup_by(|later, earlier| later.bytes == earlier.bytes);
        let mut starts = Box::new([0; 1024]);
        for pattern in &patterns {
            if let Some(&[a, b]) = pattern.bytes.first_chunk::<2>() {
                let (word, bit) = start_bit(a, b);
                if let Some(word) = starts.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        let mut needles: Vec<_> = patterns.iter().filter_map(|p| p.bytes.get(..NEEDLE)).collect();
        needles.dedup();
        let needles = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(&needles)
            .ok()
            .filter(|_| !patterns.is_empty());
        let longest = patterns.iter().map(|p| p.bytes.len()).max().unwrap_or(0);
        Self { patterns, needles, starts, longest }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Scrubs one body.
    pub fn stream(self: &Arc<Self>) -> ScrubStream {
        ScrubStream::new(Arc::clone(self))
    }

    /// The value without secrets; none if it has none. A sensitive value stays so.
    pub fn header(&self, value: &HeaderValue) -> Option<HeaderValue> {
        self.next_match(value.as_bytes(), 0)?;
        let mut scrubbed = Vec::with_capacity(value.len());
        let mut edge = None;
        self.scrub(value.as_bytes(), value.len(), &mut edge, &mut scrubbed);
        // Placeholders are text, so this holds; if one were not, an empty value leaks nothing.
        let mut scrubbed = HeaderValue::from_maybe_shared(Bytes::from(scrubbed))
            .unwrap_or(HeaderValue::from_static(""));
        scrubbed.set_sensitive(value.is_sensitive());
        Some(scrubbed)
    }

    /// Appends `text` to `out` with all matches that begin before `hold` replaced. Stops at `hold` or
    /// at the end of the last match, whichever is later, and returns where. `edge` carries the mixed
    /// character behind a match from one call to the next.
    fn scrub(&self, text: &[u8], hold: usize, edge: &mut Option<Edge>, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some((found, pattern)) = self.next_match(text, at).filter(|(f, _)| f.start < hold)
        {
            push_plain(text.get(at..found.start).unwrap_or_default(), edge, out);
            out.extend_from_slice(&pattern.replacement);
            *edge = pattern.edge;
            at = found.end;
        }
        if at < hold {
            push_plain(text.get(at..hold).unwrap_or_default(), edge, out);
            at = hold;
        }
        at
    }

    /// The leftmost match at or after `from`, and the longest there.
    fn next_match(&self, text: &[u8], from: usize) -> Option<(Range<usize>, &Pattern)> {
        let mut at = from;
        loop {
            at = self.next_needle(text, at)?;
            let rest = text.get(at..)?;
            if let Some(pattern) = self.longest_at(rest) {
                return Some((at..at + pattern.bytes.len(), pattern));
            }
            at += 1;
        }
    }

    fn next_needle(&self, text: &[u8], from: usize) -> Option<usize> {
        if self.is_empty() || from >= text.len() {
            return None;
        }
        match &self.needles {
            Some(needles) => needles.find(Input::new(text).range(from..)).map(|m| m.start()),
            None => Some(from),
        }
    }

    /// The longest pattern that `text` begins with. Patterns that are prefixes of `text` sort before
    /// it; between them and it lie only patterns that share their first bytes.
    fn longest_at(&self, text: &[u8]) -> Option<&Pattern> {
        let needle = text.get(..NEEDLE)?;
        let end = self.patterns.partition_point(|p| p.bytes.as_slice() <= text);
        self.patterns
            .get(..end)?
            .iter()
            .rev()
            .take_while(|p| p.bytes.starts_with(needle))
            .find(|p| text.starts_with(&p.bytes))
    }

    /// Where the first suffix of `text` begins, at or after `from`, that is the start of a pattern and
    /// not all of it. `text.len()` if there is none.
    fn hold_from(&self, text: &[u8], from: usize) -> usize {
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..text.len())
            .find(|&at| self.begins_pattern(text.get(at..).unwrap_or_default()))
            .unwrap_or(text.len())
    }

    /// Whether a pattern begins with `suffix` and goes on.
    fn begins_pattern(&self, suffix: &[u8]) -> bool {
        if let Some(&[a, b]) = suffix.first_chunk::<2>() {
            let (word, bit) = start_bit(a, b);
            if self.starts.get(word).is_some_and(|word| word & bit == 0) {
                return false;
            }
        }
        let next = self.patterns.partition_point(|p| p.bytes.as_slice() <= suffix);
        self.patterns.get(next).is_some_and(|p| p.bytes.starts_with(suffix))
    }
}

/// Text between matches. The character right behind a base64 match may carry the secret's last bits.
fn push_plain(text: &[u8], edge: &mut Option<Edge>, out: &mut Vec<u8>) {
    let Some((&first, rest)) = text.split_first() else { return };
    out.push(edge.take().map_or(first, |edge| edge.mend(first)));
    out.extend_from_slice(rest);
}

/// Word and bit of a pair of bytes in [`Scrubber::starts`].
fn start_bit(a: u8, b: u8) -> (usize, u64) {
    let pair = usize::from(a) << 8 | usize::from(b);
    (pair >> 6, 1 << (pair & 63))
}

#[cfg(test)]
mod tests;
