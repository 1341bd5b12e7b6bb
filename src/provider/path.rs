//! Path prefixes: which part of a host a provider claims.
//!
//! Servers disagree about what `/v1/%2e%2e/admin` is. A path that some server could read in another
//! way than it is written matches no prefix: without a match there is no credential.

use std::fmt;

use serde::{Serialize, Serializer};

/// A path prefix that ends on a segment boundary: `/v1` has `/v1` and `/v1/x` below it, not `/v12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Parses `text`; `Ok(None)` is the whole host. On failure says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let text = text.trim_end_matches('/');
        if text.is_empty() {
            return Ok(None);
        }
        if !text.starts_with('/') {
            return Err("must begin with `/`");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&byte);
        if !text.bytes().all(plain) {
            return Err("may hold only characters that need no escape in a path");
        }
        if is_ambiguous(text) || text.contains("//") {
            return Err("must not have empty segments, `.` or `..`");
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// Is `path` (without a query) certainly below the prefix?
    pub(super) fn matches(&self, path: &str) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match path.strip_prefix(self.0.as_str()) {
            Some(rest) => (rest.is_empty() || rest.starts_with('/')) && !is_ambiguous(path),
            None => false,
        }
    }

    /// Number of bytes: the longer prefix is the more specific one.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PathPrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Escapes of escapes that are followed; what is nested deeper counts as ambiguous.
const MAX_DECODINGS: u32 = 3;

/// Could a server that decodes escapes (any number of times), takes `\` for `/`, or drops
/// `;parameters` find a dot segment in the path?
fn is_ambiguous(path: &str) -> bool {
    if !path.bytes().any(|byte| matches!(byte, b'.' | b'%' | b'\\')) {
        return false;
    }
    let mut decoded = path.to_owned();
    for round in 0.. {
        let next = percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
        if next == decoded {
            break;
        }
        if round == MAX_DECODINGS {
            return true;
        }
        decoded = next;
    }
    decoded.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> PathPrefix {
        PathPrefix::parse(text).unwrap().unwrap()
    }

    #[test]
    fn matches_on_segment_boundaries() {
        let v1 = prefix("/v1/");
        for path in
            ["/v1", "/v1/", "/v1/chat", "/v1//chat", "/v1/a.b/..c", "/v1?x=/../", "/v1/a%2Fb"]
        {
            assert!(v1.matches(path), "{path}");
        }
        for path in
            ["/", "", "/v", "/v12", "/V1/x", "v1/x", "//v1/x", "/x/v1", "/v1%2Fchat", "/%761/x"]
        {
            assert!(!v1.matches(path), "{path}");
        }
    }

    #[test]
    fn a_path_that_could_leave_the_prefix_does_not_match() {
        let v1 = prefix("/v1");
        for path in [
            "/v1/../admin",
            "/v1/./x",
            "/v1/..",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/%252e%252e/admin",
            "/v1/%25252e%25252e/admin",
            "/v1/..%2fadmin",
            "/v1/..\\admin",
            "/v1/..%5cadmin",
            "/v1/..;a=b/admin",
            "/v1/x%2f..%2f..%2fadmin",
        ] {
            assert!(!v1.matches(path), "{path}");
        }
    }

    #[test]
    fn the_root_is_no_prefix() {
        assert_eq!(PathPrefix::parse("/"), Ok(None));
        assert_eq!(PathPrefix::parse(""), Ok(None));
    }

    #[test]
    fn refuses_prefixes_that_mean_several_things() {
        for text in ["v1", "/v1/../x", "/a//b", "/a%20b", "/a?b", "/a b", "/ä"] {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
    }
}
