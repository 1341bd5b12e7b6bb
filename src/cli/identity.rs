//! Verbs about agent identities and profiles, and the flags that name them.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::identity::{AgentName, MAX_LIFETIME};

/// A view of an identity in JSON.
const IDENTITY_JSON: &str = "JSON: {v, identity: {name, agent, did, default, created_at}}";

/// Arguments of `identity`.
#[derive(Clone, Debug, Args)]
pub struct IdentityArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: IdentityCommand,
}

/// Verbs of `identity`.
#[derive(Clone, Debug, Subcommand)]
pub enum IdentityCommand {
    /// Make an identity
    #[command(after_help = IDENTITY_JSON)]
    Create {
        /// Its name
        #[arg(value_name = "NAME", value_parser = agent_name)]
        name: String,
    },
    /// Show all identities of the profile
    #[command(after_help = "JSON: {v, identities: [{name, agent, did, default, created_at}]}")]
    List,
    /// Show one identity
    #[command(after_help = IDENTITY_JSON)]
    Show {
        /// Its name; the one in use if none is given
        #[arg(value_name = "NAME", value_parser = agent_name)]
        name: Option<String>,
    },
    /// Choose the identity of runs that name none
    #[command(after_help = IDENTITY_JSON)]
    Use {
        /// Its name
        #[arg(value_name = "NAME", value_parser = agent_name)]
        name: String,
    },
    /// Write a fresh token that says on whose behalf an agent acts
    #[command(
        after_help = "Whoever has the token can say to act for you until it expires: give it to tools \
        that ask for it, and keep it out of logs. Making one is on record in the audit log.\n\n\
        JSON: {v, token, agent, did, user, id, issued_at, expires_at}"
    )]
    Token {
        /// Whose; the identity in use if none is given
        #[arg(value_name = "NAME", value_parser = agent_name)]
        name: Option<String>,
        /// How long it is good for, such as 90s, 15m or 1h (the most)
        #[arg(long, value_name = "TIME", value_parser = lifetime, default_value = "15m")]
        ttl: Duration,
    },
    /// Verify a token and show what it says
    #[command(after_help = "Exit code 1 if it does not verify, with the reason.\n\n\
        JSON: {v, verified, agent, did, user, id, issued_at, expires_at}")]
    Verify {
        /// The token; `-` reads it from standard input
        #[arg(value_name = "TOKEN")]
        token: String,
    },
}

/// Arguments of `profile`.
#[derive(Clone, Debug, Args)]
pub struct ProfileArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProfileCommand,
}

/// Verbs of `profile`.
#[derive(Clone, Debug, Subcommand)]
pub enum ProfileCommand {
    /// Make a profile: a vault and identities of its own
    #[command(after_help = "JSON: {v, profile: {name, in_use}}")]
    Create {
        /// Its name
        name: String,
    },
    /// Show all profiles
    #[command(after_help = "JSON: {v, profiles: [{name, in_use}]}")]
    List,
    /// Choose the profile that is meant where none is named
    #[command(
        after_help = "Before it count, in this order: --profile, AUTHSOME_PROFILE, `profile` in \
        config.toml.\n\nJSON: {v, profile: {name, in_use}}"
    )]
    Use {
        /// Its name
        name: String,
    },
    /// Delete a profile with its connections and identities
    #[command(after_help = "Nothing is revoked at the providers: authsome revoke does that.\n\n\
        JSON: {v, deleted: NAME}")]
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, visible_alias = "force")]
        yes: bool,
    },
}

/// An agent's name.
pub(super) fn agent_name(text: &str) -> Result<String, String> {
    let name: Result<AgentName, _> = text.parse();
    name.map(|name| name.to_string())
        .map_err(|error| error.hint().unwrap_or("that is no agent's name").to_owned())
}

/// `90s`, `15m`, `1h`, or seconds.
fn lifetime(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a time such as 90s or 15m, at most {}m", most());
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    let time = Duration::from_secs(seconds.ok_or_else(expected)?);
    if time.is_zero() || time > MAX_LIFETIME { Err(expected()) } else { Ok(time) }
}

fn most() -> u64 {
    MAX_LIFETIME.as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::LIFETIME;

    #[test]
    fn a_lifetime_has_a_unit_or_is_in_seconds() {
        assert_eq!(lifetime("90"), Ok(Duration::from_secs(90)));
        assert_eq!(lifetime("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(lifetime("15m"), Ok(LIFETIME));
        assert_eq!(lifetime("1h"), Ok(MAX_LIFETIME));
    }

    #[test]
    fn a_lifetime_that_no_token_may_have_is_refused() {
        for text in ["", "0", "0s", "61m", "2h", "-1", "1d", "1.5h", "m", "99999999999999999999h"] {
            assert!(lifetime(text).is_err(), "{text:?}");
        }
    }
}
