//! What a token endpoint gives.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;

use super::{
    Error, Server,
    answer::{Answer, Members},
};

/// Longest life that is believed: ten years, in seconds.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 60 * 60;
/// Token types whose requests are signed: the token alone is of no use.
const SIGNED: [&str; 3] = ["mac", "dpop", "pop"];

/// The tokens of one connection.
#[derive(Clone)]
pub struct TokenSet {
    /// What requests carry.
    pub access_token: SecretString,
    /// What gets the next access token, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// When the access token expires, as far as the provider says.
    pub expires_at: Option<Timestamp>,
    /// Scopes granted; those asked for where the answer names none (RFC 6749 §5.1).
    pub scopes: Vec<String>,
    /// What else of the answer the definition wants for the connection's settings; no token.
    pub settings: Value,
}

impl std::fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSet").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl TokenSet {
    /// From a token response (RFC 6749 §5.1) to a request for the scopes `asked`.
    pub(super) fn read(
        answer: &Answer,
        server: &Server,
        asked: &[String],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let members = answer.members()?;
        let member = |name| find(&members, &server.token_response, name);
        let access_token = match member("access_token") {
            Some(Value::String(token)) => {
                self::token(token).ok_or_else(|| answer.problem("an unusable access token"))?
            }
            _ => return Err(answer.problem("no access token")),
        };
        let refresh_token = match member("refresh_token") {
            Some(Value::String(token)) if !token.is_empty() => Some(
                self::token(token).ok_or_else(|| answer.problem("an unusable refresh token"))?,
            ),
            _ => None,
        };
        let kind = member("token_type").and_then(Value::as_str).unwrap_or("Bearer");
        if SIGNED.iter().any(|signed| kind.eq_ignore_ascii_case(signed)) {
            return Err(answer.problem("a token that is no bearer token"));
        }
        let wanted = server.settings_from_response.values().filter_map(|path| {
            let name = path.split('.').next()?;
            Some((name.to_owned(), members.get(name)?.clone()))
        });
        let settings = Value::Object(wanted.collect());
        let life = member("expires_in").and_then(seconds).or(server.expires_in);
        Ok(Self {
            access_token,
            refresh_token,
            expires_at: life.and_then(|life| after(now, life.min(LONGEST_LIFE))),
            scopes: granted(member("scope"), server, asked),
            settings,
        })
    }
}

/// `now` and so many seconds.
pub(super) fn after(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    now.checked_add(SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok()
}

/// A token is visible ASCII (RFC 6749, appendix A.12): it goes into headers.
fn token(text: &str) -> Option<SecretString> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    fits.then(|| SecretString::from(text))
}

/// A member, where the definition says it is. One that is not there is not looked for elsewhere: at
/// the top may be somebody else's.
fn find<'a>(
    members: &'a Members,
    paths: &BTreeMap<String, String>,
    name: &str,
) -> Option<&'a Value> {
    let mut names = paths.get(name).map_or(name, String::as_str).split('.');
    let first = members.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// Seconds, as a number or in a string. Nothing that has no future is a life: some write 0 for a token
/// that does not expire.
pub(super) fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value.as_str() {
        Some(text) => text.trim().parse().ok()?,
        None => value.as_f64()?,
    };
    if !seconds.is_finite() || seconds < 1.0 {
        return None;
    }
    // Beyond a `u64` the conversion saturates, and callers have limits of their own.
    Some(seconds as u64)
}

/// The scopes of an answer: a list, or text with the provider's separator, a space, or (GitHub) a comma
/// between them.
fn granted(scope: Option<&Value>, server: &Server, asked: &[String]) -> Vec<String> {
    let scopes: Vec<String> = match scope {
        Some(Value::String(text)) => text
            .split(&server.scope_separator)
            .flat_map(str::split_whitespace)
            .flat_map(|scope| match asked.iter().any(|asked| asked == scope) {
                true => vec![scope],
                false => scope.split(',').collect(),
            })
            .map(ToOwned::to_owned)
            .collect(),
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let scopes: Vec<String> = scopes.into_iter().filter(|scope| !scope.is_empty()).collect();
    if scopes.is_empty() { asked.to_vec() } else { scopes }
}
