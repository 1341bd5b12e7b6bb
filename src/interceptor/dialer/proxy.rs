//! The user's own forward proxy: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, and `CONNECT`.
//!
//! The proxy resolves the name, so the address guard sees literals only: what a proxy lets through is
//! its owner's business. The proxy's own address is not guarded; the user named it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls_pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use zeroize::Zeroizing;

use super::{DialError, Leg, config::ends_with, tls::Configs};
use crate::gate::Target;

/// Longest head of an answer to `CONNECT`.
const MAX_ANSWER: usize = 16 * 1024;

/// What can go wrong with a forward proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The variable's value is no proxy URL we can use.
    #[error("{0} is not an http:// or https:// URL")]
    Url(String),
    /// It could not be reached.
    #[error("it could not be reached")]
    Unreachable,
    /// Its TLS handshake failed.
    #[error("its TLS connection failed: {0}")]
    Tls(super::TlsFault),
    /// It refused the tunnel, with this status.
    #[error("it answered CONNECT with status {0}")]
    Denied(u16),
    /// It did not speak HTTP.
    #[error("its answer to CONNECT makes no sense")]
    Garbled,
}

/// Where to go through, and when not to.
#[derive(Debug, Default)]
pub struct UpstreamProxy {
    hop: Option<Hop>,
    except: Vec<Except>,
}

/// One proxy.
pub(super) struct Hop {
    tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// `Basic` credentials, already encoded.
    basic: Option<SecretString>,
}

impl fmt::Debug for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop").field("host", &self.host).field("port", &self.port).finish()
    }
}

/// One entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Except {
    Everything,
    /// The name and all below it.
    Domain(String, Option<u16>),
    Network(IpAddr, u8),
}

impl UpstreamProxy {
    /// Reads the variables, upper or lower case; lower case wins, as with curl. Only TLS and opaque
    /// TCP leave through here, so `HTTP_PROXY` means nothing.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Url`] names the variable. Its value may hold a password, so it is not shown.
    pub fn from_env(variables: &BTreeMap<String, String>) -> Result<Self, ProxyError> {
        let get = |name: &str| {
            let lower = name.to_ascii_lowercase();
            variables.get(&lower).or_else(|| variables.get(name)).filter(|v| !v.trim().is_empty())
        };
        let hop = ["HTTPS_PROXY", "ALL_PROXY"]
            .into_iter()
            .find_map(|name| get(name).map(|value| (name, value)))
            .map(|(name, value)| Hop::parse(value).ok_or_else(|| ProxyError::Url(name.to_owned())))
            .transpose()?;
        let except = get("NO_PROXY").map(|list| list.split([',', ' ']).filter_map(Except::parse));
        Ok(Self { hop, except: except.into_iter().flatten().collect() })
    }

    /// Name or address of the proxy, and its port, if there is one.
    pub fn address(&self) -> Option<(&str, u16)> {
        self.hop.as_ref().map(|hop| (hop.host.as_str(), hop.port))
    }

    /// The proxy to `target`, if it is to be reached through one.
    pub(super) fn for_target(&self, target: &Target) -> Option<&Hop> {
        let ip = target.host.parse().ok();
        self.hop.as_ref().filter(|_| !self.except.iter().any(|except| except.covers(target, ip)))
    }
}

impl Hop {
    fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.split(['/', '?', '#']).next()?;
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let authority: http::uri::Authority = authority.parse().ok()?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = match authority.port() {
            Some(port) => port.as_str().parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        (!host.is_empty()).then(|| Self { tls, host, port, basic: user.map(basic) })
    }
}

/// `user:password` of a URL, percent-decoded, as RFC 7617 wants it.
fn basic(user: &str) -> SecretString {
    let mut plain = Zeroizing::new(Vec::with_capacity(user.len() + 1));
    plain.extend(percent_encoding::percent_decode_str(user));
    if !user.contains(':') {
        plain.push(b':');
    }
    SecretString::from(BASE64_STANDARD.encode(&*plain))
}

impl Except {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        match entry {
            "" => return None,
            "*" => return Some(Self::Everything),
            _ => {}
        }
        let (network, bits) = match entry.split_once('/') {
            Some((network, bits)) => (network, Some(bits.parse::<u8>().ok()?)),
            None => (entry, None),
        };
        if let Ok(ip) = network.trim_matches(['[', ']']).parse::<IpAddr>() {
            let most = if ip.is_ipv4() { 32 } else { 128 };
            return Some(Self::Network(ip, bits.unwrap_or(most).min(most)));
        }
        let (name, port) = match network.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (network, None),
        };
        let name = name.trim_start_matches('*').trim_start_matches('.');
        (!name.is_empty()).then(|| Self::Domain(name.to_ascii_lowercase(), port))
    }

    fn covers(&self, target: &Target, ip: Option<IpAddr>) -> bool {
        match self {
            Self::Everything => true,
            Self::Domain(name, port) => {
                port.is_none_or(|port| port == target.port)
                    && (*name == *target.host || ends_with(&target.host, &format!(".{name}")))
            }
            Self::Network(network, bits) => ip.is_some_and(|ip| within(ip, *network, *bits)),
        }
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let shift = 32_u32.saturating_sub(bits.into());
            u32::from(ip).checked_shr(shift) == u32::from(network).checked_shr(shift)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let shift = 128_u32.saturating_sub(bits.into());
            u128::from(ip).checked_shr(shift) == u128::from(network).checked_shr(shift)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Asks the proxy at the other end of `stream` for a tunnel to `target`.
pub(super) async fn tunnel(
    hop: &Hop,
    stream: TcpStream,
    target: &Target,
    tls: &Configs,
) -> Result<Leg, DialError> {
    if !hop.tls {
        let mut stream = stream;
        request(&mut stream, hop, target).await?;
        return Ok(Leg::Tcp(stream));
    }
    let name = ServerName::try_from(hop.host.clone())
        .map_err(|_| ProxyError::Tls(super::TlsFault::Name))?;
    let connected = tls.proxy().connect(name, stream).await;
    let mut stream = connected.map_err(|e| ProxyError::Tls(super::TlsFault::of(&e)))?;
    request(&mut stream, hop, target).await?;
    Ok(Leg::Tls(Box::new(stream)))
}

async fn request<S>(stream: &mut S, hop: &Hop, target: &Target) -> Result<(), ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(basic) = &hop.basic {
        head.push_str("Proxy-Authorization: Basic ");
        head.push_str(basic.expose_secret());
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|_| ProxyError::Unreachable)?;
    stream.flush().await.map_err(|_| ProxyError::Unreachable)?;
    match status(&answer(stream).await?) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(ProxyError::Denied(status)),
        None => Err(ProxyError::Garbled),
    }
}

/// The head of the answer. Read byte by byte: what follows belongs to the tunnel, where the server
/// may speak first.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_ANSWER {
            return Err(ProxyError::Garbled);
        }
        head.push(stream.read_u8().await.map_err(|_| ProxyError::Garbled)?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Result<UpstreamProxy, ProxyError> {
        let owned = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        UpstreamProxy::from_env(&owned)
    }

    fn goes_through(no_proxy: &str, host: &str) -> bool {
        let proxy =
            proxy(&[("HTTPS_PROXY", "http://p.test:3128"), ("NO_PROXY", no_proxy)]).unwrap();
        proxy.for_target(&Target { host: host.into(), port: 443 }).is_some()
    }

    #[test]
    fn a_user_in_the_url_becomes_basic_credentials() {
        let proxy = proxy(&[("https_proxy", "http://us%40er:p%3Aw@p.test:3128/")]).unwrap();

        let hop = proxy.hop.unwrap();

        assert_eq!((hop.host.as_str(), hop.port), ("p.test", 3128));
        assert_eq!(hop.basic.unwrap().expose_secret(), BASE64_STANDARD.encode("us@er:p:w"));
    }

    #[test]
    fn an_unknown_scheme_is_an_error_that_does_not_show_the_value() {
        let error = proxy(&[("ALL_PROXY", "socks5://user:secret@p.test")]).unwrap_err();

        assert_eq!(error, ProxyError::Url("ALL_PROXY".into()));
    }

    #[test]
    fn a_no_proxy_name_covers_itself_and_what_is_below() {
        for list in ["corp.test", ".corp.test", "*.corp.test", "a.test, corp.test:443"] {
            assert!(!goes_through(list, "corp.test"), "{list}");
            assert!(!goes_through(list, "git.corp.test"), "{list}");
            assert!(goes_through(list, "notcorp.test"), "{list}");
        }
    }

    #[test]
    fn a_no_proxy_network_covers_literals_in_it() {
        assert!(!goes_through("10.0.0.0/8", "10.1.2.3"));
        assert!(goes_through("10.0.0.0/8", "11.1.2.3"));
        assert!(!goes_through("2001:db8::/32", "2001:db8::7"));
        assert!(!goes_through("0.0.0.0/0", "192.0.2.1"));
    }

    #[test]
    fn a_star_covers_everything() {
        assert!(!goes_through("*", "a.test"));
    }

    #[test]
    fn only_an_http_status_line_is_an_answer() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"SSH-2.0-x\r\n\r\n"), None);
    }
}
