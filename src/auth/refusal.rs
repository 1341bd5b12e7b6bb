//! What an error response says, and which of it may be shown.

use std::time::Duration;

use base64::Engine;
use http::{HeaderMap, header::RETRY_AFTER};
use oauth2::url::form_urlencoded;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

/// Longest `error` that is shown, in characters.
const CODE: usize = 64;
/// Longest `error_description` that is shown, in characters.
const DESCRIPTION: usize = 200;
/// Longest wait that a server can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// What stands where a secret stood.
const REMOVED: &str = "[removed]";

/// An error as a server or a callback says it, unchecked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) code: &'a str,
    pub(super) description: Option<&'a str>,
}

/// The error in an answer's members, whatever the status was: GitHub and Slack say it with 200.
pub(super) fn find(members: &Map<String, Value>) -> Option<Said<'_>> {
    let text =
        |value: Option<&'_ Value>| value.and_then(Value::as_str).is_some_and(|t| !t.is_empty());
    let description = members.get("error_description").and_then(Value::as_str);
    match members.get("error") {
        Some(Value::String(code)) if !code.is_empty() => Some(Said { code, description }),
        Some(Value::Object(inner)) => {
            let code = ["code", "type", "status"].into_iter().find(|name| text(inner.get(*name)));
            let code = code.and_then(|name| inner.get(name)).and_then(Value::as_str);
            let message = inner.get("message").and_then(Value::as_str);
            Some(Said { code: code.unwrap_or("error"), description: description.or(message) })
        }
        Some(Value::Bool(true)) => Some(Said { code: "error", description }),
        _ if members.get("ok") == Some(&Value::Bool(false)) => {
            Some(Said { code: "error", description })
        }
        _ => None,
    }
}

/// `code` if it has the characters that RFC 6749 §5.2 gives an error code, fits, and holds no secret.
pub(super) fn code(code: &str, sent: &[SecretString]) -> Option<String> {
    let fits = code.len() <= CODE
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/ ".contains(&byte));
    (fits && clean(code, sent, CODE) == code).then(|| code.to_owned())
}

/// A description that can be shown: printable ASCII, short, without what was sent.
pub(super) fn description(text: Option<&str>, sent: &[SecretString]) -> Option<String> {
    text.map(|text| clean(text, sent, DESCRIPTION)).filter(|text| !text.is_empty())
}

/// Text of the other side's made harmless: no control characters, none of the secrets in plain, form
/// or Base64 spelling, at most `longest` characters.
pub(super) fn clean(text: &str, sent: &[SecretString], longest: usize) -> String {
    let mut clean = printable(text);
    let mut needles: Vec<String> = Vec::new();
    for secret in sent.iter().map(ExposeSecret::expose_secret) {
        needles.push(printable(secret));
        needles.push(form_urlencoded::byte_serialize(secret.as_bytes()).collect());
        needles.push(base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret));
    }
    // The longest first: one secret may be part of another.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    for needle in needles.iter().filter(|needle| !needle.is_empty()) {
        clean = without(&clean, needle);
    }
    clean.chars().take(longest).collect::<String>().trim().to_owned()
}

/// ASCII `text` without `needle`, in whatever case: a host comes in lower case.
fn without(text: &str, needle: &str) -> String {
    let needle = needle.to_ascii_lowercase();
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, found)) =
        rest.to_ascii_lowercase().find(&needle).and_then(|at| rest.split_at_checked(at))
    {
        kept.push_str(before);
        kept.push_str(REMOVED);
        rest = found.split_at_checked(needle.len()).map_or("", |(_, rest)| rest);
    }
    kept.push_str(rest);
    kept
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| matches!(character, ' '..='~')).collect()
}

/// `Retry-After` in seconds; its form as a date is not read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}
