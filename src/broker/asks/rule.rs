//! The rule that an "always" is: the same request, and nothing beside it.

use std::fmt;

use serde::Serialize;

use super::question::{CONNECT, Question};
use crate::protocol::{ErrorKind, ErrorReply};

/// Writes rules into the user's policy.
pub trait Rules: fmt::Debug + Send + Sync {
    /// Adds `rule`, a `[[rule]]` table in TOML as `policy.toml` has them, and applies it.
    ///
    /// # Errors
    /// Why the policy is as it was.
    fn append(&self, rule: &str) -> Result<(), ErrorReply>;
}

#[derive(Serialize)]
struct Document<'a> {
    rule: [Table<'a>; 1],
}

/// The members of a `[[rule]]` that are needed here.
#[derive(Serialize)]
struct Table<'a> {
    verdict: &'static str,
    agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    reason: String,
}

/// The rule that allows what `question` asks.
///
/// # Errors
/// [`ErrorKind::Usage`] where the rule would say more than the question: in a rule's path and host a
/// `*` stands for anything.
pub(super) fn always(question: &Question) -> Result<String, ErrorReply> {
    let wild = [&question.path, &question.host, &question.agent].into_iter().any(|text| {
        text.contains(['*', '?', '[', ']', '{', '}', '\\']) || text.contains(char::is_control)
    });
    if wild {
        return Err(ErrorReply {
            kind: ErrorKind::Usage,
            message: "no rule can name exactly this request: it has a wildcard in its path".into(),
            hint: Some("approve it once or for this run, or write the rule yourself".to_owned()),
        });
    }
    let connects = *question.method == *CONNECT;
    let host = question.connection.is_none();
    let table = Table {
        verdict: "allow",
        agent: question.agent.strip_prefix("agent://local/").unwrap_or(&question.agent),
        connection: question.connection.as_deref(),
        host: host.then_some(&question.host),
        port: host.then_some(question.port),
        action: &question.method,
        path: (!connects).then_some(&question.path),
        reason: format!("always approved by {}", question.user),
    };
    toml::to_string(&Document { rule: [table] }).map_err(|error| ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("the rule cannot be written: {error}"),
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::question, *};

    #[test]
    fn a_rule_names_the_agent_the_connection_the_method_and_the_path() {
        let rule = always(&question("/repos/a/\"b")).unwrap();
        assert_eq!(
            rule,
            "[[rule]]\nverdict = \"allow\"\nagent = \"codex\"\nconnection = \"github/work\"\n\
             action = \"DELETE\"\npath = '/repos/a/\"b'\nreason = \"always approved by ada\"\n"
        );
    }

    #[test]
    fn a_rule_about_a_connection_names_host_and_port() {
        let rule = always(&Question {
            connection: None,
            method: CONNECT.into(),
            host: "db.test".into(),
            port: 5432,
            ..question("")
        });
        let rule = rule.unwrap();
        assert!(rule.contains("host = \"db.test\"\nport = 5432\naction = \"connect\"\nreason"));
    }

    #[test]
    fn a_path_that_would_be_a_pattern_is_refused() {
        for path in ["/a/*", "/a/b?", "/[a]"] {
            assert_eq!(always(&question(path)).unwrap_err().kind, ErrorKind::Usage, "{path}");
        }
    }
}
