//! Connections of clients that ask a proxy: `CONNECT` (RFC 9110 §9.3.6), and then as any other.
//!
//! The listener is there for everybody on the machine, so a client proves that it is of the run: it gives
//! the run's id as password. The name that it asks for counts as one that the name server gave out: what a
//! TLS client says itself comes first, and the gate is asked about that.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    Run,
    accept::{self, Arrival},
    peek::OPENING_TIMEOUT,
    probe::{self, PROBE_V4},
    workers::Context,
};
use crate::process::Caller;

/// Longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// What ends it.
const END: &[u8] = b"\r\n\r\n";
/// An address that is not known.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where a client wants to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// A name, or an address without brackets.
    host: Arc<str>,
    port: u16,
}

/// Why it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Not a request, or to nowhere.
    Malformed,
    /// A request that is not for a tunnel.
    Method,
    /// Not the run's password.
    Password,
}

impl Refusal {
    fn answer(self) -> &'static [u8] {
        match self {
            Self::Malformed => {
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::Method => {
                b"HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\nConnection: close\r\n\
                  Content-Length: 0\r\n\r\n"
            }
            Self::Password => {
                b"HTTP/1.1 407 Proxy Authentication Required\r\n\
                  Proxy-Authenticate: Basic realm=\"authsome\"\r\nConnection: close\r\n\
                  Content-Length: 0\r\n\r\n"
            }
        }
    }
}

/// Serves one accepted connection to its end.
pub(super) async fn connection(context: Rc<Context>, run: Arc<Run>, mut stream: TcpStream) {
    let Ok(Ok(head)) = timeout(OPENING_TIMEOUT, read(&mut stream)).await else { return };
    let wanted = match wanted(&head, &run.id) {
        Ok(wanted) => wanted,
        Err(refusal) => {
            tracing::debug!(?refusal, run = run.id, "a client of the proxy was refused");
            // A client that is gone needs no answer.
            let _ = stream.write_all(refusal.answer()).await;
            return;
        }
    };
    if stream.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await.is_err() {
        return;
    }
    if wanted.host.parse() == Ok(PROBE_V4) {
        return probe::greet(&run, stream, SocketAddr::new(PROBE_V4, wanted.port)).await;
    }
    let arrival = Arrival { stream, caller: Caller::default() };
    let nowhere = SocketAddr::new(NOWHERE, wanted.port);
    accept::go_on(context, run, arrival, nowhere, Some(wanted.host)).await;
}

/// The head of a request, and no more: a client waits for the answer before it goes on.
async fn read(stream: &mut TcpStream) -> io::Result<BytesMut> {
    let mut head = BytesMut::with_capacity(1024);
    while !head.ends_with(END) {
        if head.len() > MAX_HEAD || memmem::find(&head, END).is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn wanted(head: &[u8], password: &str) -> Result<Wanted, Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !matches!(version, Some("HTTP/1.1" | "HTTP/1.0")) || words.next().is_some() {
        return Err(Refusal::Malformed);
    }
    if method != Some("CONNECT") {
        return Err(Refusal::Method);
    }
    let mut passwords = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| given(value.trim()))
    });
    // Once, and not twice.
    match (passwords.next(), passwords.next()) {
        (Some(Some(given)), None) if is_same(&given, password) => {}
        _ => return Err(Refusal::Password),
    }
    target.and_then(place).ok_or(Refusal::Malformed)
}

/// The password of `Basic` credentials (RFC 7617); whose it is does not matter.
fn given(value: &str) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded =
        scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(<[u8]>::to_vec)
}

/// Takes as long wherever they differ.
fn is_same(given: &[u8], password: &str) -> bool {
    let password = password.as_bytes();
    given.len() == password.len()
        && given.iter().zip(password).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// `host:port`; an IPv6 address in brackets.
fn place(target: &str) -> Option<Wanted> {
    let (host, port) = target.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().ok()?;
        return Some(Wanted { host: address.to_string().into(), port });
    }
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(is_name_byte);
    is_name.then(|| Wanted { host: accept::normal(host), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef";

    fn ask(line: &str, credentials: &str) -> Result<Wanted, Refusal> {
        let encoded = STANDARD.encode(credentials);
        wanted(
            format!("{line}\r\nHost: x\r\nproxy-authorization: basic {encoded}\r\n\r\n").as_bytes(),
            RUN,
        )
    }

    #[test]
    fn a_client_of_the_run_gets_where_it_asks_to() {
        let asked =
            |target: &str| ask(&format!("CONNECT {target} HTTP/1.1"), &format!("run:{RUN}"));
        let wanted = |host: &str, port| Ok(Wanted { host: host.into(), port });
        assert_eq!(asked("API.example.:443"), wanted("api.example", 443));
        assert_eq!(asked("[2001:DB8::2]:22"), wanted("2001:db8::2", 22));
        for target in
            ["api.example", ":443", "a b:443", "a/b:443", "x:0", "x:65536", "[x]:1", "é:1"]
        {
            assert_eq!(asked(target), Err(Refusal::Malformed), "{target}");
        }
    }

    #[test]
    fn whoever_does_not_know_the_run_gets_nowhere() {
        let line = "CONNECT api.example:443 HTTP/1.1";
        for credentials in
            ["run:", "run:0123456789abcdee", "0123456789abcdef", "run:0123456789abcdef0"]
        {
            assert_eq!(ask(line, credentials), Err(Refusal::Password), "{credentials}");
        }
        assert_eq!(wanted(format!("{line}\r\n\r\n").as_bytes(), RUN), Err(Refusal::Password));
        let one = format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(format!("a:{RUN}")));
        let twice = format!("{line}\r\n{one}{one}\r\n");
        assert_eq!(wanted(twice.as_bytes(), RUN), Err(Refusal::Password));
    }

    #[test]
    fn only_tunnels_are_made() {
        let known = format!("run:{RUN}");
        assert_eq!(ask("GET http://api.example/ HTTP/1.1", &known), Err(Refusal::Method));
        assert_eq!(ask("CONNECT api.example:443", &known), Err(Refusal::Malformed));
        assert_eq!(ask("CONNECT api.example:443 HTTP/1.1 x", &known), Err(Refusal::Malformed));
        assert_eq!(wanted(b"\xff", RUN), Err(Refusal::Malformed));
    }
}
