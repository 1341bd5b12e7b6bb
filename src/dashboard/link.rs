//! Links that open the dashboard: each once, for a minute.
//!
//! Knows no HTTP. Kept in memory only, as hashes; where a link leads is kept here and not in the
//! link, so that nobody can make one lead elsewhere.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::token::{self, Digest};

/// How long a link may be used.
const LIFE: Duration = Duration::from_secs(60);
/// Links at once; the oldest gives way.
const MAX: usize = 16;

/// The links that have not been used yet.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<Vec<Pending>>);

#[derive(Debug)]
struct Pending {
    token: Digest,
    page: String,
    until: Instant,
}

impl Links {
    /// The token of a new link to `page`.
    pub(super) fn make(
        &self,
        page: Option<&str>,
        now: Instant,
    ) -> Result<String, getrandom::Error> {
        let page = page.filter(|page| is_own_page(page)).unwrap_or("/").to_owned();
        let token = token::random()?;
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|link| now < link.until);
        if pending.len() >= MAX {
            pending.remove(0);
        }
        pending.push(Pending { token: Digest::of(&token), page, until: now + LIFE });
        Ok(token)
    }

    /// Uses a link up: the page it leads to.
    pub(super) fn take(&self, token: &str, now: Instant) -> Option<String> {
        let token = Digest::of(token);
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pending.iter().position(|link| link.token == token)?;
        let link = pending.remove(at);
        (now < link.until).then_some(link.page)
    }
}

/// Is it a path of ours? `//host` and `/\host` are not: browsers take them for other origins.
fn is_own_page(page: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%?=&@+:".contains(&byte);
    page.starts_with('/') && !page.starts_with("//") && page.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let (links, now) = (Links::default(), Instant::now());
        let token = links.make(Some("/logins/ab"), now).unwrap();
        assert_eq!(links.take(&token, now).as_deref(), Some("/logins/ab"));
        assert_eq!(links.take(&token, now), None);
    }

    #[test]
    fn a_link_works_for_a_minute() {
        let (links, now) = (Links::default(), Instant::now());
        let (early, late) = (links.make(None, now).unwrap(), links.make(None, now).unwrap());
        assert!(links.take(&early, now + LIFE.saturating_sub(Duration::from_millis(1))).is_some());
        assert_eq!(links.take(&late, now + LIFE), None);
    }

    #[test]
    fn a_link_leads_nowhere_else() {
        let (links, now) = (Links::default(), Instant::now());
        for page in ["https://evil.test/", "//evil.test", "/\\evil.test", "evil", "/a b", "/\n"] {
            let token = links.make(Some(page), now).unwrap();
            assert_eq!(links.take(&token, now).as_deref(), Some("/"), "{page:?}");
        }
    }

    #[test]
    fn the_oldest_of_too_many_links_gives_way() {
        let (links, now) = (Links::default(), Instant::now());
        let first = links.make(None, now).unwrap();
        let rest: Vec<_> = (0..MAX).map(|_| links.make(None, now).unwrap()).collect();
        assert_eq!(links.take(&first, now), None);
        assert!(rest.iter().all(|token| links.take(token, now).is_some()));
    }
}
