//! What a statement says, and what is decided.

use serde::{Deserialize, Serialize};

/// What is decided. The greater one is the stricter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// It may pass once a person has said so.
    Ask,
    /// It may not pass.
    Deny,
}

impl Verdict {
    /// As `policy.toml` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "allow" => Ok(Self::Allow),
            "ask" => Ok(Self::Ask),
            "deny" => Ok(Self::Deny),
            _ => Err("expected `allow`, `deny` or `ask`".to_owned()),
        }
    }
}

/// What a rule or Cedar policy says about what it matches. The greater one beats the smaller one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleVerdict {
    /// It may pass.
    Allow,
    /// A person is to be asked.
    Ask,
    /// It may pass, and nobody is asked: a person has been.
    Approve,
    /// It may not pass.
    Deny,
}

impl RuleVerdict {
    /// As `policy.toml` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "allow" => Ok(Self::Allow),
            "ask" => Ok(Self::Ask),
            "approve" => Ok(Self::Approve),
            "deny" => Ok(Self::Deny),
            _ => Err("expected `allow`, `deny`, `ask` or `approve`".to_owned()),
        }
    }

    /// What is decided where it has the last word.
    pub(super) fn decides(self) -> Verdict {
        match self {
            Self::Allow | Self::Approve => Verdict::Allow,
            Self::Ask => Verdict::Ask,
            Self::Deny => Verdict::Deny,
        }
    }

    /// Does it stand in the way of what it matches? In Cedar's language it is a `forbid` then.
    pub(super) fn forbids(self) -> bool {
        matches!(self, Self::Ask | Self::Deny)
    }
}
