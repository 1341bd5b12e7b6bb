//! The rules of one run.

use std::fmt::Write as _;

/// Translation rules that [`Plan::render`] writes.
pub(crate) const TRANSLATIONS: usize = 2;
/// Filter rules that it writes at least.
pub(crate) const FILTERS: usize = 4;

/// Whose connections go where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The group whose connections are redirected.
    pub(crate) gid: u32,
    /// The port of 127.0.0.1 that they are redirected to.
    pub(crate) port: u16,
    /// Nothing else of the group gets out, but for DNS.
    pub(crate) strict: bool,
}

impl Plan {
    /// The anchor's text (pf.conf(5)).
    ///
    /// Translation rules come first, or pfctl(8) takes none of it, and they cannot ask for a group: so a
    /// filter rule of the group's sends packets to `lo0`, and whatever enters there for port 443 and is
    /// not for this machine can only be one of those. Each filter rule is `quick`, since a VPN's anchor may
    /// come later. IPv6 and QUIC are refused at once, and clients go on with TCP over IPv4.
    pub(crate) fn render(&self) -> String {
        let Self { gid, port, strict } = self;
        let mut rules = format!(
            "no rdr on lo0 inet proto tcp from any to self port 443\n\
             rdr on lo0 inet proto tcp from any to any port 443 -> 127.0.0.1 port {port}\n\
             pass in quick on lo0 reply-to (lo0 127.0.0.1) inet proto tcp from any to 127.0.0.1 \
             port {port} flags S/SA keep state\n\
             pass out quick on ! lo0 route-to (lo0 127.0.0.1) inet proto tcp from any to any \
             port 443 group {gid} flags S/SA keep state\n\
             block return out quick on ! lo0 inet6 proto tcp from any to any port 443 group {gid}\n\
             block return out quick on ! lo0 proto udp from any to any port 443 group {gid}\n"
        );
        if *strict {
            // Writing to a string cannot fail.
            let _ = write!(
                rules,
                "pass out quick on ! lo0 proto {{ tcp, udp }} from any to any port 53 group {gid} \
                 keep state\n\
                 block return out quick on ! lo0 proto {{ tcp, udp }} from any to any group {gid}\n"
            );
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(strict: bool) -> String {
        Plan { gid: 1_627_394_759, port: 49_152, strict }.render()
    }

    #[test]
    fn the_rules_are_the_golden_ones() {
        assert_eq!(rendered(false), include_str!("golden/default.conf"));
        assert_eq!(rendered(true), include_str!("golden/strict.conf"));
    }

    #[test]
    fn translations_come_before_filters_and_are_counted() {
        for strict in [false, true] {
            let rules = rendered(strict);
            let translates = |line: &&str| line.starts_with("rdr ") || line.starts_with("no rdr ");
            let (first, rest): (Vec<_>, Vec<_>) =
                rules.lines().enumerate().partition(|(_, line)| translates(line));
            assert_eq!(first.len(), TRANSLATIONS);
            assert!(first.iter().all(|(at, _)| *at < TRANSLATIONS));
            assert!(rest.len() >= FILTERS);
        }
    }

    #[test]
    fn every_filter_rule_is_quick_and_what_goes_out_is_the_groups() {
        let rules = rendered(true);
        for rule in rules.lines().skip(TRANSLATIONS) {
            assert!(rule.contains(" quick "), "{rule}");
            assert_eq!(rule.contains(" out "), rule.contains(" group 1627394759"), "{rule}");
        }
    }

    #[test]
    fn no_rule_asks_for_what_translation_rules_or_lo0_cannot_tell() {
        for rule in rendered(true).lines().take(TRANSLATIONS) {
            assert!(!rule.contains("group") && !rule.contains("tagged"), "{rule}");
        }
    }
}
