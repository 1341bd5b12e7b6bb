//! What this run's requests use of the limits.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::RunGate;
use crate::{
    gate::{Denial, Target, Verdict},
    limits::{Cause, Exceeded, Limits, Subject},
    protocol::chain,
};

impl RunGate {
    /// Counts one request to `target`, by `connection` if it carries a credential.
    ///
    /// # Errors
    /// The verdict, if it may not go out now.
    pub fn within_limits(
        &self,
        target: &Target,
        connection: Option<&Arc<str>>,
    ) -> Result<(), Verdict> {
        let limits = &self.broker.common.limits;
        limits
            .admit(self.subject(target, connection), SystemTime::now())
            .map_err(|exceeded| verdict(&exceeded, limits))
    }

    /// Counts the bytes of a request that has ended.
    pub fn spent(&self, target: &Target, connection: Option<&Arc<str>>, bytes: u64) {
        let subject = self.subject(target, connection);
        self.broker.common.limits.spent(subject, bytes, SystemTime::now());
    }

    fn subject<'a>(&'a self, target: &'a Target, connection: Option<&'a Arc<str>>) -> Subject<'a> {
        Subject { agent: &self.principal().agent, connection, host: &target.host }
    }
}

fn verdict(exceeded: &Exceeded, limits: &Limits) -> Verdict {
    let rule = &exceeded.rule;
    let denial = |code, reason, hint, status| Denial { code, reason, hint, status };
    match exceeded.cause {
        Cause::Rate(wait) => {
            let reason = format!("{rule} allows no more requests now, again in {}", words(wait));
            Verdict::Later(denial("rate-limited", reason, None, 429), wait)
        }
        Cause::Budget(wait) => {
            let reason =
                format!("the budget of {rule} is spent; the next begins in {}", words(wait));
            Verdict::Later(denial("budget-spent", reason, None, 429), wait)
        }
        Cause::Crowded => {
            let reason = format!("more agents and connections than {rule} can count");
            Verdict::Later(denial("rate-limited", reason, None, 429), Duration::from_secs(60))
        }
        Cause::Unknown => {
            let problem = limits.problem();
            let why = problem.as_ref().map(|error| chain(&**error)).unwrap_or_default();
            let hint = problem.and_then(|error| error.hint());
            let reason = format!("what is left of the budget of {rule} is not known: {why}");
            Verdict::Deny(denial("budget-unknown", reason, hint, 503))
        }
    }
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
        let told = |cause| verdict(&Exceeded { rule: "r".into(), cause }, &limits);
        let wait = Duration::from_secs(3);
        let later = |verdict, code: &str| {
            matches!(verdict, Verdict::Later(denial, after)
                if denial.code == code && denial.status == 429 && after == wait)
        };
        assert!(later(told(Cause::Rate(wait)), "rate-limited"));
        assert!(later(told(Cause::Budget(wait)), "budget-spent"));
        assert!(matches!(told(Cause::Unknown), Verdict::Deny(denial) if denial.status == 503));
    }
}
