//! A rule that is still to be written: what a person said "always" to.

use std::fmt::Write as _;

use super::query::Verdict;

/// What a new rule is to say. Whatever is `None` it does not ask.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it says.
    pub verdict: Verdict,
    /// Identity or name of an agent.
    pub agent: Option<&'a str>,
    /// `provider/connection`.
    pub connection: Option<&'a str>,
    /// Name or address of a host.
    pub host: Option<&'a str>,
    /// A method, `read`, `write` or `connect`.
    pub action: Option<&'a str>,
    /// A path in its canonical form.
    pub path: Option<&'a str>,
    /// Why, for those who read the file later.
    pub reason: Option<&'a str>,
}

impl Draft<'_> {
    /// A `[[rule]]` for `policy.toml`, or `None` if a name has a `*`, which would stand for more than
    /// itself.
    #[must_use]
    pub fn to_toml(&self) -> Option<String> {
        let mut text = format!("[[rule]]\nverdict = \"{}\"\n", self.verdict.as_str());
        for (key, value) in [
            ("agent", self.agent),
            ("connection", self.connection),
            ("host", self.host),
            ("action", self.action),
            ("path", self.path),
            ("reason", self.reason),
        ] {
            let Some(value) = value else { continue };
            if key != "reason" && value.contains('*') {
                return None;
            }
            let value = toml::Value::String(value.to_owned());
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
        verdict: Verdict::Allow,
        agent: Some("agent://local/codex"),
        connection: Some("github/work"),
        host: None,
        action: Some("POST"),
        path: Some("/repos/a%20b"),
        reason: Some("said \"yes\"\nto it"),
    };

    #[test]
    fn what_is_drafted_is_a_rule() {
        let policy = rules(&DRAFT.to_toml().unwrap());
        let [rule] = policy.statements() else { panic!("{policy:?}") };
        assert_eq!(rule.verdict(), Verdict::Allow);
        assert_eq!(rule.reason(), Some("said \"yes\"\nto it"));
    }

    #[test]
    fn a_star_that_would_widen_the_rule_is_not_written() {
        assert_eq!(Draft { path: Some("/a*"), ..DRAFT }.to_toml(), None);
    }
}
