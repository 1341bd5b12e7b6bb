//! One fetch: from sources to what is injected. Blocks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret as _, SecretString};

use super::super::{connections::accept, entry::Entry};
use crate::{
    gate::Injection,
    protocol::{ErrorKind, ErrorReply, Secret, chain},
    provider::Values,
    source::{self, Source},
};

/// How long what a file holds is used before it is looked at again.
const FILE_LIFE: Duration = Duration::from_secs(1);
/// How long what a command or a keyring has given is used, and when it is fetched ahead.
const SLOW_LIFE: Duration = Duration::from_secs(300);
const SLOW_AHEAD: Duration = Duration::from_secs(240);

/// Why there are no values. Holds none.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Code of the denial.
    pub(super) code: &'static str,
    /// What happened, lower case, no full stop: for agents and logs too.
    pub(super) reason: String,
    /// What would mend it.
    pub(super) hint: Option<String>,
    /// What a program said, for the user only.
    said: Option<String>,
}

impl Failure {
    /// A source did not give a value.
    pub(super) fn source(reason: String) -> Self {
        Self { code: "source-failed", reason, hint: None, said: None }
    }

    /// It gave a value that the provider cannot have.
    fn invalid(error: ErrorReply) -> Self {
        let ErrorReply { message, hint, .. } = error;
        Self { code: "source-invalid", reason: message, hint, said: None }
    }

    /// For the user's own eyes.
    pub(super) fn reply(self, name: &str) -> ErrorReply {
        let said = self.said.map(|said| format!(": it says: {said}")).unwrap_or_default();
        ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("{name}: {}{said}", self.reason),
            hint: self.hint,
        }
    }
}

impl From<source::Error> for Failure {
    fn from(error: source::Error) -> Self {
        let said = error.said().map(str::to_owned);
        Self { hint: error.hint(), said, ..Self::source(chain(&error)) }
    }
}

/// What a source gave, and when.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    value: SecretString,
    at: Instant,
}

/// The values of a connection, and what they mean for a request.
#[derive(Debug)]
pub(super) struct Held {
    /// All of its fields.
    pub(super) values: Values,
    pub(super) injection: Injection,
    fetched: BTreeMap<String, Fetched>,
    /// When they are to be fetched again, and until when they may be used.
    ahead: Option<Instant>,
    until: Option<Instant>,
}

/// How old values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// To be used.
    Fresh,
    /// To be used, and fetched again meanwhile.
    Ageing,
    /// Not to be used.
    Stale,
}

impl Held {
    pub(super) fn freshness(&self) -> Freshness {
        let now = Instant::now();
        let passed = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if passed(self.until) {
            Freshness::Stale
        } else if passed(self.ahead) {
            Freshness::Ageing
        } else {
            Freshness::Fresh
        }
    }
}

/// How long a source's value is used, and when it is fetched ahead. None: an environment does not change.
fn life(source: &Source) -> Option<(Duration, Duration)> {
    match source {
        Source::Env(_) => None,
        Source::File(_) => Some((FILE_LIFE, FILE_LIFE)),
        Source::Command(_) | Source::Keyring { .. } => Some((SLOW_AHEAD, SLOW_LIFE)),
    }
}

/// Fetches what is due and prepares what it means. `former`: what was held until now; the same again if
/// no value has changed. `all`: whatever is due or not.
pub(super) fn fetch(
    entry: &Entry,
    former: Option<&Arc<Held>>,
    all: bool,
    limit: Duration,
) -> Result<Arc<Held>, Failure> {
    let fetched = gather(&entry.sources, former.filter(|_| !all).map(|held| &held.fetched), limit)?;
    hold(entry, fetched, former).map(Arc::new)
}

/// Fetches every source whose value is not among the `known` ones, or ageing.
pub(super) fn gather(
    sources: &BTreeMap<String, Source>,
    known: Option<&BTreeMap<String, Fetched>>,
    limit: Duration,
) -> Result<BTreeMap<String, Fetched>, Failure> {
    let deadline = Instant::now() + limit;
    let mut gathered = BTreeMap::new();
    for (field, source) in sources {
        let kept = known
            .and_then(|known| known.get(field))
            .filter(|fetched| life(source).is_none_or(|(ahead, _)| fetched.at.elapsed() < ahead));
        let fetched = match kept {
            Some(fetched) => fetched.clone(),
            None => {
                let left = deadline.saturating_duration_since(Instant::now());
                Fetched { value: source.fetch(left)?, at: Instant::now() }
            }
        };
        gathered.insert(field.clone(), fetched);
    }
    Ok(gathered)
}

/// The values that a connection has with these, checked as at a login.
pub(super) fn complete(
    entry: &Entry,
    fetched: &BTreeMap<String, Fetched>,
) -> Result<Values, Failure> {
    let definition = &entry.definition;
    // What is found in another field is found again: it may follow the new value.
    let derived = |name: &str| definition.field(name).is_some_and(|field| field.derive.is_some());
    let stored = entry.values.iter().filter(|(name, _)| !derived(name));
    let fetched = fetched.iter().map(|(name, fetched)| (name, &fetched.value));
    let given: BTreeMap<_, _> =
        stored.chain(fetched).map(|(name, value)| (name.clone(), Secret(value.clone()))).collect();
    accept(definition, given).map_err(Failure::invalid)
}

/// What `fetched` means for requests.
pub(super) fn hold(
    entry: &Entry,
    fetched: BTreeMap<String, Fetched>,
    former: Option<&Arc<Held>>,
) -> Result<Held, Failure> {
    let times = |which: fn((Duration, Duration)) -> Duration| {
        let time =
            |(name, source): (&String, &Source)| Some(fetched.get(name)?.at + which(life(source)?));
        entry.sources.iter().filter_map(time).min()
    };
    let (ahead, until) = (times(|(ahead, _)| ahead), times(|(_, until)| until));
    if let Some(former) = former
        && fetched.iter().all(|(name, fetched)| {
            former.fetched.get(name).is_some_and(|known| same(&known.value, &fetched.value))
        })
    {
        let (values, injection) = (former.values.clone(), former.injection.clone());
        return Ok(Held { values, injection, fetched, ahead, until });
    }
    let values = complete(entry, &fetched)?;
    // Where requests go was decided by the settings at the login.
    if entry.definition.settings(&values) != entry.settings() {
        return Err(Failure {
            hint: Some(format!("{} --from SOURCE", entry.login_command())),
            ..Failure::invalid(ErrorReply {
                kind: ErrorKind::Failed,
                message: "its new value belongs to another host or account".to_owned(),
                hint: None,
            })
        });
    }
    let changes = entry.sources.values().any(|source| life(source).is_some());
    let issue = former.and_then(|former| former.injection.issue).unwrap_or(0) + 1;
    let injection = entry
        .prepare(&values, former.map(|former| &former.values), changes.then_some(issue))
        .map_err(|reason| Failure { code: "source-invalid", ..Failure::source(reason) })?;
    Ok(Held { values, injection, fetched, ahead, until })
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> BTreeMap<String, Source> {
        BTreeMap::from([("api_key".to_owned(), Source::parse(text).unwrap())])
    }

    #[test]
    fn what_is_known_and_young_is_not_fetched_again() {
        let value = SecretString::from("known");
        let at = Instant::now();
        let known = BTreeMap::from([("api_key".to_owned(), Fetched { value, at })]);
        let gathered =
            gather(&sources("command:/nonexistent/op"), Some(&known), FILE_LIFE).unwrap();
        assert_eq!(gathered["api_key"].value.expose_secret(), "known");
    }

    #[test]
    fn a_source_that_fails_is_a_failure_that_names_it() {
        let failure = gather(&sources("command:/nonexistent/op"), None, FILE_LIFE).unwrap_err();
        assert_eq!(failure.code, "source-failed");
        assert!(failure.reason.contains("/nonexistent/op"), "{failure:?}");
    }

    #[test]
    fn only_an_environment_is_used_for_ever() {
        for (text, ends) in [
            ("env:KEY", false),
            ("file:/run/secrets/key", true),
            ("command:op", true),
            ("keyring:a/b", true),
        ] {
            assert_eq!(life(&Source::parse(text).unwrap()).is_some(), ends, "{text}");
        }
    }
}
