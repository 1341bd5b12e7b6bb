//! Placeholders in what goes out, and whose they are.
//!
//! The search is the scrubber's, with the placeholders in the secrets' place. Nothing is replaced: a
//! placeholder means nothing to whoever gets it, so where one does not belong, whoever sends it is told.
//!
//! What is not found: placeholders shorter than [`MIN_SECRET`], and one that several owners share, which
//! says nothing about whose it is.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use secrecy::SecretString;

use super::{MIN_SECRET, Scrubber, encode};

/// The longest beginning of a placeholder that a stream does not hold back. What servers and clients
/// say to each other ends in less all the time; in more only where a placeholder is cut in two.
const HARMLESS: usize = MIN_SECRET;

/// Finds placeholders. Made once for all connections as they are, then shared.
pub struct Finder {
    /// Each placeholder once, with its owner.
    known: Vec<(String, Arc<str>)>,
    /// As they are written.
    plain: Scrubber,
    /// And in all their spellings; made when first needed.
    spelled: OnceLock<Scrubber>,
    /// Length of the shortest.
    shortest: usize,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("placeholders", &self.known.len()).finish_non_exhaustive()
    }
}

impl Finder {
    /// A finder of `placeholders`, each with the name of its owner.
    #[must_use]
    pub fn new<'a>(placeholders: impl IntoIterator<Item = (&'a str, Arc<str>)>) -> Self {
        let mut owners: BTreeMap<&str, Option<Arc<str>>> = BTreeMap::new();
        for (placeholder, owner) in placeholders.into_iter().filter(|(p, _)| p.len() >= MIN_SECRET)
        {
            let known = owners.entry(placeholder).or_insert_with(|| Some(Arc::clone(&owner)));
            known.take_if(|known| **known != *owner);
        }
        let known: Vec<_> = owners
            .into_iter()
            .filter_map(|(placeholder, owner)| Some((placeholder.to_owned(), owner?)))
            .collect();
        let patterns = known.iter().enumerate().map(|(of, (text, _))| encode::plain(text, of));
        let plain = Scrubber::of(patterns.collect());
        let shortest = known.iter().map(|(text, _)| text.len()).min().unwrap_or(usize::MAX);
        Self { known, plain, spelled: OnceLock::new(), shortest }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Length of the shortest placeholder: no shorter text holds one.
    #[must_use]
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// Adds to `found` whose placeholders stand in `text` as they are, each owner once, in order.
    pub fn find(&self, text: &[u8], found: &mut Vec<Arc<str>>) {
        let mut at = 0;
        while let Some((place, pattern)) = self.plain.next_match(text, at) {
            at = place.end;
            if let Some((_, owner)) = self.known.get(pattern.of)
                && !found.contains(owner)
            {
                found.push(Arc::clone(owner));
            }
        }
    }

    /// Looks through one stream, in all spellings.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> FindStream {
        FindStream { finder: Arc::clone(self), tail: Vec::new(), passed: 0 }
    }

    fn spelled(&self) -> &Scrubber {
        self.spelled.get_or_init(|| {
            let texts = self.known.iter();
            let pairs: Vec<_> =
                texts.map(|(text, _)| (SecretString::from(text.as_str()), String::new())).collect();
            Scrubber::new(&pairs)
        })
    }
}

/// Looks through one stream, whatever way it is cut into chunks.
///
/// What can only be the beginning of a placeholder is held back until the next chunk decides. A few
/// bytes that might begin one are let through and remembered, so that no side ever waits for them.
#[derive(Debug)]
pub struct FindStream {
    finder: Arc<Finder>,
    /// The end of what came, if a placeholder may begin there.
    tail: Vec<u8>,
    /// How many of its bytes were let through.
    passed: usize,
}

impl FindStream {
    /// Takes the next chunk, returns what can be sent on: possibly nothing.
    ///
    /// # Errors
    ///
    /// The owner of the placeholder that was found; nothing of the chunk may be sent then.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Arc<str>> {
        let text = if self.tail.is_empty() {
            chunk
        } else {
            let mut text = mem::take(&mut self.tail);
            text.extend_from_slice(&chunk);
            Bytes::from(text)
        };
        let spelled = self.finder.spelled();
        if let Some((_, pattern)) = spelled.next_match(&text, 0)
            && let Some((_, owner)) = self.finder.known.get(pattern.of)
        {
            return Err(Arc::clone(owner));
        }
        let begins = spelled.hold_from(&text, 0);
        self.tail = text.get(begins..).unwrap_or_default().to_vec();
        let end = if self.tail.len() <= HARMLESS { text.len() } else { begins };
        let from = mem::take(&mut self.passed);
        self.passed = end.max(from) - begins;
        Ok(text.slice(from..end.max(from)))
    }

    /// The end of the stream: what was held back.
    pub fn finish(&mut self) -> Bytes {
        let passed = mem::take(&mut self.passed);
        Bytes::from(mem::take(&mut self.tail)).split_off(passed)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    const WORK: &str = "ghp_authsome4fK2mQ9wX7tB2nM5";
    const HOME: &str = "ghp_authsomeZ3cR8yU1oP4aS6dF";

    fn finder() -> Arc<Finder> {
        let owned = [(WORK, "github/work"), (HOME, "github/home"), ("short", "x/y")];
        Arc::new(Finder::new(owned.map(|(text, owner)| (text, owner.into()))))
    }

    fn found(text: &str) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        finder().find(text.as_bytes(), &mut found);
        found
    }

    /// What came through, and whose placeholder stopped it.
    fn streamed(text: &[u8], longest: usize) -> (Vec<u8>, Option<Arc<str>>) {
        let mut stream = finder().stream();
        let mut out = Vec::new();
        for chunk in text.chunks(longest) {
            match stream.push(Bytes::copy_from_slice(chunk)) {
                Ok(clean) => out.extend_from_slice(&clean),
                Err(owner) => return (out, Some(owner)),
            }
        }
        out.extend_from_slice(&stream.finish());
        (out, None)
    }

    #[test]
    fn each_owner_is_named_once_in_order() {
        let text = format!("{HOME} {WORK} {HOME}short");
        let names: Vec<Arc<str>> = vec!["github/home".into(), "github/work".into()];
        assert_eq!(found(&text), names);
    }

    #[test]
    fn text_without_a_placeholder_has_no_owner() {
        assert!(found("Bearer ghp_authsome4fK2mQ9wX7tB2nM6 authsome ghp_").is_empty());
    }

    #[test]
    fn what_two_owners_share_is_nobodys() {
        let finder = Finder::new([(WORK, "a/b".into()), (WORK, "a/c".into())]);
        assert!(finder.is_empty());
        assert!(!Finder::new([(WORK, "a/b".into()), (WORK, "a/b".into())]).is_empty());
    }

    #[test]
    fn a_placeholder_is_found_however_the_stream_is_cut() {
        let basic = STANDARD.encode(format!("x-access-token:{WORK}"));
        for value in [format!("Bearer {WORK}"), format!("Basic {basic}")] {
            let head = format!("GET / HTTP/1.1\r\nAuthorization: {value}\r\n\r\n");
            for longest in 1..head.len() {
                let (out, owner) = streamed(head.as_bytes(), longest);
                assert_eq!(owner.as_deref(), Some("github/work"), "{longest}");
                let token = value.split(' ').next_back().unwrap();
                assert!(!String::from_utf8_lossy(&out).contains(token));
            }
        }
    }

    #[test]
    fn everything_else_passes_unchanged_however_it_is_cut() {
        let text =
            format!("{} gh ghp_ {}!", WORK.trim_end_matches('5'), HOME.trim_end_matches("dF"))
                .repeat(3);
        for longest in 1..text.len() {
            assert_eq!(streamed(text.as_bytes(), longest), (text.clone().into_bytes(), None));
        }
    }

    #[test]
    fn a_short_beginning_is_not_waited_for() {
        let mut stream = finder().stream();
        assert_eq!(stream.push(Bytes::from_static(b"login: ghp_")).unwrap(), "login: ghp_");
        assert_eq!(stream.push(Bytes::from_static(b"x")).unwrap(), "x");
        let rest = WORK.strip_prefix("ghp_").unwrap();
        assert_eq!(stream.push(Bytes::from_static(b"ghp_")).unwrap(), "ghp_");
        assert!(stream.push(Bytes::copy_from_slice(rest.as_bytes())).is_err());
    }
}
