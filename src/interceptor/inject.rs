//! Puts a credential into a request head, and sees which placeholder an agent used.
//!
//! Both are pure: a head goes in, a head or an answer comes out. [`apply`] is one of the few places
//! where a secret is opened; it goes into values that are marked sensitive and nowhere else. A change
//! that cannot be made whole is an error, and the caller sends nothing: a request must not travel
//! with half a credential.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{self, HeaderName},
    request::Parts,
    uri::PathAndQuery,
};
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use secrecy::ExposeSecret;

use crate::gate::Change;

/// Everything but RFC 3986's unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// As [`COMPONENT`], but leaving what a path segment may hold plain (`pchar`), as servers that take a
/// token in the path compare it undecoded.
const SEGMENT: &AsciiSet = &COMPONENT
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// What clients send as Basic credentials, some without the padding.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a credential could not be put into a request. Never holds the value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name or value has a character that a cookie cannot carry (RFC 6265 §4.1.1).
    #[error("the credential cannot be sent as the cookie {name}")]
    Cookie {
        /// Cookie name.
        name: String,
    },
    /// The value would make another path than the one that was asked about.
    #[error("the credential cannot be sent in a path segment after {prefix}")]
    PathSegment {
        /// The change's prefix.
        prefix: String,
    },
    /// The request's target has no path and query to change: `CONNECT`.
    #[error("the request target has no path or query")]
    NoPath,
    /// The changed target is not a URI, which is to say too long.
    #[error("the request target with the credential is not a valid URI")]
    Target(#[source] http::Error),
}

/// Makes `changes` to a request head, in order.
///
/// # Errors
/// If one of them cannot be made. The head is then half changed and must not be sent.
pub fn apply(parts: &mut Parts, changes: &[Change]) -> Result<(), Error> {
    for change in changes {
        match change {
            Change::RemoveHeader(name) => {
                parts.headers.remove(name);
            }
            Change::SetHeader(name, value) => set_header(&mut parts.headers, name, value.clone()),
            Change::SetQuery { name, value } => {
                let encoded = utf8_percent_encode(value.expose_secret(), COMPONENT);
                let (path, query) = target(&parts.uri)?;
                let target = set_query(path, query, name, &encoded.to_string());
                parts.uri = with_target(&parts.uri, target)?;
            }
            Change::SetCookie { name, value } => {
                let cookie = set_cookie(&parts.headers, name, value.expose_secret())?;
                set_header(&mut parts.headers, &header::COOKIE, cookie);
            }
            Change::SetPathSegment { prefix, value } => {
                let (path, query) = target(&parts.uri)?;
                if let Some(target) = set_segment(path, query, prefix, value.expose_secret())? {
                    parts.uri = with_target(&parts.uri, target)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether an agent put `placeholder` anywhere into this head where a client library puts a
/// credential: a header value (inside Basic credentials too, RFC 7617), a cookie, a query parameter or
/// the path, percent-encoded or not. An empty placeholder is nowhere.
pub fn contains(head: &Parts, placeholder: &str) -> bool {
    if placeholder.is_empty() {
        return false;
    }
    let finder = memmem::Finder::new(placeholder);
    // Not as the beginning of a longer one, which is another connection's.
    let ends = |rest: &[u8]| !rest.first().is_some_and(u8::is_ascii_alphanumeric);
    let holds = |bytes: &[u8]| {
        finder.find_iter(bytes).any(|at| bytes.get(at + placeholder.len()..).is_some_and(ends))
    };
    let holds_decoded = |bytes: &[u8]| match Cow::from(percent_decode(bytes)) {
        Cow::Borrowed(_) => false,
        Cow::Owned(decoded) => holds(&decoded),
    };
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str).as_bytes();
    holds(target)
        || holds_decoded(target)
        || head.headers.values().any(|value| {
            let value = value.as_bytes();
            holds(value) || basic_credentials(value).is_some_and(|decoded| holds(&decoded))
        })
        || head.headers.get_all(header::COOKIE).iter().any(|c| holds_decoded(c.as_bytes()))
}

/// `user:password` of a Basic value, whatever the header is called.
pub(super) fn basic_credentials(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    BASIC.decode(rest.trim_ascii()).ok()
}

fn set_header(headers: &mut HeaderMap, name: &HeaderName, mut value: HeaderValue) {
    value.set_sensitive(true);
    headers.insert(name, value);
}

/// The path and the query of a target in origin or absolute form.
fn target(uri: &Uri) -> Result<(&str, Option<&str>), Error> {
    uri.path_and_query().map(|pq| (pq.path(), pq.query())).ok_or(Error::NoPath)
}

fn with_target(uri: &Uri, target: String) -> Result<Uri, Error> {
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target))
        .map_err(|error| Error::Target(error.into()))?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).map_err(|error| Error::Target(error.into()))
}

/// Drops every parameter that a server would read as `name` and appends one. What stays, stays byte
/// for byte: servers sign and cache by the exact query.
fn set_query(path: &str, query: Option<&str>, name: &str, encoded_value: &str) -> String {
    let mut target = String::from(path);
    let mut separator = '?';
    let kept = query.into_iter().flat_map(|query| query.split('&')).filter(|p| !is_named(p, name));
    for parameter in kept {
        target.push(separator);
        target.push_str(parameter);
        separator = '&';
    }
    target.push(separator);
    target.extend(utf8_percent_encode(name, COMPONENT));
    target.push('=');
    target.push_str(encoded_value);
    target
}

/// Whether a parameter's name, decoded as forms are (`+` is a space), is `name`.
fn is_named(parameter: &str, name: &str) -> bool {
    let spelled = parameter.split_once('=').map_or(parameter, |(spelled, _)| spelled);
    if spelled == name {
        return true;
    }
    let unplussed = spelled.replace('+', " ");
    percent_decode(unplussed.as_bytes()).eq(name.bytes())
}

/// All cookies of all `Cookie` headers but those called `name`, then that one: a single header, as
/// RFC 6265 §5.4 wants it.
fn set_cookie(headers: &HeaderMap, name: &str, value: &str) -> Result<HeaderValue, Error> {
    let error = || Error::Cookie { name: name.to_owned() };
    let good_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'=' | b';' | b','));
    let good_value = value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b','));
    if !good_name || !good_value {
        return Err(error());
    }
    let mut cookies = Vec::new();
    for header in headers.get_all(header::COOKIE) {
        for cookie in header.as_bytes().split(|&b| b == b';').map(<[u8]>::trim_ascii) {
            let spelled = cookie.split(|&b| b == b'=').next().unwrap_or_default();
            if !cookie.is_empty() && spelled.trim_ascii() != name.as_bytes() {
                cookies.extend_from_slice(cookie);
                cookies.extend_from_slice(b"; ");
            }
        }
    }
    cookies.extend_from_slice(name.as_bytes());
    cookies.push(b'=');
    cookies.extend_from_slice(value.as_bytes());
    HeaderValue::from_maybe_shared(Bytes::from(cookies)).map_err(|_| error())
}

/// The target with the rest of the segment after `prefix` replaced; none if the path does not begin
/// with it.
fn set_segment(
    path: &str,
    query: Option<&str>,
    prefix: &str,
    value: &str,
) -> Result<Option<String>, Error> {
    let Some(rest) = path.strip_prefix(prefix) else { return Ok(None) };
    // An empty segment, or one of dots, is a step in the path rather than a name in it.
    let whole_segment = prefix.rsplit('/').next().unwrap_or_default().to_owned() + value;
    if value.is_empty() || matches!(whole_segment.as_str(), "." | "..") {
        return Err(Error::PathSegment { prefix: prefix.to_owned() });
    }
    let tail = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default();
    let mut target = String::from(prefix);
    target.extend(utf8_percent_encode(value, SEGMENT));
    target.push_str(tail);
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn query(name: &str, value: &str) -> Change {
        Change::SetQuery { name: name.into(), value: SecretString::from(value) }
    }

    fn cookie(name: &str, value: &str) -> Change {
        Change::SetCookie { name: name.into(), value: SecretString::from(value) }
    }

    fn segment(prefix: &str, value: &str) -> Change {
        Change::SetPathSegment { prefix: prefix.into(), value: SecretString::from(value) }
    }

    #[track_caller]
    fn uri_after(uri: &str, change: Change) -> String {
        let mut parts = head(uri, &[]);
        apply(&mut parts, &[change]).unwrap();
        parts.uri.to_string()
    }

    #[track_caller]
    fn cookies_after(headers: &[&str], change: Change) -> String {
        let headers: Vec<_> = headers.iter().map(|value| ("cookie", *value)).collect();
        let mut parts = head("/", &headers);
        apply(&mut parts, &[change]).unwrap();
        let all: Vec<_> = parts.headers.get_all("cookie").iter().collect();
        assert_eq!(all.len(), 1);
        assert!(all[0].is_sensitive());
        all[0].to_str().unwrap().to_owned()
    }

    #[test]
    fn removal_takes_every_header_of_the_name() {
        let mut parts = head("/", &[("x-api-key", "a"), ("X-Api-Key", "b"), ("accept", "c")]);
        apply(&mut parts, &[Change::RemoveHeader(HeaderName::from_static("x-api-key"))]).unwrap();
        assert_eq!(parts.headers.len(), 1);
    }

    #[test]
    fn a_set_header_replaces_the_agents_values_and_is_sensitive() {
        let mut parts = head("/", &[("authorization", "a"), ("authorization", "b")]);
        let value = HeaderValue::from_static("Bearer real");
        apply(&mut parts, &[Change::SetHeader(header::AUTHORIZATION, value)]).unwrap();
        let all: Vec<_> = parts.headers.get_all("authorization").iter().collect();
        assert_eq!(all, ["Bearer real"]);
        assert!(all[0].is_sensitive());
        assert!(!format!("{parts:?}").contains("real"));
    }

    #[test]
    fn a_query_parameter_is_appended_encoded() {
        assert_eq!(uri_after("/a", query("key", "a b&c+d=é")), "/a?key=a%20b%26c%2Bd%3D%C3%A9");
        assert_eq!(uri_after("/a?", query("key", "v")), "/a?&key=v");
        assert_eq!(uri_after("/a?x=1", query("k[]", "v")), "/a?x=1&k%5B%5D=v");
    }

    #[test]
    fn every_spelling_of_a_query_parameter_is_removed() {
        for agent in ["key=1", "key", "k%65y=1", "%6b%65%79=1", "%6B%65%79", "key=1&k%65y=2&key="] {
            assert_eq!(uri_after(&format!("/?{agent}"), query("key", "v")), "/?key=v", "{agent}");
        }
        assert_eq!(uri_after("/?my+key=1&my%20key=2", query("my key", "v")), "/?my%20key=v");
    }

    #[test]
    fn other_query_parameters_stay_byte_for_byte() {
        let kept = "/p%2Fq;x?a=%2f+%20&&b=?/&Key=1&keys=2&xkey=key&%zz&=";
        assert_eq!(uri_after(&format!("{kept}&key=1"), query("key", "v")), format!("{kept}&key=v"));
    }

    #[test]
    fn scheme_and_authority_survive() {
        assert_eq!(
            uri_after("https://api.example:8443/a?key=1", query("key", "v")),
            "https://api.example:8443/a?key=v"
        );
        assert_eq!(
            uri_after("https://t.example/botX/getMe", segment("/bot", "1:a")),
            "https://t.example/bot1:a/getMe"
        );
        assert_eq!(uri_after("https://t.example", query("key", "v")), "https://t.example/?key=v");
    }

    #[test]
    fn a_target_without_a_path_is_refused() {
        let mut parts = head("api.example:443", &[]);
        assert!(matches!(apply(&mut parts, &[query("key", "v")]), Err(Error::NoPath)));
    }

    #[test]
    fn cookies_of_all_headers_are_merged() {
        assert_eq!(cookies_after(&["a=1; b=2", "c=3"], cookie("s", "v")), "a=1; b=2; c=3; s=v");
        assert_eq!(cookies_after(&[], cookie("s", "v")), "s=v");
    }

    #[test]
    fn every_cookie_of_the_name_is_removed() {
        assert_eq!(
            cookies_after(&["s=1;a=2 ; s = 3;s", "S=4;; ss=s=5"], cookie("s", "v")),
            "a=2; S=4; ss=s=5; s=v"
        );
    }

    #[test]
    fn a_cookie_cannot_smuggle_another_one_or_a_line() {
        for value in ["a; admin=1", "a\r\nx: y", "a b", "a,b"] {
            let mut parts = head("/", &[]);
            let error = apply(&mut parts, &[cookie("s", value)]).unwrap_err();
            assert!(!error.to_string().contains(value));
        }
        let mut parts = head("/", &[]);
        assert!(apply(&mut parts, &[cookie("s=1; t", "v")]).is_err());
    }

    #[test]
    fn the_rest_of_a_path_segment_is_replaced() {
        assert_eq!(
            uri_after("/botX/getMe?a=1", segment("/bot", "12:Ab_-")),
            "/bot12:Ab_-/getMe?a=1"
        );
        assert_eq!(uri_after("/botX", segment("/bot", "v")), "/botv");
        assert_eq!(uri_after("/hook/X/y", segment("/hook/", "v")), "/hook/v/y");
        assert_eq!(uri_after("/file/botX/a/b", segment("/file/bot", "v")), "/file/botv/a/b");
    }

    #[test]
    fn a_path_without_the_prefix_is_left_alone() {
        assert_eq!(uri_after("/other/botX", segment("/bot", "v")), "/other/botX");
    }

    #[test]
    fn a_path_value_cannot_leave_its_segment() {
        assert_eq!(uri_after("/bX/m", segment("/b", "../?#%")), "/b..%2F%3F%23%25/m");
        for value in ["", ".", ".."] {
            let mut parts = head("/hook/X", &[]);
            assert!(apply(&mut parts, &[segment("/hook/", value)]).is_err(), "{value:?}");
        }
    }

    #[test]
    fn changes_are_made_in_order() {
        let mut parts = head("/?key=agent", &[]);
        apply(&mut parts, &[query("key", "one"), query("key", "two")]).unwrap();
        assert_eq!(parts.uri, "/?key=two");
    }

    #[test]
    fn a_placeholder_is_seen_wherever_clients_put_it() {
        let basic = format!("Basic {}", BASIC.encode("x-token:ghp_place/holder"));
        for parts in [
            head("/", &[("authorization", "Bearer ghp_place/holder")]),
            head("/", &[("authorization", "ghp_place/holder")]),
            head("/", &[("x-api-key", "ghp_place/holder")]),
            head("/", &[("authorization", &basic)]),
            head("/", &[("authorization", &basic.replace("Basic", "bAsIc"))]),
            head("/", &[("authorization", basic.trim_end_matches('='))]),
            head("/", &[("cookie", "a=1; s=ghp_place/holder")]),
            head("/", &[("cookie", "a=1; s=ghp_place%2Fholder")]),
            head("/?key=ghp_place/holder", &[]),
            head("/?key=ghp_place%2fholder", &[]),
            head("/?key=%67hp_place/holder&x", &[]),
            head("/botghp_place%2Fholder/getMe", &[]),
        ] {
            assert!(contains(&parts, "ghp_place/holder"), "{parts:?}");
        }
    }

    #[test]
    fn other_values_are_not_taken_for_a_placeholder() {
        let basic = format!("Basic {}", BASIC.encode("x-token:ghp_other"));
        let parts = head("/ghp_?a=place", &[("authorization", &basic), ("cookie", "a=ghp_holder")]);
        assert!(!contains(&parts, "ghp_placeholder"));
        assert!(!contains(&parts, ""));
    }

    #[test]
    fn a_placeholder_is_not_seen_in_a_longer_one() {
        let parts = head("/", &[("authorization", "Bearer sk-place2"), ("cookie", "a=sk-place2")]);
        assert!(!contains(&parts, "sk-place"));
        assert!(contains(&parts, "sk-place2"));
        let parts = head("/?a=sk-place2&b=sk-place", &[]);
        assert!(contains(&parts, "sk-place"));
    }

    #[test]
    fn broken_basic_credentials_are_no_credentials() {
        for value in ["Basic", "Basic ", "Basic !YWFhYWFh", "BasicYWFhYWFh", "Digest YWFhYWFh"] {
            assert!(!contains(&head("/", &[("authorization", value)]), "aaaaaa"), "{value}");
        }
    }
}
