//! What may be reached without a provider.

use crate::{gate::Target, interceptor::AllowRule, protocol::Egress};

/// The egress rules of one run.
#[derive(Clone, Debug)]
pub(super) struct EgressRules {
    egress: Egress,
    allow: Vec<AllowRule>,
}

impl EgressRules {
    pub(super) fn new(egress: Egress, allow: Vec<AllowRule>) -> Self {
        Self { egress, allow }
    }

    pub(super) fn permits(&self, target: &Target) -> bool {
        self.egress == Egress::Open || self.allow.iter().any(|rule| rule.matches(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_only_refuses_what_no_rule_names() {
        let allow = vec![AllowRule { host: "ok.test".to_owned(), port: Some(443) }];
        let rules = EgressRules::new(Egress::Providers, allow);
        let permits = |host: &str, port| rules.permits(&Target { host: host.into(), port });
        assert!(permits("ok.test", 443));
        assert!(!permits("ok.test", 80));
        assert!(!permits("other.test", 443));
    }

    #[test]
    fn open_permits_everything() {
        let rules = EgressRules::new(Egress::Open, Vec::new());
        assert!(rules.permits(&Target { host: "any.test".into(), port: 22 }));
    }
}
