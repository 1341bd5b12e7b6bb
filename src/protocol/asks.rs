//! Requests that are held until a person has said yes or no.

use serde::{Deserialize, Serialize};

/// What is asked of the daemon about held requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum AsksRequest {
    /// What is waiting, once it is no longer what it was at revision `seen`, or after `seconds`.
    /// Answer: [`AsksView`].
    Await {
        /// The revision the client knows; none: it wants an answer at once.
        seen: Option<u64>,
        /// Longest wait.
        seconds: u32,
    },
    /// Answers one question. Answer: [`AskView`], as it was then.
    Answer {
        /// The question's id.
        id: String,
        /// Yes or no.
        answer: AskAnswer,
    },
}

/// What a person says to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum AskAnswer {
    /// What is waiting may pass; the next such request is asked about again.
    Once,
    /// The same request may pass for as long as its run lasts.
    Run,
    /// A rule of the policy lets the same request pass from now on.
    Always,
    /// It may not.
    Deny {
        /// Why, for the agent to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl AskAnswer {
    /// What the audit log calls it.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Once => "approve-once",
            Self::Run => "approve-run",
            Self::Always => "approve-always",
            Self::Deny { .. } => "deny",
        }
    }
}

/// All that is waiting at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AsksView {
    /// Changes whenever something begins or ceases to wait.
    pub revision: u64,
    /// Oldest first.
    pub asks: Vec<AskView>,
}

/// One question: a request, or several equal ones, that a policy wants a person to decide about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskView {
    /// What it is answered by: four letters or digits.
    pub id: String,
    /// Agent identity.
    pub agent: String,
    /// User the agent acts for.
    pub user: String,
    /// Profile whose connections are meant.
    pub profile: String,
    /// Id of the run.
    pub run: String,
    /// What the run runs.
    pub command: String,
    /// `provider/connection` whose credential the request would carry.
    pub connection: Option<String>,
    /// Request method; `connect` for a connection that would be passed through unread.
    pub method: String,
    /// Where it goes.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path without the query; empty for a connection.
    pub path: String,
    /// Id of the policy that wants to know.
    pub policy: Option<String>,
    /// Why it does.
    pub reason: Option<String>,
    /// How many equal requests wait for the answer.
    pub count: usize,
    /// When the first of them came (RFC 3339, UTC).
    pub asked_at: String,
    /// When the last of them is refused (RFC 3339, UTC).
    pub expires_at: String,
    /// Seconds until then.
    pub seconds_left: u64,
}

impl AskView {
    /// The request in a few words: `DELETE api.github.com/repos/x/y`.
    #[must_use]
    pub fn summary(&self) -> String {
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{} {host}{port}{}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> AskView {
        AskView {
            id: "k7f2".into(),
            agent: "codex".into(),
            user: "ada".into(),
            profile: "default".into(),
            run: "00ff".into(),
            command: "codex".into(),
            connection: Some("github/work".into()),
            method: "DELETE".into(),
            host: "api.github.com".into(),
            port: 443,
            path: "/repos/a/b".into(),
            policy: None,
            reason: None,
            count: 1,
            asked_at: String::new(),
            expires_at: String::new(),
            seconds_left: 9,
        }
    }

    #[test]
    fn a_summary_names_the_port_only_where_it_is_unusual() {
        assert_eq!(view().summary(), "DELETE api.github.com/repos/a/b");
        let connect = AskView {
            method: "connect".into(),
            host: "2001:db8::1".into(),
            port: 22,
            path: String::new(),
            ..view()
        };
        assert_eq!(connect.summary(), "connect [2001:db8::1]:22");
    }
}
