//! The way of a request: where it may go, whether it may, and what it is given.

use std::{sync::Arc, time::SystemTime};

use http::request::Parts;

use super::{Asked, RunGate, judge::Said};
use crate::{
    broker::entry::Entry,
    gate::{Admission, BoxFuture, Denial, RequestFacts, Ruling, Target, TokenExchange, Verdict},
};

/// Where a request goes if nothing is against it.
pub(super) enum Way {
    /// To a provider, with this connection's credential.
    Inject(Arc<Entry>),
    /// To a token endpoint.
    Exchange(Arc<dyn TokenExchange>),
    /// On, as it is.
    Forward,
}

impl Way {
    fn connection(&self) -> Option<Arc<str>> {
        match self {
            Self::Inject(entry) => Some(Arc::clone(&entry.full_name)),
            Self::Exchange(exchange) => Some(exchange.connection()),
            Self::Forward => None,
        }
    }
}

impl RunGate {
    /// The verdict about a request; at once, unless a person is asked or a credential has to be got.
    pub(super) fn ruling<'a>(
        &'a self,
        facts: &'a RequestFacts,
        head: &'a Parts,
    ) -> BoxFuture<'a, Ruling<Verdict>> {
        match self.weigh(facts, head) {
            Err(verdict) => now(verdict.into()),
            Ok((way, Ruling { says, policy, connection })) => match says {
                Said::Allow => self.pass(way, facts, policy),
                Said::Deny(denial) => {
                    now(Ruling { says: Verdict::Deny(denial), policy, connection })
                }
                Said::Ask(asked) => Box::pin(self.ask_and_pass(facts, head, asked)),
            },
        }
    }

    /// Where a request may go, and what the policy says to that.
    fn weigh(&self, facts: &RequestFacts, head: &Parts) -> Result<(Way, Ruling<Said>), Verdict> {
        self.verified().map_err(Verdict::Deny)?;
        self.recordable().map_err(Verdict::Deny)?;
        let way = self.way(facts, head)?;
        let ruling = self.judge(facts, head, way.connection().as_ref());
        Ok((way, ruling))
    }

    /// Everything may be another when a question has been answered: the connection gone, the policy
    /// changed. So it is weighed again, with that one question answered.
    async fn ask_and_pass(
        &self,
        facts: &RequestFacts,
        head: &Parts,
        mut asked: Asked,
    ) -> Ruling<Verdict> {
        loop {
            let (connection, policy) = (asked.connection.clone(), asked.policy.clone());
            if let Err(denial) = self.ask(facts, asked).await {
                return Ruling { says: Verdict::Deny(denial), policy, connection };
            }
            let (way, ruling) = match self.weigh(facts, head) {
                Ok(weighed) => weighed,
                Err(verdict) => return verdict.into(),
            };
            match ruling.says {
                Said::Allow => return self.pass(way, facts, ruling.policy).await,
                Said::Deny(denial) => {
                    let Ruling { policy, connection, .. } = ruling;
                    return Ruling { says: Verdict::Deny(denial), policy, connection };
                }
                Said::Ask(next) if (&next.connection, &next.policy) == (&connection, &policy) => {
                    return self.pass(way, facts, policy).await;
                }
                Said::Ask(next) => asked = next,
            }
        }
    }

    /// What a request that is allowed by `policy` gets, within the limits.
    fn pass(
        &self,
        way: Way,
        facts: &RequestFacts,
        policy: Option<Arc<str>>,
    ) -> BoxFuture<'_, Ruling<Verdict>> {
        let connection = way.connection();
        if let Err(over) = self.within_limits(&facts.target, connection.as_ref()) {
            let policy = Some(over.rule);
            let says = match over.again {
                Some(wait) => Verdict::Later(over.denial, wait),
                None => Verdict::Deny(over.denial),
            };
            return now(Ruling { says, policy, connection });
        }
        let ruled = move |says| Ruling { says, policy, connection: None };
        match way {
            Way::Inject(entry) if self.is_ready(&entry) => now(ruled(super::inject(&entry))),
            Way::Inject(entry) => {
                let verdict = self.verdict(entry);
                Box::pin(async move { ruled(verdict.await) })
            }
            Way::Exchange(exchange) => now(ruled(Verdict::Exchange(exchange))),
            Way::Forward => now(ruled(Verdict::Forward)),
        }
    }

    /// What may happen to a connection that nobody looks into.
    pub(super) fn passage(&self, target: &Target) -> Ruling<Admission> {
        match self.weigh_connection(target) {
            Ok(Ruling { says: Said::Allow, policy, .. }) => self.splice(target, policy),
            Ok(Ruling { says: Said::Deny(denial), policy, connection }) => {
                Ruling { says: Admission::Refuse(denial), policy, connection }
            }
            Ok(Ruling { says: Said::Ask(_), .. }) => Admission::Hold.into(),
            Err(denial) => Admission::Refuse(denial).into(),
        }
    }

    /// The same, when a person has been asked.
    pub(super) async fn held(&self, target: &Target) -> Ruling<Admission> {
        let mut answered: Option<Option<Arc<str>>> = None;
        loop {
            let Ruling { says, policy, connection } = match self.weigh_connection(target) {
                Ok(ruling) => ruling,
                Err(denial) => return Admission::Refuse(denial).into(),
            };
            match says {
                Said::Allow => return self.splice(target, policy),
                Said::Deny(denial) => {
                    return Ruling { says: Admission::Refuse(denial), policy, connection };
                }
                Said::Ask(_) if answered.as_ref() == Some(&policy) => {
                    return self.splice(target, policy);
                }
                Said::Ask(asked) => {
                    if let Err(denial) = self.ask_to_connect(target, asked).await {
                        return Ruling { says: Admission::Refuse(denial), policy, connection };
                    }
                    answered = Some(policy);
                }
            }
        }
    }

    fn weigh_connection(&self, target: &Target) -> Result<Ruling<Said>, Denial> {
        self.verified()?;
        self.recordable()?;
        if !self.egress.permits(target) {
            return Err(super::denial::refused(target));
        }
        Ok(self.judge_connection(target))
    }

    fn splice(&self, target: &Target, policy: Option<Arc<str>>) -> Ruling<Admission> {
        match self.within_limits(target, None) {
            Ok(()) => Ruling { says: Admission::Splice, policy, connection: None },
            Err(over) => {
                let says = Admission::Refuse(over.denial);
                Ruling { says, policy: Some(over.rule), connection: None }
            }
        }
    }

    /// Is the run's agent still who it was?
    pub(super) fn verified(&self) -> Result<(), Denial> {
        self.standing.check(&self.broker, SystemTime::now())
    }
}

fn now<'a>(ruling: Ruling<Verdict>) -> BoxFuture<'a, Ruling<Verdict>> {
    Box::pin(std::future::ready(ruling))
}
