//! Which of a provider's connections a request gets.
//!
//! By the placeholder that the agent sent, else the header `Authsome-Connection`, else what the run was
//! told with `--connection`, else the first connection that claims the host, the default before the
//! others. A placeholder of any other connection in the same head is refused: whoever sends it means
//! another service or another account than they would get.

use std::sync::Arc;

use http::{HeaderName, request::Parts};

use super::{entry::Entry, run::not_connected, snapshot::Snapshot};
use crate::gate::{Denial, Target, Verdict};

/// Chooses a connection for one request: `github/work`, or `work`. Removed before forwarding.
const CONNECTION_HEADER: HeaderName = HeaderName::from_static("authsome-connection");

/// What there is to choose from.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) provider: &'a str,
    /// Its connections that claim the host.
    pub(super) claiming: &'a [Arc<str>],
    pub(super) target: &'a Target,
    /// The run's own choice.
    pub(super) run: Option<&'a str>,
}

impl<'a> Choice<'a> {
    /// The connection for a request with this head, in which these connections' placeholders are.
    pub(super) fn make(
        &self,
        head: &'a Parts,
        placed: &[Arc<str>],
    ) -> Result<&'a Arc<Entry>, Verdict> {
        let entries = self.snapshot.of(self.provider);
        // A single connection needs no second look.
        if let ([name], [entry]) = (placed, entries)
            && *name == entry.full_name
        {
            return self.claimed(entry).map_err(Verdict::Deny);
        }
        let mut sent = None;
        for name in placed {
            let meant = self.meant_by(name).ok_or_else(|| Verdict::Misplaced(Arc::clone(name)))?;
            if *sent.get_or_insert(meant) != meant {
                return Err(Verdict::Misplaced(Arc::clone(name)));
            }
        }
        self.unsent(head, sent).map_err(Verdict::Deny)
    }

    /// Which connection a placeholder stands for here. One of a service that shares its credentials with
    /// this one stands for this one's connection of that name, or for the default if it is of the other's.
    fn meant_by(&self, full_name: &str) -> Option<&'a str> {
        let entries = self.snapshot.of(self.provider);
        if let Some(entry) = entries.iter().find(|entry| *entry.full_name == *full_name) {
            return Some(&entry.name);
        }
        let other = self.snapshot.named(full_name)?;
        let default = entries.first()?;
        if !other.is_kin_of(default) {
            return None;
        }
        let same = entries.iter().find(|entry| entry.name == other.name);
        same.or_else(|| other.default.then_some(default)).map(|entry| entry.name.as_str())
    }

    fn unsent(&self, head: &'a Parts, sent: Option<&'a str>) -> Result<&'a Arc<Entry>, Denial> {
        let named = self.named_in_header(head)?;
        let entry = match sent.or(named).or(self.run) {
            Some(name) => self
                .snapshot
                .find(self.provider, Some(name))
                .ok_or_else(|| not_connected(self.provider, Some(name)))?,
            None => {
                let mut entries = self.snapshot.of(self.provider).iter();
                let first = entries.find(|entry| self.claims(entry));
                first.ok_or_else(|| not_connected(self.provider, None))?
            }
        };
        self.claimed(entry)
    }

    fn claims(&self, entry: &Entry) -> bool {
        self.claiming.iter().any(|name| **name == *entry.name)
    }

    /// The connection, unless the host is another instance's.
    fn claimed(&self, entry: &'a Arc<Entry>) -> Result<&'a Arc<Entry>, Denial> {
        if self.claims(entry) {
            return Ok(entry);
        }
        Err(mismatch(format!(
            "{} is not for {}: its credential goes to its own host only",
            entry.full_name, self.target.host
        )))
    }

    /// The connection that the agent's header names.
    fn named_in_header(&self, head: &'a Parts) -> Result<Option<&'a str>, Denial> {
        let Some(value) = head.headers.get(CONNECTION_HEADER) else { return Ok(None) };
        let name = value.to_str().unwrap_or_default().trim();
        match name.split_once('/') {
            Some((of, name)) if of == self.provider => Ok(Some(name)),
            None => Ok(Some(name)),
            Some(_) => Err(mismatch(format!(
                "Authsome-Connection names another provider than {}, whose host this is",
                self.provider
            ))),
        }
    }
}

fn mismatch(reason: String) -> Denial {
    Denial { code: "connection-host-mismatch", reason, hint: None, status: 403 }
}
