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
    /// [`crate::protocol::ErrorKind::NotFound`] if nothing of that id is waiting; else what the policy's file or the
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
    use super::{
        super::tests::{begin, question},
        *,
    };
    use crate::{broker::testing::Stage, policy::RuleVerdict, protocol::ErrorKind};

    /// Why it is not answered, if it is not.
    fn answer_always(common: &Common, path: &str) -> Option<ErrorReply> {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        clock.block_on(async {
            let asking = begin(&common.asks, question(path)).await;
            let id = common.asks.pending()[0].id.clone();
            let answered = common.answer_ask(&id, AskAnswer::Always, Approver::Cli);
            if answered.is_ok() {
                assert_eq!(asking.await, Answer::Always);
            } else {
                assert_eq!(common.asks.count(), 1, "the question waits on");
            }
            answered.err()
        })
    }

    #[test]
    fn what_is_always_approved_is_a_rule_from_then_on() {
        let stage = Stage::new();
        assert!(answer_always(&stage.common, "/repos/a").is_none());
        let policy = stage.common.policy().current().unwrap();
        let [rule] = policy.statements() else { panic!("{policy:?}") };
        assert_eq!(rule.verdict(), RuleVerdict::Approve);
        assert_eq!(rule.reason(), Some("always approved by ada"));
    }

    #[test]
    fn what_no_rule_can_say_is_not_approved_and_waits_on() {
        let stage = Stage::new();
        let error = answer_always(&stage.common, "/repos/*").unwrap();
        assert_eq!(error.kind, ErrorKind::Usage);
        assert!(stage.common.policy().current().unwrap().statements().is_empty());
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(bounded("é".repeat(400)).len(), MAX_REASON);
        assert_eq!(bounded("no".to_owned()), "no");
    }
}
