//! A request of this run that a person is to decide about.

use std::{sync::Arc, time::Duration};

use super::RunGate;
use crate::{
    broker::asks::{CONNECT, Question},
    gate::{Denial, RequestFacts, Target},
};

/// What a policy said when it did not decide itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The method, with those that its headers name; none: the request's own, or no request.
    pub(super) method: Option<String>,
    /// `provider/connection` whose credential is at stake.
    pub(super) connection: Option<Arc<str>>,
    /// Id of the policy.
    pub(super) policy: Option<Arc<str>>,
    /// Why it asks.
    pub(super) reason: Option<Arc<str>>,
    /// How long to wait; none: as long as usual.
    pub(super) limit: Option<Duration>,
}

impl RunGate {
    /// Waits until a person has said whether a request may pass. Nothing is sent meanwhile.
    ///
    /// What held when the question was put may not hold any more when it is answered: decide again
    /// then, with this question answered.
    ///
    /// # Errors
    /// The denial, unless it may pass.
    pub(super) async fn ask(&self, facts: &RequestFacts, mut asked: Asked) -> Result<(), Denial> {
        let named = asked.method.take();
        let method = named.as_deref().unwrap_or(facts.method.as_str());
        self.put(method, &facts.target, facts.path.as_str(), asked).await
    }

    /// The same about a connection that would be passed through unread.
    ///
    /// # Errors
    /// The denial, unless it may pass.
    pub(super) async fn ask_to_connect(&self, target: &Target, asked: Asked) -> Result<(), Denial> {
        self.put(CONNECT, target, "", asked).await
    }

    async fn put(
        &self,
        method: &str,
        target: &Target,
        path: &str,
        asked: Asked,
    ) -> Result<(), Denial> {
        let question = Question {
            agent: Arc::clone(&self.principal().agent),
            user: Arc::clone(&self.broker.common.user),
            profile: Arc::clone(&self.broker.profile),
            run: Arc::clone(&self.run),
            command: Arc::clone(&self.command),
            connection: asked.connection,
            method: method.into(),
            host: Arc::clone(&target.host),
            port: target.port,
            path: path.into(),
            policy: asked.policy,
            reason: asked.reason,
        };
        let asks = &self.broker.common.asks;
        let limit = asked.limit.unwrap_or_else(|| asks.limit());
        let waits = |view: &_| self.notice.asked(view);
        let answer = asks.ask(question.clone(), limit, waits).await;
        answer.denial(&question, limit).map_or(Ok(()), Err)
    }
}
