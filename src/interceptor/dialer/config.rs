//! What a run was asked for, as far as dialling goes.

use std::net::{IpAddr, SocketAddr};

use rustls_pki_types::CertificateDer;

use super::{Sockets, UpstreamProxy};
use crate::gate::Target;

/// How a [`Dialer`](super::Dialer) reaches things.
#[derive(Debug, Default)]
pub struct DialConfig {
    /// Addresses to dial in place of resolving. The address guard does not apply to them: a person
    /// wrote them down. The first that fits counts.
    pub resolve: Vec<ResolveRule>,
    /// Targets the address guard does not apply to.
    pub allow: Vec<AllowRule>,
    /// Roots beside the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The user's own forward proxy.
    pub proxy: UpstreamProxy,
    /// Where its sockets come from.
    pub sockets: Sockets,
}

/// `HOST:PORT:ADDR[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveRule {
    /// Name, or `*` for any.
    pub host: String,
    /// Port the agent dialled.
    pub port: u16,
    /// Address to dial.
    pub address: IpAddr,
    /// Port to dial; none: the same.
    pub to_port: Option<u16>,
}

/// `HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    /// Name, `*.suffix`, IP literal or `*`.
    pub host: String,
    /// Port; none: any.
    pub port: Option<u16>,
}

impl AllowRule {
    /// Does it name this target? `*.suffix` matches by label, never the suffix itself.
    pub fn matches(&self, target: &Target) -> bool {
        if self.port.is_some_and(|port| port != target.port) {
            return false;
        }
        if self.host == "*" {
            return true;
        }
        if let Some(suffix) = self.host.strip_prefix('*').filter(|rest| rest.starts_with('.')) {
            return ends_with(&target.host, suffix);
        }
        self.host.eq_ignore_ascii_case(&target.host)
    }
}

/// Does `host` end with `suffix`, without being it?
pub(super) fn ends_with(host: &str, suffix: &str) -> bool {
    host.len().checked_sub(suffix.len()).filter(|start| *start > 0).is_some_and(|start| {
        host.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
    })
}

impl DialConfig {
    /// The address a rule names for `target`.
    pub(super) fn rule_for(&self, target: &Target) -> Option<SocketAddr> {
        let fits = |rule: &&ResolveRule| {
            rule.port == target.port
                && (rule.host == "*" || rule.host.eq_ignore_ascii_case(&target.host))
        };
        let rule = self.resolve.iter().find(fits)?;
        Some(SocketAddr::new(rule.address, rule.to_port.unwrap_or(target.port)))
    }

    /// Is `target` exempt from the address guard?
    pub(super) fn allows(&self, target: &Target) -> bool {
        self.allow.iter().any(|rule| rule.matches(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.into(), port }
    }

    fn allow(host: &str, port: Option<u16>) -> AllowRule {
        AllowRule { host: host.into(), port }
    }

    #[test]
    fn a_suffix_rule_matches_names_below_it_only() {
        let rule = allow("*.corp.test", None);

        assert!(rule.matches(&target("git.corp.test", 443)));
        assert!(!rule.matches(&target("corp.test", 443)));
        assert!(!rule.matches(&target("evilcorp.test", 443)));
        assert!(!rule.matches(&target(".corp.test", 443)));
    }

    #[test]
    fn a_rule_with_a_port_matches_that_port_only() {
        let rule = allow("db.test", Some(5432));

        assert!(rule.matches(&target("DB.test", 5432)));
        assert!(!rule.matches(&target("db.test", 443)));
    }

    #[test]
    fn a_resolve_rule_keeps_the_port_unless_it_names_one() {
        let rule = |to_port| ResolveRule {
            host: "a.test".into(),
            port: 443,
            address: [127, 0, 0, 1].into(),
            to_port,
        };
        let dial = |to_port| {
            let config = DialConfig { resolve: vec![rule(to_port)], ..DialConfig::default() };
            config.rule_for(&target("a.test", 443))
        };

        assert_eq!(dial(None), Some(([127, 0, 0, 1], 443).into()));
        assert_eq!(dial(Some(8443)), Some(([127, 0, 0, 1], 8443).into()));
    }
}
