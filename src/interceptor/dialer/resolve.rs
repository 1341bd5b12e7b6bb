//! Names to addresses, by the host's own resolver unless that would ask us, with a short memory.
//!
//! `getaddrinfo(3)` honours `/etc/hosts`, search domains and split DNS as the user's other programs
//! do. Failures are not remembered.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{DialError, Sockets};

/// How long an answer is believed.
const LIFETIME: Duration = Duration::from_secs(30);
/// Most answers kept.
const CAPACITY: usize = 1024;

/// Resolves names; shared by all workers.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    answers: Mutex<HashMap<(String, u16), Answer>>,
}

#[derive(Debug)]
struct Answer {
    addresses: Arc<[SocketAddr]>,
    until: Instant,
}

impl Resolver {
    /// Addresses of `host`, in the order they should be tried; never an empty list.
    pub(super) async fn lookup(
        &self,
        sockets: &Sockets,
        host: &str,
        port: u16,
    ) -> Result<Arc<[SocketAddr]>, DialError> {
        let key = (host.to_owned(), port);
        if let Some(addresses) = self.remembered(&key) {
            return Ok(addresses);
        }
        let found =
            sockets.lookup(host, port).await.map_err(|error| DialError::Dns(Some(error)))?;
        if found.is_empty() {
            return Err(DialError::Dns(None));
        }
        let addresses: Arc<[SocketAddr]> = interleave(found).into();
        self.remember(key, Arc::clone(&addresses));
        Ok(addresses)
    }

    fn remembered(&self, key: &(String, u16)) -> Option<Arc<[SocketAddr]>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(key)?;
        (answer.until > Instant::now()).then(|| Arc::clone(&answer.addresses))
    }

    fn remember(&self, key: (String, u16), addresses: Arc<[SocketAddr]>) {
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= CAPACITY {
            answers.retain(|_, answer| answer.until > now);
        }
        if answers.len() >= CAPACITY {
            answers.clear();
        }
        answers.insert(key, Answer { addresses, until: now + LIFETIME });
    }
}

/// Alternates families, IPv6 first (RFC 8305 §4), so that a dead one costs one attempt.
fn interleave(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = found.into_iter().partition(SocketAddr::is_ipv6);
    let mut mixed = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        match (v6.next(), v4.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_beginning_with_ipv6() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let found = ["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "3.3.3.3:1"].map(address).to_vec();

        let mixed = interleave(found);

        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"].map(address));
    }
}
