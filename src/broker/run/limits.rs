//! What this run's requests use of the limits.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::RunGate;
use crate::{
    gate::{Denial, Target},
    limits::{Cause, Exceeded, Limits, Subject},
    protocol::chain,
};

/// Why a request may not go out now.
pub(super) struct Over {
    pub(super) denial: Denial,
    /// When it may be tried again, if it may.
    pub(super) again: Option<Duration>,
    /// The limit.
    pub(super) rule: Arc<str>,
}

impl RunGate {
    /// Counts one request to `target`, by `connection` if it carries a credential.
    pub(super) fn within_limits(
        &self,
        target: &Target,
        connection: Option<&Arc<str>>,
    ) -> Result<(), Over> {
        let limits = &self.broker.common.limits;
        limits
            .admit(self.subject(target, connection), SystemTime::now())
            .map_err(|exceeded| over(&exceeded, limits))
    }

    /// Counts the bytes of a request that has ended.
    pub(super) fn spent(&self, target: &Target, connection: Option<&Arc<str>>, bytes: u64) {
        let subject = self.subject(target, connection);
        self.broker.common.limits.spent(subject, bytes, SystemTime::now());
    }

    fn subject<'a>(&'a self, target: &'a Target, connection: Option<&'a Arc<str>>) -> Subject<'a> {
        Subject { agent: &self.principal().agent, connection, host: &target.host }
    }
}

fn over(exceeded: &Exceeded, limits: &Limits) -> Over {
    let rule = &exceeded.rule;
    let (code, reason, again) = match exceeded.cause {
        Cause::Rate(wait) => {
            let reason = format!("{rule} allows no more requests now, again in {}", words(wait));
            ("rate-limited", reason, wait)
        }
        Cause::Budget(wait) => {
            let reason =
                format!("the budget of {rule} is spent; the next begins in {}", words(wait));
            ("budget-spent", reason, wait)
        }
        Cause::Crowded => {
            let reason = format!("more agents and connections than {rule} can count");
            ("rate-limited", reason, Duration::from_secs(60))
        }
        Cause::Unknown => {
            let problem = limits.problem();
            let why = problem.as_ref().map(|error| chain(&**error)).unwrap_or_default();
            let hint = problem.and_then(|error| error.hint());
            let reason = format!("what is left of the budget of {rule} is not known: {why}");
            let denial = Denial { code: "budget-unknown", reason, hint, status: 503 };
            return Over { denial, again: None, rule: Arc::clone(rule) };
        }
    };
    let denial = Denial { code, reason, hint: None, status: 429 };
    Over { denial, again: Some(again), rule: Arc::clone(rule) }
}

/// A wait for people, rounded up.
fn words(wait: Duration) -> String {
    match wait.as_secs() {
        0..120 => format!("{} s", wait.as_millis().div_ceil(1000)),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        let texts = [50, 119_001, 120_000, 7_200_000].map(Duration::from_millis).map(words);
        assert_eq!(texts, ["1 s", "120 s", "2 min", "2 h"]);
    }

    #[test]
    fn a_rate_and_a_budget_are_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let limits = Limits::open(&place.path().join("limits.json"));
        let told = |cause| {
            let Over { denial, again, .. } = over(&Exceeded { rule: "r".into(), cause }, &limits);
            (denial.code, denial.status, again)
        };
        let wait = Duration::from_secs(3);
        assert_eq!(told(Cause::Rate(wait)), ("rate-limited", 429, Some(wait)));
        assert_eq!(told(Cause::Budget(wait)), ("budget-spent", 429, Some(wait)));
        assert_eq!(told(Cause::Unknown), ("budget-unknown", 503, None));
    }
}
