//! The rule that an "always" is: the same request, and nothing beside it.

use super::question::{CONNECT, Question};
use crate::{
    policy::{Draft, RuleVerdict},
    protocol::{ErrorKind, ErrorReply},
};

/// The rule by which nobody is asked again what `question` asks. A denial that matches still holds.
///
/// # Errors
/// [`ErrorKind::Usage`] where the rule would say more than the question.
pub(super) fn always(question: &Question) -> Result<String, ErrorReply> {
    let connects = *question.method == *CONNECT;
    let reason = format!("always approved by {}", question.user);
    let draft = Draft {
        verdict: RuleVerdict::Approve,
        agent: Some(&question.agent),
        profile: Some(&question.profile),
        connection: question.connection.as_deref(),
        host: Some(&question.host),
        port: Some(question.port),
        action: Some(&question.method),
        path: (!connects).then_some(&question.path),
        reason: Some(&reason),
    };
    draft.to_toml().ok_or_else(|| ErrorReply {
        kind: ErrorKind::Usage,
        message: "no rule can name exactly this request: it has a `*`, or a method without a name \
                  in policies"
            .to_owned(),
        hint: Some("approve it once or for this run, or write the rule yourself".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::question, *};

    #[test]
    fn a_rule_names_all_that_the_question_does() {
        let rule = always(&question("/repos/a/'b")).unwrap();
        assert_eq!(
            rule,
            "[[rule]]\nverdict = \"approve\"\nagent = \"codex\"\nprofile = \"default\"\n\
             connection = \"github/work\"\nhost = \"api.test\"\nport = 443\naction = \"DELETE\"\n\
             path = \"/repos/a/'b\"\nreason = \"always approved by ada\"\n"
        );
    }

    #[test]
    fn a_rule_about_a_connection_has_no_path() {
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
    fn what_would_be_a_pattern_is_refused() {
        for path in ["/a/*", "/**"] {
            assert_eq!(always(&question(path)).unwrap_err().kind, ErrorKind::Usage, "{path}");
        }
        let purge = Question { method: "PURGE".into(), ..question("/a") };
        assert_eq!(always(&purge).unwrap_err().kind, ErrorKind::Usage);
    }
}
