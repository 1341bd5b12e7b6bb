//! What is asked, what may be answered, and what the agent is told of it.

use std::{sync::Arc, time::Duration};

use crate::gate::Denial;

/// A request that a policy wants a person to decide about. Holds no secret: no header, no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Agent identity.
    pub agent: Arc<str>,
    /// User the agent acts for.
    pub user: Arc<str>,
    /// Profile whose connections are meant.
    pub profile: Arc<str>,
    /// Id of the run.
    pub run: Arc<str>,
    /// What the run runs.
    pub command: Arc<str>,
    /// `provider/connection` whose credential the request would carry.
    pub connection: Option<Arc<str>>,
    /// Request method; [`CONNECT`] for a connection that would be passed through unread.
    pub method: Arc<str>,
    /// Where it goes.
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// Path without the query, as the policy saw it; empty for a connection.
    pub path: Arc<str>,
    /// Id of the policy that wants to know.
    pub policy: Option<Arc<str>>,
    /// Why it does.
    pub reason: Option<Arc<str>>,
}

/// Bytes of method and path that are shown whole. Nobody approves what they have not seen the end of,
/// and all questions together fit into one answer of the daemon's.
const MAX_LENGTH: usize = 1024;

/// Stands where a method stands, for a connection that is not looked into.
pub const CONNECT: &str = "connect";

/// What an answer is about: two requests that are equal in all of this are one question, and what is
/// allowed "for this run" is what is equal in all of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    agent: Arc<str>,
    connection: Option<Arc<str>>,
    method: Arc<str>,
    host: Arc<str>,
    port: u16,
    path: Arc<str>,
    policy: Option<Arc<str>>,
}

impl Question {
    pub(super) fn subject(&self) -> Subject {
        Subject {
            agent: Arc::clone(&self.agent),
            connection: self.connection.clone(),
            method: Arc::clone(&self.method),
            host: Arc::clone(&self.host),
            port: self.port,
            path: Arc::clone(&self.path),
            policy: self.policy.clone(),
        }
    }

    /// Can a person see all of it?
    pub(super) fn is_readable(&self) -> bool {
        self.method.len() + self.path.len() <= MAX_LENGTH
    }

    /// Where it goes, in words.
    fn what(&self) -> String {
        format!("{} {}{}", self.method, self.host, self.path)
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may pass.
    Once,
    /// It may pass, and so may the same request until the run ends.
    Run,
    /// It may pass, and a rule says so from now on.
    Always,
    /// It may not, for the reason given.
    Deny(Option<String>),
    /// Nobody said anything in time.
    TimedOut,
    /// So many are waiting that nobody was asked.
    TooMany,
    /// It is longer than anybody reads, so nobody was asked.
    TooLong,
    /// The run or the daemon ended first.
    Gone,
}

impl Answer {
    /// What the agent is told, unless it may pass. `limit` is how long the question was open.
    #[must_use]
    pub fn denial(&self, question: &Question, limit: Duration) -> Option<Denial> {
        let what = question.what();
        let (code, status, reason, hint) = match self {
            Self::Once | Self::Run | Self::Always => return None,
            Self::Deny(None) => ("ask-denied", 403, format!("{what} was denied"), None),
            Self::Deny(Some(why)) => ("ask-denied", 403, format!("{what} was denied: {why}"), None),
            Self::TimedOut => (
                "ask-timeout",
                403,
                format!("{what} needs an approval, and nobody gave it in {} s", limit.as_secs()),
                Some("authsome approve --watch"),
            ),
            Self::TooMany => (
                "ask-too-many",
                429,
                format!("{what} needs an approval, and too many requests wait for one"),
                Some("authsome approve"),
            ),
            Self::TooLong => (
                "ask-too-long",
                414,
                "the request needs an approval, and its path is longer than anybody reads".into(),
                None,
            ),
            Self::Gone => (
                "ask-gone",
                503,
                format!("{what} needs an approval, and authsome stopped before there was one"),
                None,
            ),
        };
        Some(Denial { code, reason, hint: hint.map(str::to_owned), status })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::question, *};

    #[test]
    fn only_what_was_approved_is_no_denial() {
        let denial = |answer: Answer| answer.denial(&question("/x"), Duration::from_secs(120));
        for answer in [Answer::Once, Answer::Run, Answer::Always] {
            assert_eq!(denial(answer), None);
        }
        let refused = [
            (Answer::Deny(None), "ask-denied", 403),
            (Answer::TimedOut, "ask-timeout", 403),
            (Answer::TooMany, "ask-too-many", 429),
            (Answer::TooLong, "ask-too-long", 414),
            (Answer::Gone, "ask-gone", 503),
        ];
        for (answer, code, status) in refused {
            let denial = denial(answer).unwrap();
            assert_eq!((denial.code, denial.status), (code, status));
        }
    }

    #[test]
    fn the_agent_reads_why_it_was_denied() {
        let answer = Answer::Deny(Some("not on a Friday".into()));
        let denial = answer.denial(&question("/x"), Duration::ZERO).unwrap();
        assert_eq!(denial.reason, "DELETE api.test/x was denied: not on a Friday");
    }
}
