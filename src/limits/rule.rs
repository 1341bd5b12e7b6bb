//! What may be limited, and for whom.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// What an agent's identity begins with.
const AGENT_PREFIX: &str = "agent://local/";

/// From this period on a limit is a budget: it has fixed periods and outlives the daemon.
pub const BUDGET: Duration = Duration::from_secs(24 * 60 * 60);

/// How much may be asked for in a period.
///
/// Whose requests are counted together follows from what the rule names: where it names agents, each
/// has a count of its own, and where it names connections, each has; all else is counted together. So
/// `agent = "*"` gives each agent the limit, and no `agent` gives it to all of them together.
///
/// A period shorter than a day slides: no more than the limit in *any* stretch of that length. A day
/// or longer is a budget with fixed periods in UTC, counted from 1 January 1970: a day ends at
/// midnight, a week with its Wednesday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id, for the agent and the audit log: `policy.toml:7`.
    pub id: Arc<str>,
    /// Whose requests.
    pub scope: Scope,
    /// Requests in a period.
    pub requests: Option<u64>,
    /// Bytes of bodies, both ways, in a period. Counted when a request has ended, so those under way
    /// together may go beyond it.
    pub bytes: Option<u64>,
}

/// Whose requests a [`Rule`] counts, in which time. In every name `*` stands for any text; an empty
/// list names everything. What has been used belongs to the scope: a rule whose numbers are changed
/// goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Agents, by name (`codex`) or identity (`agent://local/codex`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Providers. Where there are some, hosts without a provider are not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Connections: `provider/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<String>,
    /// Hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Length of the period, in seconds; at least one.
    pub seconds: u64,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Agent identity.
    pub agent: &'a Arc<str>,
    /// `provider/name` of the connection whose credential it carries.
    pub connection: Option<&'a Arc<str>>,
    /// Host it goes to.
    pub host: &'a str,
}

impl Scope {
    pub(super) fn covers(&self, subject: Subject<'_>) -> bool {
        let connection = subject.connection.map(|name| &**name);
        let provider = connection.and_then(|name| name.split_once('/')).map(|(of, _)| of);
        let agent = subject.agent.strip_prefix(AGENT_PREFIX).unwrap_or(subject.agent);
        let strip = |pattern: &String| {
            matches(pattern.strip_prefix(AGENT_PREFIX).unwrap_or(pattern), agent)
        };
        (self.agents.is_empty() || self.agents.iter().any(strip))
            && any(&self.providers, provider)
            && any(&self.connections, connection)
            && any(&self.hosts, Some(subject.host))
    }

    pub(super) fn is_budget(&self) -> bool {
        self.period() >= BUDGET
    }

    pub(super) fn period(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }
}

/// Does any pattern match, or is there none, so that nothing is asked?
fn any(patterns: &[String], text: Option<&str>) -> bool {
    patterns.is_empty()
        || text.is_some_and(|text| patterns.iter().any(|pattern| matches(pattern, text)))
}

/// Does `text` follow `pattern`, in which `*` stands for any text?
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("codex", "codex", true),
            ("codex", "codex2", false),
            ("*", "", true),
            ("co*", "codex", true),
            ("*ex", "codex", true),
            ("c*d*x", "codex", true),
            ("c*x*d", "codex", false),
            ("co*ox", "cox", false),
            ("a*a", "a", false),
            ("github/*", "github/work", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_a_scope_leaves_out_does_not_matter_and_what_it_names_does() {
        let list =
            |text: &str| -> Vec<String> { text.split_whitespace().map(Into::into).collect() };
        let covers = |agents, providers, connections, hosts, connection: Option<&str>| {
            let scope = Scope {
                agents: list(agents),
                providers: list(providers),
                connections: list(connections),
                hosts: list(hosts),
                seconds: 60,
            };
            let (agent, connection) = ("agent://local/codex".into(), connection.map(Arc::from));
            scope.covers(Subject { agent: &agent, connection: connection.as_ref(), host: "a.test" })
        };
        let work = Some("github/work");
        assert!(covers("", "", "", "", None));
        assert!(covers("co*", "", "", "", work));
        assert!(covers("agent://local/codex", "", "", "", work));
        assert!(covers("", "git github", "", "", work));
        assert!(covers("", "", "github/*", "*.test", work));
        assert!(!covers("", "git", "", "", work));
        assert!(!covers("", "github", "", "", None));
        assert!(!covers("", "", "github/home", "", work));
        assert!(!covers("claude", "", "", "", work));
        assert!(!covers("", "", "", "b.test", work));
    }
}
