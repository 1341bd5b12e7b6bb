//! What is asked, and what is answered.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::percent_decode;

use super::verdict::Verdict;

/// One request of an agent, or one connection that is to be passed through undecrypted.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The agent identity: `agent://local/codex`.
    pub agent: &'a str,
    /// The user it acts for.
    pub user: &'a str,
    /// The profile whose connections it uses.
    pub profile: &'a str,
    /// The run's id.
    pub run: &'a str,
    /// The request's method as it is sent (methods are case-sensitive, RFC 9110 §9.1); `None`: a
    /// connection without one.
    pub method: Option<&'a str>,
    /// Host name in lower case or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Path without the query, as [`crate::request_path::canonical`] gives it; empty for a connection.
    pub path: &'a str,
    /// Names of the query's parameters, decoded.
    pub query_keys: &'a [String],
    /// What it is asked of.
    pub resource: Resource<'a>,
    /// When.
    pub time: Timestamp,
    /// Where, for rules with hours and days.
    pub zone: &'a TimeZone,
}

/// What a request is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// A connection.
    Connection {
        /// Its provider: `github`.
        provider: &'a str,
        /// Its full name: `github/work`.
        connection: &'a str,
    },
    /// A host that no provider claims: [`Query::host`].
    Host,
}

/// A verdict, and which statement it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Id of the statement that decided, [`super::DEFAULT_ID`] where none matched and the default is
    /// not to allow; `None`: allowed by default.
    pub policy: Option<Arc<str>>,
    /// Why, as the statement's author put it, or why it could not be evaluated.
    pub reason: Option<Arc<str>>,
    /// How long to wait for a person, in seconds, where the statement says so.
    pub ask_seconds: Option<u32>,
}

/// The names of a query's parameters, decoded. Some servers end them at `;` as well.
#[must_use]
pub fn query_keys(query: &str) -> Vec<String> {
    let mut keys: Vec<String> = query
        .split(['&', ';'])
        .filter_map(|pair| pair.split('=').next().filter(|key| !key.is_empty()))
        .map(|key| {
            let key = key.replace('+', " ");
            percent_decode(key.as_bytes()).decode_utf8_lossy().into_owned()
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_parameters_are_decoded_and_known_once() {
        assert_eq!(query_keys("b=1&a=2&b&%66orce=1;x=&a+b"), ["a", "a b", "b", "force", "x"]);
        assert!(query_keys("").is_empty());
    }
}
