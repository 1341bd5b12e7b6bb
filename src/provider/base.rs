//! Base URLs: where an instance of a service is, and what of it names a host and a path.
//!
//! Pure text. What is refused here could lead a credential somewhere that no certificate vouches for,
//! or to another path than the one that is written.

use std::net::IpAddr;

use http::Uri;

use super::{PathPrefix, host};

/// The field that holds a connection's base URL.
pub(super) const BASE_URL: &str = "base_url";
/// What stands for a base URL's host among the hosts of an instance.
pub(super) const BASE_HOST: &str = "base_host";
/// What stands for a base URL in an endpoint.
pub(super) const PLACEHOLDER: &str = "{base_url}";

/// An https URL without query, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    /// As it is compared and filled in: scheme and host in lower case, no slash at the end.
    pub(super) url: String,
    /// Its host, without the port.
    pub(super) host: String,
    /// Its path, without a slash at the end; empty, or beginning with one.
    pub(super) path: String,
}

impl BaseUrl {
    /// Takes `text` apart; on failure says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(['?', '#', '@']) {
            return Err("must have no query, fragment or user");
        }
        let uri: Uri =
            text.trim().trim_end_matches('/').parse().map_err(|_| "must be an https URL")?;
        if uri.scheme_str() != Some("https") {
            return Err("must be an https URL");
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let host = host::canonical(uri.host().unwrap_or_default())
            .filter(|host| host.contains('.') && host.parse::<IpAddr>().is_err())
            .ok_or("must name a host of the DNS, not an address")?
            .into_owned();
        let path = uri.path().trim_end_matches('/').to_owned();
        PathPrefix::parse(&path).map_err(|_| "has a path that could be read in two ways")?;
        let url = format!("https://{}{path}", authority.to_ascii_lowercase());
        Ok(Self { url, host, path })
    }

    /// A path prefix of the service, as this instance has it.
    pub(super) fn below(&self, prefix: Option<&PathPrefix>) -> Option<PathPrefix> {
        let prefix = prefix.map(ToString::to_string).unwrap_or_default();
        PathPrefix::parse(&format!("{}{prefix}", self.path)).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_taken_apart_in_one_form() {
        let base = BaseUrl::parse(" https://Git.Example.com:8443/Sub/ ").unwrap();
        assert_eq!(base.url, "https://git.example.com:8443/Sub");
        assert_eq!(base.host, "git.example.com");
        assert_eq!(base.path, "/Sub");
        assert_eq!(BaseUrl::parse("https://git.example.com").unwrap().path, "");
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "git.example.com",
            "http://git.example.com",
            "https://git.example.com@evil.io",
            "https://git.example.com?x",
            "https://git.example.com/#x",
            "https://git.example.com/a/../b",
            "https://git.example.com/%2e%2e",
            "https://localhost",
            "https://10.0.0.1",
            "https://[::1]/",
            "https://{base_url}/x",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_below_the_path() {
        let prefix = PathPrefix::parse("/api").unwrap();
        let base = |text| BaseUrl::parse(text).unwrap();
        let below = base("https://x.example/git").below(prefix.as_ref()).unwrap();
        assert_eq!(below.to_string(), "/git/api");
        assert_eq!(base("https://x.example").below(None), None);
    }
}
