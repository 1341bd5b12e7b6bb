//! Is a request for the host its connection was opened to?
//!
//! The credential is chosen, and the upstream verified, by the connection's name. A request for any
//! other host is answered 421 (RFC 9110 §15.5.20): on every HTTP/2 stream too, whatever the
//! certificate would allow (RFC 9113 §9.1.1).

use http::{Version, header, request::Parts};

use crate::gate::Target;

/// Why a request may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It names no host, or several, or something that is none.
    Malformed,
    /// It is for another host.
    Misdirected,
}

/// Checks every place in which the request names its host; all must name `target`.
pub(super) fn check(parts: &Parts, target: &Target) -> Result<(), Wrong> {
    let mut named = false;
    if let Some(authority) = parts.uri.authority() {
        same(authority.as_str(), target)?;
        named = true;
    }
    if parts.uri.scheme_str().is_some_and(|scheme| !scheme.eq_ignore_ascii_case("https")) {
        return Err(Wrong::Misdirected);
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    if let Some(host) = hosts.next() {
        if hosts.next().is_some() {
            return Err(Wrong::Malformed);
        }
        same(host.to_str().map_err(|_| Wrong::Malformed)?, target)?;
        named = true;
    } else if parts.version == Version::HTTP_11 {
        return Err(Wrong::Malformed);
    }
    // HTTP/1.0 has no Host; the connection's name is all there is.
    if named || parts.version < Version::HTTP_11 { Ok(()) } else { Err(Wrong::Malformed) }
}

fn same(authority: &str, target: &Target) -> Result<(), Wrong> {
    let (host, port) = split(authority).ok_or(Wrong::Malformed)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let right_port = match port {
        None | Some("") => true,
        Some(port) => port.parse() == Ok(target.port),
    };
    if right_port && host.eq_ignore_ascii_case(&target.host) {
        Ok(())
    } else {
        Err(Wrong::Misdirected)
    }
}

/// Host without brackets, and port.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => (!authority.is_empty()).then_some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(uri: &str, hosts: &[&str], version: Version) -> Parts {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn verdict(uri: &str, hosts: &[&str], version: Version, host: &str) -> Result<(), Wrong> {
        check(&head(uri, hosts, version), &Target { host: host.into(), port: 443 })
    }

    #[test]
    fn the_same_name_in_any_spelling_passes() {
        for host in ["api.test", "API.test", "api.test.", "api.test:443", "api.test:"] {
            assert_eq!(verdict("/", &[host], Version::HTTP_11, "api.test"), Ok(()), "{host}");
        }
        for host in ["[2001:db8::1]", "[2001:DB8::1]:443"] {
            assert_eq!(verdict("/", &[host], Version::HTTP_11, "2001:db8::1"), Ok(()), "{host}");
        }
    }

    #[test]
    fn another_name_or_port_is_misdirected() {
        for host in ["evil.test", "api.test.evil.test", "api.test:8443", "api.test@evil.test"] {
            let found = verdict("/", &[host], Version::HTTP_11, "api.test");
            assert_eq!(found, Err(Wrong::Misdirected), "{host}");
        }
    }

    #[test]
    fn an_absolute_target_and_host_must_both_fit() {
        let check = |uri, host| verdict(uri, &[host], Version::HTTP_11, "api.test");

        assert_eq!(check("https://api.test/x", "api.test"), Ok(()));
        assert_eq!(check("https://api.test/x", "evil.test"), Err(Wrong::Misdirected));
        assert_eq!(check("https://evil.test/x", "api.test"), Err(Wrong::Misdirected));
        assert_eq!(check("http://api.test/x", "api.test"), Err(Wrong::Misdirected));
    }

    #[test]
    fn http_1_1_without_host_or_with_two_is_malformed() {
        let check = |hosts: &[&str]| verdict("/", hosts, Version::HTTP_11, "api.test");

        assert_eq!(check(&[]), Err(Wrong::Malformed));
        assert_eq!(check(&["api.test", "api.test"]), Err(Wrong::Malformed));
        assert_eq!(check(&[""]), Err(Wrong::Malformed));
    }

    #[test]
    fn http_2_needs_an_authority_and_http_1_0_none() {
        assert_eq!(verdict("/", &[], Version::HTTP_2, "api.test"), Err(Wrong::Malformed));
        assert_eq!(verdict("https://api.test/", &[], Version::HTTP_2, "api.test"), Ok(()));
        assert_eq!(verdict("/", &[], Version::HTTP_10, "api.test"), Ok(()));
    }
}
