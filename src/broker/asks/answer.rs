//! An answer, with what goes with it: a rule, and a record of who gave it.

use std::sync::Arc;

use super::{Answer, rule};
use crate::{
    audit::{self, Event},
    broker::{Common, audit_error},
    protocol::{
        ErrorReply,
        asks::{AskAnswer, AskView},
    },
};

/// Longest reason of a denial, in bytes: it goes to the agent.
const MAX_REASON: usize = 500;

/// By which way a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approver {
    /// A command.
    Cli,
    /// A page of the dashboard.
    Dashboard,
}

impl Approver {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Dashboard => "dashboard",
        }
    }
}

impl Common {
    /// Answers a question. It is on record, and where it is to hold always in the policy, before
    /// anything passes; if it cannot be, the question waits on. Waits for the disk.
    ///
    /// # Errors
    /// `NotFound` if nothing of that id is waiting; else what the policy's file or the
    /// audit log say.
    pub fn answer_ask(
        &self,
        id: &str,
        answer: AskAnswer,
        by: Approver,
    ) -> Result<AskView, ErrorReply> {
        let claim = self.asks.claim(id)?;
        if answer == AskAnswer::Always {
            self.policy().append_rule(&rule::always(&claim.question)?)?;
        }
        let asked = &claim.question;
        let event = Event {
            profile: Some(Arc::clone(&asked.profile)),
            run: Some(Arc::clone(&asked.run)),
            agent: Some(Arc::clone(&asked.agent)),
            user: Some(Arc::clone(&self.user)),
            connection: asked.connection.clone(),
            method: Some((*asked.method).to_owned().into()),
            host: Some(Arc::clone(&asked.host)),
            port: Some(asked.port),
            path: (!asked.path.is_empty()).then(|| (*asked.path).to_owned().into()),
            policy: asked.policy.clone(),
            operation: Some(answer.operation().into()),
            by: Some(by.as_str().into()),
            ..Event::new(audit::Kind::Ask)
        };
        self.append(event)
            .and_then(|()| self.audit.flush())
            .map_err(|error| audit_error(&error))?;
        let view = claim.view.clone();
        match answer {
            AskAnswer::Once => claim.give(Answer::Once),
            AskAnswer::Run => claim.give(Answer::Run),
            // The rule stands, whether or not the agent still waits.
            AskAnswer::Always => {
                Ok(claim.give(Answer::Always).unwrap_or(AskView { count: 0, ..view }))
            }
            AskAnswer::Deny { reason } => claim.give(Answer::Deny(reason.map(bounded))),
        }
    }
}

/// What fits into a sentence.
fn bounded(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    reason
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{Timestamp, tz::TimeZone};

    use super::{super::tests::question, *};
    use crate::{
        broker::testing::Stage,
        policy::{Query, Resource, Verdict},
        protocol::ErrorKind,
    };

    /// What the policy says about what `question` asks.
    fn decide(common: &Common, path: &str) -> Verdict {
        let query = Query {
            agent: "agent://local/codex",
            user: "ada",
            profile: "default",
            run: "00ff",
            method: Some("DELETE"),
            host: "api.test",
            port: 443,
            path,
            query_keys: &[],
            resource: Resource::Connection { provider: "github", connection: "github/work" },
            time: Timestamp::now(),
            zone: &TimeZone::UTC,
        };
        common.policy().current().unwrap().decide(&query).verdict
    }

    /// Asks about a path and answers; what the agent gets and what whoever answers gets.
    fn answered(
        stage: &Stage,
        path: &'static str,
        answer: AskAnswer,
    ) -> (Answer, Result<AskView, ErrorReply>) {
        let common = &stage.common;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limit = Duration::from_secs(60);
            let asking = common.asks().ask(question(path), limit, |_| ());
            let answering = async {
                let id = common.asks().next(Some(0), limit).await.asks.remove(0).id;
                let given = common.answer_ask(&id, answer, Approver::Cli);
                // What could not be answered would wait on.
                if given.is_err() {
                    common.asks().close();
                }
                given
            };
            tokio::join!(asking, answering)
        })
    }

    #[test]
    fn always_is_a_rule_by_which_the_same_request_passes() {
        let stage = Stage::new();
        let rule = "[[rule]]\nverdict = \"ask\"\naction = \"write\"\n";
        stage.common.policy().append_rule(rule).unwrap();
        assert_eq!(decide(&stage.common, "/a"), Verdict::Ask);

        let (answer, given) = answered(&stage, "/a", AskAnswer::Always);

        assert_eq!((answer, given.unwrap().count), (Answer::Always, 1));
        assert_eq!(decide(&stage.common, "/a"), Verdict::Allow);
        assert_eq!(decide(&stage.common, "/a/b"), Verdict::Ask);
    }

    #[test]
    fn every_answer_is_on_record() {
        let stage = Stage::new();
        let reason = Some("no".to_owned());
        answered(&stage, "/a", AskAnswer::Deny { reason }).1.unwrap();
        let entries = audit::read::tail(&stage.common.home.audit_log(), 9).unwrap();
        let event = &entries.last().unwrap().event;
        assert_eq!(event.kind, audit::Kind::Ask);
        assert_eq!(event.operation.as_deref(), Some("deny"));
        assert_eq!(event.by.as_deref(), Some("cli"));
        assert_eq!(event.path.as_deref(), Some("/a"));
        assert_eq!(event.policy.as_deref(), Some("policy.toml:1"));
    }

    #[test]
    fn a_rule_that_cannot_be_written_lets_nothing_pass() {
        let stage = Stage::new();
        let (answer, given) = answered(&stage, "/*", AskAnswer::Always);
        assert_eq!(answer, Answer::Gone);
        assert_eq!(given.unwrap_err().kind, ErrorKind::Usage);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(bounded("é".repeat(400)).len(), MAX_REASON);
        assert_eq!(bounded("no".to_owned()), "no");
    }
}
