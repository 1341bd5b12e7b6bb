//! The small languages of flags and `config.toml`: one parser each, used for both.
//!
//! Every parser says in its error what was expected; the caller adds where it stood. Pure.

use std::net::{IpAddr, Ipv6Addr};

use crate::{
    protocol::{
        Egress, EnvFrom, HostPort, ResolveRule,
        publish::{DASHBOARD_PORT, FIRST_PORT, Publish, PublishedPort},
    },
    runner::Redirect,
};

/// `open` or `providers`.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn egress(text: &str) -> Result<Egress, String> {
    match text {
        "open" => Ok(Egress::Open),
        "providers" => Ok(Egress::Providers),
        _ => Err("expected `open` or `providers`".to_owned()),
    }
}

/// A way of [`Redirect`].
///
/// # Errors
///
/// A sentence about what was expected.
pub fn redirect(text: &str) -> Result<Redirect, String> {
    Redirect::parse(text)
}

/// `PROVIDER=NAME`.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn connection(text: &str) -> Result<(String, String), String> {
    let (provider, name) =
        text.split_once('=').ok_or("expected PROVIDER=NAME, such as github=work")?;
    Ok((provider_name(provider)?, connection_name(name)?))
}

/// `NAME=PROVIDER/CONNECTION` or `NAME=PROVIDER/CONNECTION:FIELD`.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn env(text: &str) -> Result<EnvFrom, String> {
    let (name, from) = text
        .split_once('=')
        .ok_or("expected NAME=PROVIDER/CONNECTION, such as WORK_TOKEN=github/work")?;
    env_from(name, from)
}

/// A variable's name, and `PROVIDER/CONNECTION` or `PROVIDER/CONNECTION:FIELD`.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn env_from(name: &str, from: &str) -> Result<EnvFrom, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(known)
    {
        return Err("a variable's name has only letters, digits and `_`".to_owned());
    }
    let (connection, field) = match from.split_once(':') {
        Some((connection, field)) => (connection, Some(field.to_owned())),
        None => (from, None),
    };
    let (provider, connection) =
        connection.split_once('/').ok_or("expected PROVIDER/CONNECTION, such as github/work")?;
    Ok(EnvFrom {
        name: name.to_owned(),
        provider: provider_name(provider)?,
        connection: connection_name(connection)?,
        field,
    })
}

/// Name of a provider: letters, digits, `-`, `_` and `.`, beginning with a letter or digit. Case does
/// not count.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn provider_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a provider's name has only letters, digits, `-`, `_` and `.`".to_owned())
    }
}

/// Name of a connection: letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn connection_name(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a connection's name has only letters, digits, `-`, `_` and `.`".to_owned())
    }
}

/// Name of a profile: as a connection's; an empty one is none, as an empty variable.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn profile_name(text: &str) -> Result<String, String> {
    if text.is_empty() || is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a profile's name has only letters, digits, `-`, `_` and `.`".to_owned())
    }
}

/// Safe as a file name and in `provider/connection`.
fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && text.len() <= 64 && text.bytes().all(known)
}

/// `HOST[:PORT]`; the host is a name, `*.suffix`, `*` or an address, IPv6 in brackets.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn host_port(text: &str) -> Result<HostPort, String> {
    let (host, rest) = take_host(text)?;
    let port = match rest {
        "" => None,
        _ => Some(port(rest.strip_prefix(':').ok_or("expected HOST or HOST:PORT")?)?),
    };
    Ok(HostPort { host, port })
}

/// `HOST:PORT:ADDR[:PORT]` as curl's `--resolve` has it, with a port of its own for the address.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn resolve(text: &str) -> Result<ResolveRule, String> {
    const SHAPE: &str = "expected HOST:PORT:ADDR or HOST:PORT:ADDR:PORT";
    let (host, rest) = take_host(text)?;
    if host.starts_with("*.") {
        return Err("a host to resolve is one name, or `*` for all".to_owned());
    }
    let rest = rest.strip_prefix(':').ok_or(SHAPE)?;
    let (from, rest) = rest.split_once(':').ok_or(SHAPE)?;
    let from = port(from)?;
    let (address, rest) = if let Some(rest) = rest.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("`]` is missing")?;
        let address: Ipv6Addr =
            address.parse().map_err(|_| "what stands in brackets is no IPv6 address".to_owned())?;
        (IpAddr::V6(address), rest)
    } else {
        if rest.parse::<Ipv6Addr>().is_ok() {
            return Err("an IPv6 address stands in brackets: [::1]".to_owned());
        }
        let end = rest.find(':').unwrap_or(rest.len());
        let (address, rest) = rest.split_at_checked(end).ok_or(SHAPE)?;
        let address = address.parse().map_err(|_| {
            "what follows the port is no address (names are not resolved here)".to_owned()
        })?;
        (IpAddr::V4(address), rest)
    };
    let to_port = match rest {
        "" => None,
        _ => Some(port(rest.strip_prefix(':').ok_or(SHAPE)?)?),
    };
    Ok(ResolveRule { host, port: from, address, to_port })
}

/// A TCP port from 1 to 65535.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|port| digits && *port != 0)
        .ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

/// `auto`, `PORT` or `PORT:HOSTPORT`.
///
/// # Errors
///
/// A sentence about what was expected.
pub fn publish(text: &str) -> Result<Publish, String> {
    if text == "auto" {
        return Ok(Publish::Auto);
    }
    let (agents, hosts) = text.split_once(':').unwrap_or((text, text));
    let port = |text| {
        let port = port(text).map_err(|_| "expected PORT, PORT:HOSTPORT or `auto`".to_owned())?;
        match port {
            ..FIRST_PORT => Err(format!("ports below {FIRST_PORT} are not published")),
            _ => Ok(port),
        }
    };
    let (port, host_port) = (port(agents)?, port(hosts)?);
    if host_port == DASHBOARD_PORT {
        return Err(format!(
            "port {DASHBOARD_PORT} is authsome's own; for another of the host's: {port}:{}",
            DASHBOARD_PORT + 1
        ));
    }
    Ok(Publish::Port(PublishedPort { port, host_port }))
}

/// Splits a host off the front: lower-case, without brackets and trailing dot.
fn take_host(text: &str) -> Result<(String, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("`]` is missing")?;
        let address: Ipv6Addr =
            address.parse().map_err(|_| "what stands in brackets is no IPv6 address".to_owned())?;
        return Ok((address.to_string(), rest));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address stands in brackets: [::1]".to_owned());
    }
    let end = text.find(':').unwrap_or(text.len());
    let (host, rest) = text.split_at_checked(end).ok_or("expected a host")?;
    let host = host.to_ascii_lowercase();
    // One trailing dot only says that the name is complete.
    let name = host.strip_suffix('.').filter(|name| !name.ends_with('*')).unwrap_or(&host);
    check_host(name)?;
    Ok((name.to_owned(), rest))
}

fn check_host(host: &str) -> Result<(), String> {
    if host == "*" {
        return Ok(());
    }
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label) {
        if host.contains('/') {
            return Err("expected a host, not a URL".to_owned());
        }
        if !host.is_ascii() {
            return Err("write the name in its ASCII form (xn--…)".to_owned());
        }
        return Err("expected a host name, `*.suffix`, `*` or an address".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        assert_eq!(
            host_port("API.Example.com.:8443").unwrap(),
            HostPort { host: "api.example.com".into(), port: Some(8443) }
        );
        assert_eq!(host_port("*.example.com").unwrap().port, None);
        assert_eq!(host_port("*:22").unwrap().host, "*");
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        assert_eq!(
            host_port("[2001:DB8::1]:443").unwrap(),
            HostPort { host: "2001:db8::1".into(), port: Some(443) }
        );
        assert!(host_port("2001:db8::1").unwrap_err().contains("brackets"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ":443",
            "a..b",
            "https://a.example",
            "a b",
            "*.",
            "a.*",
            "ü.example",
            "[::1",
            "a:0",
            "a:65536",
            "a:+1",
            "a:",
            "[::1]x",
        ] {
            assert!(host_port(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_url_is_told_from_a_host() {
        assert!(host_port("a.example/x").unwrap_err().contains("URL"));
    }

    #[test]
    fn a_port_is_published_under_its_own_name_or_another() {
        let named = |port, host_port| Ok(Publish::Port(PublishedPort { port, host_port }));
        assert_eq!(publish("auto"), Ok(Publish::Auto));
        assert_eq!(publish("5173"), named(5173, 5173));
        assert_eq!(publish("7998:7999"), named(7998, 7999));
    }

    #[test]
    fn what_is_not_an_agents_to_have_is_not_published() {
        for text in ["7998", "3000:7998", "443", "3000:80", "1023", "0", "", "x", "1:2:3", "auto:1"]
        {
            assert!(publish(text).is_err(), "{text:?} was accepted");
        }
        assert!(publish("7998").unwrap_err().contains("7998:7999"));
    }

    #[test]
    fn resolve_has_the_meaning_curl_gives_it() {
        let rule = resolve("api.example.com:443:127.0.0.1").unwrap();

        assert_eq!(rule.host, "api.example.com");
        assert_eq!(rule.port, 443);
        assert_eq!(rule.address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(rule.to_port, None);
    }

    #[test]
    fn resolve_takes_another_port_and_ipv6() {
        let rule = resolve("*:443:[::1]:8443").unwrap();

        assert_eq!(rule.host, "*");
        assert_eq!(rule.address, IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(rule.to_port, Some(8443));
    }

    #[test]
    fn half_a_resolve_rule_is_refused() {
        for text in [
            "a.example",
            "a.example:443",
            "a.example:443:",
            "a.example:443:b.example",
            "a.example:443:::1",
            "a.example:443:1.2.3.4:",
            "*.example:443:1.2.3.4",
            "a.example:443:[1.2.3.4]",
        ] {
            assert!(resolve(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_connection_is_a_provider_and_a_name() {
        assert_eq!(connection("github=work").unwrap(), ("github".into(), "work".into()));
        for text in ["github", "=work", "github=", "git hub=x", "github=../x"] {
            assert!(connection(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_variable_is_set_from_a_connection_or_one_field_of_it() {
        let from = env("WORK=GitHub/work").unwrap();
        assert_eq!((&*from.name, &*from.provider, &*from.connection), ("WORK", "github", "work"));
        assert_eq!(from.field, None);
        assert_eq!(env("A=x/y:refresh_token").unwrap().field.as_deref(), Some("refresh_token"));
        for bad in ["WORK", "WORK=github", "=github/work", "1A=github/work", "A-B=github/work"] {
            assert!(env(bad).is_err(), "{bad}");
        }
    }
}
