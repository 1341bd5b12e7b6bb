//! Links that open the dashboard: each once, for a minute.
//!
//! Knows no HTTP. Kept in memory only, as hashes; where a link leads is kept here and not in the
//! link, so that nobody can make one lead elsewhere.

use std::{
    sync::{Arc, Mutex, PoisonError},
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
    to: Entrance,
    until: Instant,
}

/// Where a link leads.
#[derive(Debug)]
pub(super) struct Entrance {
    /// The profile that is shown.
    pub(super) profile: Arc<str>,
    /// The page that is shown first.
    pub(super) page: String,
}

impl Links {
    /// The token of a new link to `page` of `profile`.
    pub(super) fn make(
        &self,
        profile: &str,
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
        let to = Entrance { profile: profile.into(), page };
        pending.push(Pending { token: Digest::of(&token), to, until: now + LIFE });
        Ok(token)
    }

    /// Uses a link up: where it leads.
    pub(super) fn take(&self, token: &str, now: Instant) -> Option<Entrance> {
        let token = Digest::of(token);
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pending.iter().position(|link| link.token == token)?;
        let link = pending.remove(at);
        (now < link.until).then_some(link.to)
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

    fn make(links: &Links, page: Option<&str>, now: Instant) -> Result<String, getrandom::Error> {
        links.make("default", page, now)
    }

    fn take(links: &Links, token: &str, now: Instant) -> Option<String> {
        links.take(token, now).map(|to| to.page)
    }

    #[test]
    fn a_link_leads_into_the_profile_it_was_made_for() {
        let (links, now) = (Links::default(), Instant::now());
        let token = links.make("work", None, now).unwrap();
        assert_eq!(&*links.take(&token, now).unwrap().profile, "work");
    }

    #[test]
    fn a_link_works_once() {
        let (links, now) = (Links::default(), Instant::now());
        let token = make(&links, Some("/logins/ab"), now).unwrap();
        assert_eq!(take(&links, &token, now).as_deref(), Some("/logins/ab"));
        assert_eq!(take(&links, &token, now), None);
    }

    #[test]
    fn a_link_works_for_a_minute() {
        let (links, now) = (Links::default(), Instant::now());
        let (early, late) = (make(&links, None, now).unwrap(), make(&links, None, now).unwrap());
        assert!(
            take(&links, &early, now + LIFE.saturating_sub(Duration::from_millis(1))).is_some()
        );
        assert_eq!(take(&links, &late, now + LIFE), None);
    }

    #[test]
    fn a_link_leads_nowhere_else() {
        let (links, now) = (Links::default(), Instant::now());
        for page in ["https://evil.test/", "//evil.test", "/\\evil.test", "evil", "/a b", "/\n"] {
            let token = make(&links, Some(page), now).unwrap();
            assert_eq!(take(&links, &token, now).as_deref(), Some("/"), "{page:?}");
        }
    }

    #[test]
    fn the_oldest_of_too_many_links_gives_way() {
        let (links, now) = (Links::default(), Instant::now());
        let first = make(&links, None, now).unwrap();
        let rest: Vec<_> = (0..MAX).map(|_| make(&links, None, now).unwrap()).collect();
        assert_eq!(take(&links, &first, now), None);
        assert!(rest.iter().all(|token| take(&links, token, now).is_some()));
    }
}
