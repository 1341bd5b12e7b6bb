//! Which addresses something is sent to: https, or http on this machine, and nothing that two parsers
//! could read differently.

use oauth2::url::{Host, Url};

use super::Error;

/// Where a definition wants the service's own address.
const BASE_URL: &str = "{base_url}";
/// Why `text` is refused as an address, or the address.
pub(super) fn parse(text: &str) -> Result<Url, &'static str> {
    // The parser would drop or turn these; what is sent is the text as it is.
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("holds a character that no URL has");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => return Err("has no host"),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err("is not https"),
    }
    let authority = text.split('/').nth(2).unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password");
    }
    if url.fragment().is_some() {
        return Err("has a fragment");
    }
    Ok(url)
}

/// Checks the address of an endpoint, called `name`.
pub(super) fn check(name: &'static str, text: &str) -> Result<Url, Error> {
    parse(text).map_err(|problem| Error::Url { name, problem })
}

/// As [`check`], for an address with placeholders such as `{token}`: none may change its host.
pub(super) fn check_template(name: &'static str, text: &str) -> Result<(), Error> {
    let start = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = start.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('{') {
        return Err(Error::Url { name, problem: "has a placeholder for its host" });
    }
    check(name, &text.replace(['{', '}'], "")).map(drop)
}

/// An issuer identifier (RFC 8414 §2): an address without a query.
pub(super) fn check_issuer(text: &str) -> Result<Url, Error> {
    let url = check("issuer", text)?;
    match url.query() {
        Some(_) => Err(Error::Url { name: "issuer", problem: "has a query" }),
        None => Ok(url),
    }
}

/// What stands for `{base_url}`.
pub(super) fn base_url(text: &str) -> Result<&str, Error> {
    let url = parse(text).map_err(|problem| Error::BaseUrl { problem })?;
    if url.query().is_some() {
        return Err(Error::BaseUrl { problem: "has a query" });
    }
    if text.contains(['{', '}']) {
        return Err(Error::BaseUrl { problem: "has a placeholder" });
    }
    Ok(text.trim_end_matches('/'))
}

/// `text` with `{base_url}` filled.
pub(super) fn fill(text: &str, base_url: Option<&str>) -> Result<String, Error> {
    match base_url {
        _ if !text.contains(BASE_URL) => Ok(text.to_owned()),
        Some(base_url) => Ok(text.replace(BASE_URL, base_url)),
        None => Err(Error::BaseUrl { problem: "is missing" }),
    }
}

/// The host of an address, for people.
pub(super) fn host(text: &str) -> String {
    let url = Url::parse(text).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or("the provider").to_owned()
}

/// Scheme, host and port of an address, without a slash at the end.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_are_addresses() {
        for text in [
            "https://a.example/x?y=z",
            "http://127.0.0.1:9/x",
            "http://[::1]:9/",
            "http://localhost:80",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for text in [
            "http://a.example/",
            "http://127.0.0.1.a.example/",
            "ftp://a.example/",
            "https://user@a.example/",
            "https://@a.example/",
            "https://user:pass@a.example/",
            "https://a.example\\@b.example/",
            "https://a.example/#x",
            "https://a.example/ x",
            "https://a.exa\nmple/",
            " https://a.example/",
            "a.example",
            "data:x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_placeholder_stands_in_no_host() {
        assert!(check_template("x", "https://a.example/{client_id}/token").is_ok());
        assert!(check_template("x", "https://a.{token}/x").is_err());
        assert!(check_template("x", "https://{token}").is_err());
    }

    #[test]
    fn a_base_url_is_filled_without_a_second_slash() {
        let base = base_url("https://git.example/").unwrap();
        assert_eq!(fill("{base_url}/o", Some(base)).unwrap(), "https://git.example/o");
        assert!(fill("{base_url}/o", None).is_err());
    }
}
