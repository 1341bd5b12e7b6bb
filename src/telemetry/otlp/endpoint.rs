//! Where telemetry goes, and with which headers.

use http::{HeaderName, HeaderValue, Uri};

/// What a collector's address may be.
const SHAPE: &str = "expected the collector's address, such as http://127.0.0.1:4318";

/// Address of a collector: signals are sent below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a slash at its end.
    base: String,
    uri: Uri,
}

impl Endpoint {
    /// Reads `http://HOST[:PORT][/PATH]` or the same with `https`.
    ///
    /// # Errors
    ///
    /// A sentence about what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let base = text.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| SHAPE.to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(SHAPE.to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("credentials belong into `headers_file`, not into the address".to_owned());
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("an endpoint has no query".to_owned());
        }
        if let Some((before, _)) = base.split_once("/v1/") {
            return Err(format!("/v1/traces and /v1/metrics are added to it: {before}"));
        }
        if uri.port_u16() == Some(4317) {
            return Err("4317 is the port for gRPC; OTLP over HTTP has 4318".to_owned());
        }
        Ok(Self { base, uri })
    }

    /// Host and port.
    #[must_use]
    pub fn target(&self) -> (&str, u16) {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        (host, self.uri.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 }))
    }

    /// Is it reached over TLS?
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Where one signal is sent, such as `traces`.
    pub(super) fn of(&self, signal: &str) -> String {
        format!("{}/v1/{signal}", self.base)
    }
}

/// What is exported, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The collector.
    pub endpoint: Endpoint,
    /// Sent with every request; values are sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Reads headers, `Name: value` a line; empty lines and those that begin with `#` say nothing.
///
/// # Errors
///
/// Number of the line that is none, from 1, without its text.
pub fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, usize> {
    let mut headers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        headers.push(header(line).ok_or(index + 1)?);
    }
    Ok(headers)
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_sent_below_the_endpoint() {
        for base in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            let endpoint = Endpoint::parse(base).unwrap();
            assert_eq!(endpoint.of("traces"), "http://127.0.0.1:4318/v1/traces");
            assert_eq!(endpoint.target(), ("127.0.0.1", 4318));
        }
        let endpoint = Endpoint::parse("https://o.example/otlp").unwrap();
        assert_eq!(endpoint.of("metrics"), "https://o.example/otlp/v1/metrics");
        assert_eq!((endpoint.target(), endpoint.is_secure()), (("o.example", 443), true));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_was_expected() {
        for (text, said) in [
            ("127.0.0.1:4318", "such as http://127.0.0.1:4318"),
            ("localhost", "such as"),
            ("ftp://a.example", "such as"),
            ("http://", "such as"),
            ("http://a.example:4318/v1/traces", "added to it: http://a.example:4318"),
            ("http://me:hush@a.example", "headers_file"),
            ("http://a.example?x=1", "no query"),
            ("http://a.example:4317", "4318"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("hush"));
        }
    }

    #[test]
    fn headers_are_sensitive_and_a_bad_line_is_named_by_its_number() {
        let read = headers("# mine\n\nAuthorization: Bearer hush:1\nx-team:  a \n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].0.as_str(), read[1].1.as_bytes()), ("x-team", &b"a"[..]));
        assert!(!format!("{read:?}").contains("hush"));
        assert_eq!(headers("a: b\nhush"), Err(2));
    }
}
