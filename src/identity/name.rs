//! What an agent is called.

use std::{fmt, str::FromStr, sync::Arc};

use super::Error;

/// What every agent's address begins with: agents of this machine are the only ones there are.
const ADDRESS: &str = "agent://local/";
/// Longest name, in bytes.
const MAX: usize = 64;
/// What an agent is called whose command leaves nothing to call it by.
const NAMELESS: &str = "agent";

/// An agent's name: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit. Safe in
/// a path, an address and a log line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(Arc<str>);

impl AgentName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The agent's address, `agent://local/NAME`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{ADDRESS}{}", self.0)
    }

    /// The name in an address.
    ///
    /// # Errors
    /// [`Error::Name`] if it is no agent's address.
    pub fn from_address(address: &str) -> Result<Self, Error> {
        let name = address.strip_prefix(ADDRESS);
        name.ok_or_else(|| Error::Name { name: address.to_owned() })?.parse()
    }

    /// What an agent started by `command` is called: the file name in lower case, with `-` for
    /// whatever else is in it.
    #[must_use]
    pub fn from_command(command: &str) -> Self {
        let file = command.rsplit('/').next().unwrap_or_default();
        let plain = file.chars().map(|character| match character.to_ascii_lowercase() {
            known @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => known,
            _ => '-',
        });
        let name: String =
            plain.skip_while(|first| !first.is_ascii_alphanumeric()).take(MAX).collect();
        Self(if name.is_empty() { NAMELESS.into() } else { name.into() })
    }
}

impl FromStr for AgentName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let first = name.bytes().next();
        let good = name.len() <= MAX
            && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
            });
        if good { Ok(Self(name.into())) } else { Err(Error::Name { name: name.to_owned() }) }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_lower_case_letters_digits_and_a_few_signs() {
        for name in ["a", "claude", "gpt-4.1_x", "0", &"a".repeat(64)] {
            assert_eq!(name.parse::<AgentName>().unwrap().as_str(), name);
        }
        for name in ["", "A", "a b", "a/b", "..", ".a", "-a", "é", "a\n", &"a".repeat(65)] {
            assert!(name.parse::<AgentName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_agent_is_called_after_its_command() {
        let name = |command: &str| AgentName::from_command(command).to_string();
        assert_eq!(name("/usr/bin/Claude Code"), "claude-code");
        assert_eq!(name("python3.12"), "python3.12");
        assert_eq!(name("./.hidden"), "hidden");
        assert_eq!(name("Ünder"), "nder");
        for command in ["", "/", "--", "é"] {
            assert_eq!(name(command), "agent", "{command:?}");
        }
    }

    #[test]
    fn whatever_the_command_its_name_is_one() {
        for command in ["x".repeat(1000), "💥".repeat(100), "a\0b\u{7f}".to_owned()] {
            let name = AgentName::from_command(&command).to_string();
            assert!(name.parse::<AgentName>().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn an_address_holds_the_name() {
        let name: AgentName = "claude".parse().unwrap();
        assert_eq!(name.address(), "agent://local/claude");
        assert_eq!(AgentName::from_address("agent://local/claude").unwrap(), name);
        for address in ["claude", "agent://remote/claude", "agent://local/", "agent://local/a/b"] {
            assert!(AgentName::from_address(address).is_err(), "{address}");
        }
    }
}
