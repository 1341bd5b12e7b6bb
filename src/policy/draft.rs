//! A rule that is still to be written: what a person said "always" to.

use std::fmt::Write as _;

use super::{action, schema::agent_name, verdict::RuleVerdict};

/// What a new rule is to say. Whatever is `None` it does not ask.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it says.
    pub verdict: RuleVerdict,
    /// Identity or name of an agent.
    pub agent: Option<&'a str>,
    /// A profile.
    pub profile: Option<&'a str>,
    /// `provider/connection`.
    pub connection: Option<&'a str>,
    /// Name or address of a host.
    pub host: Option<&'a str>,
    /// TCP port.
    pub port: Option<u16>,
    /// A method as it is sent, or `connect`.
    pub action: Option<&'a str>,
    /// A path in its canonical form.
    pub path: Option<&'a str>,
    /// Why, for those who read the file later.
    pub reason: Option<&'a str>,
}

impl Draft<'_> {
    /// A `[[rule]]` for `policy.toml`, or `None` if it would say more than this: a `*` in a name stands
    /// for more than itself, and so does a method that policies have no name of its own for.
    #[must_use]
    pub fn to_toml(&self) -> Option<String> {
        if self.action.is_some_and(|action| !action::is_single(action)) {
            return None;
        }
        let names = [self.agent, self.profile, self.connection, self.host, self.path];
        if names.into_iter().flatten().any(|name| name.contains('*')) {
            return None;
        }
        let mut text = format!("[[rule]]\nverdict = \"{}\"\n", self.verdict.as_str());
        let string = |text: Option<&str>| text.map(toml::Value::from);
        for (key, value) in [
            ("agent", string(self.agent.map(agent_name))),
            ("profile", string(self.profile)),
            ("connection", string(self.connection)),
            ("host", string(self.host)),
            ("port", self.port.map(|port| i64::from(port).into())),
            ("action", string(self.action)),
            ("path", string(self.path)),
            ("reason", string(self.reason)),
        ] {
            let Some(value) = value else { continue };
            let _: std::fmt::Result = writeln!(text, "{key} = {value}");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::rules;

    const DRAFT: Draft<'_> = Draft {
        verdict: RuleVerdict::Approve,
        agent: Some("agent://local/codex"),
        profile: None,
        connection: Some("github/work"),
        host: None,
        port: Some(443),
        action: Some("POST"),
        path: Some("/repos/a%20b"),
        reason: Some("said \"yes\"\nto it"),
    };

    #[test]
    fn what_is_drafted_is_a_rule() {
        let policy = rules(&DRAFT.to_toml().unwrap());
        let [rule] = policy.statements() else { panic!("{policy:?}") };
        assert_eq!(rule.verdict(), RuleVerdict::Approve);
        assert_eq!(
            rule.summary(),
            "agent codex, to POST, connection github/work, port 443, path /repos/a%20b"
        );
        assert_eq!(rule.reason(), Some("said \"yes\"\nto it"));
    }

    #[test]
    fn a_star_that_would_widen_the_rule_is_not_written() {
        assert_eq!(Draft { path: Some("/a*"), ..DRAFT }.to_toml(), None);
    }

    #[test]
    fn a_method_that_shares_its_name_is_not_written() {
        for method in ["PURGE", "OTHER", "get", "write"] {
            assert_eq!(Draft { action: Some(method), ..DRAFT }.to_toml(), None, "{method}");
        }
    }
}
