//! From an accepted socket to what happens to it.
//!
//! The address the agent dialled is used for two things only: the port, and looking up which name our
//! own DNS responder gave it out for. A connection whose name cannot be told is dialled by its literal
//! address if it has one, and refused if the address is one of the synthetic ones.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use bytes::BytesMut;
use rustls::server::Accepted;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    Listener, Run, bounced, clear, connect,
    dialer::{self, DialError, Leg},
    peek::{self, Opening},
    presence, probe, published,
    record::Entry,
    serve, ssh, tunnel,
    workers::Context,
};
use crate::{
    gate::{Admission, Denial, RecordKind, Ruling, Target},
    process::Caller,
};

/// The only port on which TLS is looked into.
pub(super) const HTTPS: u16 = 443;
/// A fatal alert `access_denied`, before any handshake (RFC 8446 §6).
const ACCESS_DENIED: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 49];

/// Code of a connection to a synthetic address nobody was given.
const NO_NAME: &str = "unknown-name";
/// Code of a connection that began like TLS and was none.
const NOT_TLS: &str = "malformed-hello";
/// Code of a connection on which nothing came.
const SILENT: &str = "no-hello";
/// Code of a connection whose agent left while it was held.
const LEFT: &str = "agent-closed";
/// Code of a connection that nothing was decided about.
const UNDECIDED: &str = "undecided";
/// Code of a connection that could be intercepted only if it were TLS.
const CLEARTEXT: &str = "not-tls";

/// A connection of the agent's, and which of its processes it is from.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) caller: Caller,
}

impl Arrival {
    /// Begins to look for the process: it may be gone in a moment.
    fn new(run: &Run, stream: TcpStream, seen: SocketAddr) -> Self {
        let caller =
            stream.peer_addr().map_or_else(|_| Caller::default(), |own| run.callers.of(own, seen));
        Self { stream, caller }
    }
}

/// Serves one accepted connection to its end.
pub(super) async fn connection(
    context: Rc<Context>,
    run: Arc<Run>,
    listener: Listener,
    stream: TcpStream,
) {
    if let Listener::Published(port) = listener {
        return published::connection(context, &run, stream, port).await;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the agent left before its connection was served");
        return;
    }
    if let Listener::Pf { gid } = listener {
        return bounced::connection(context, run, stream, gid).await;
    }
    if listener == Listener::Connect {
        return connect::connection(context, run, stream).await;
    }
    let wanted = match destination(&stream, listener) {
        Ok(wanted) => wanted,
        Err(error) => {
            tracing::warn!(%error, "a connection's destination cannot be told");
            return;
        }
    };
    let port = if let Listener::HostPort(port) = listener { Some(port) } else { None };
    dialled(context, run, stream, Dialled { wanted, seen: wanted, port }).await;
}

/// Where a connection was meant to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialled {
    /// The address that the agent dialled.
    pub(super) wanted: SocketAddr,
    /// The one that its socket is connected to.
    pub(super) seen: SocketAddr,
    /// A port of the host's, if it is for that.
    pub(super) port: Option<u16>,
}

/// Serves a connection to its end once it is known where it was meant to go.
pub(super) async fn dialled(
    context: Rc<Context>,
    run: Arc<Run>,
    stream: TcpStream,
    Dialled { wanted, seen, port }: Dialled,
) {
    if probe::is_address(wanted) {
        return probe::greet(&run, stream, wanted).await;
    }
    let arrival = Arrival::new(&run, stream, seen);
    if let Some(port) = port {
        return host_port(&run, arrival, port).await;
    }
    route(context, run, arrival, wanted).await;
}

/// The address and port the agent dialled.
fn destination(stream: &TcpStream, listener: Listener) -> io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    let ip = local.ip().to_canonical();
    match listener {
        Listener::Tcp(port) => Ok(SocketAddr::new(ip, port)),
        Listener::Redirected => {
            let original = original(stream, ip)?;
            if (original.ip().to_canonical(), original.port()) == (ip, local.port()) {
                // The listener itself was dialled: from another machine, or by an agent that would have
                // us dial ourselves.
                return Err(io::Error::other("it was not redirected"));
            }
            Ok(SocketAddr::new(original.ip().to_canonical(), original.port()))
        }
        Listener::Handed
        | Listener::HostPort(_)
        | Listener::Published(_)
        | Listener::Pf { .. }
        | Listener::Connect
        | Listener::DnsUdp
        | Listener::DnsTcp => Ok(SocketAddr::new(ip, local.port())),
    }
}

/// What netfilter remembers of a redirected connection.
#[cfg(target_os = "linux")]
fn original(stream: &TcpStream, ip: IpAddr) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let original = if ip.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() }?;
    Ok(original.as_socket().ok_or(io::ErrorKind::Unsupported)?)
}

/// There is none elsewhere.
#[cfg(not(target_os = "linux"))]
fn original(_: &TcpStream, _: IpAddr) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn route(context: Rc<Context>, run: Arc<Run>, arrival: Arrival, wanted: SocketAddr) {
    let named = run.names.name_of(wanted.ip());
    go_on(context, run, arrival, wanted, named).await;
}

/// Goes by the name that the TLS client says, if it is one; else by the one that is known already.
pub(super) async fn go_on(
    context: Rc<Context>,
    run: Arc<Run>,
    mut arrival: Arrival,
    wanted: SocketAddr,
    named: Option<Arc<str>>,
) {
    if wanted.port() != HTTPS {
        // Not looked into: the server may be the one to speak first.
        return opaque(&run, arrival, wanted, named, BytesMut::new()).await;
    }
    let opening = peek::opening(&mut arrival.stream).await;
    opened(context, run, arrival, wanted, named, opening).await;
}

/// The same, when it is known what it begins with.
pub(super) async fn opened(
    context: Rc<Context>,
    run: Arc<Run>,
    arrival: Arrival,
    wanted: SocketAddr,
    named: Option<Arc<str>>,
    opening: Opening,
) {
    match opening {
        Opening::Tls(accepted, raw) => {
            let sni = accepted.client_hello().server_name().map(normal);
            match sni.or(named).or_else(|| literal(wanted)) {
                Some(host) => {
                    let target = Target { host, port: wanted.port() };
                    tls(context, run, arrival, target, *accepted, raw).await;
                }
                None => alert(&run, arrival, unnamed(wanted), NO_NAME.into()).await,
            }
        }
        Opening::Opaque(raw) => opaque(&run, arrival, wanted, named, raw).await,
        Opening::Malformed => {
            alert(&run, arrival, best_name(wanted, named), NOT_TLS.into()).await;
        }
        Opening::Nothing => {
            refused(&run, &arrival.caller, best_name(wanted, named), SILENT.into()).await;
        }
    }
}

async fn tls(
    context: Rc<Context>,
    run: Arc<Run>,
    arrival: Arrival,
    target: Target,
    accepted: Accepted,
    raw: BytesMut,
) {
    if probe::is_host(&target) {
        return Box::pin(serve::intercept(context, run, arrival, target, accepted)).await;
    }
    let Some(Ruling { says, policy, connection }) =
        admission(&run, &arrival.stream, &target, true).await
    else {
        return refused(&run, &arrival.caller, target, LEFT.into()).await;
    };
    match says {
        Admission::Intercept => {
            drop(raw);
            Box::pin(serve::intercept(context, run, arrival, target, accepted)).await;
        }
        Admission::Splice => {
            let entry = spliced(&run, &arrival.caller, &target, policy);
            splice(&run, entry, arrival.stream, target, raw).await;
        }
        Admission::Refuse(denial) => {
            alert(&run, arrival, target, Ruling { says: denial.code, policy, connection }).await;
        }
        Admission::Hold => alert(&run, arrival, target, UNDECIDED.into()).await,
    }
}

/// A connection that is passed on as it is, or not at all.
async fn opaque(
    run: &Run,
    arrival: Arrival,
    wanted: SocketAddr,
    named: Option<Arc<str>>,
    raw: BytesMut,
) {
    let Some(host) = named.or_else(|| literal(wanted)) else {
        return refused(run, &arrival.caller, unnamed(wanted), NO_NAME.into()).await;
    };
    let target = Target { host, port: wanted.port() };
    let Some(Ruling { says, policy, connection }) =
        admission(run, &arrival.stream, &target, false).await
    else {
        return refused(run, &arrival.caller, target, LEFT.into()).await;
    };
    let code = match says {
        Admission::Splice => {
            let entry = spliced(run, &arrival.caller, &target, policy);
            return match run.gate.placeholders() {
                Some(finder) => {
                    clear::splice(run, entry, arrival.stream, target, raw, &finder).await;
                }
                None => splice(run, entry, arrival.stream, target, raw).await,
            };
        }
        Admission::Refuse(denial) => {
            let ruling = Ruling { says: denial.code, policy, connection };
            let is_ssh = target.port == ssh::PORT;
            refused(run, &arrival.caller, target, ruling).await;
            if is_ssh {
                ssh::disconnect(arrival.stream, &in_words(&denial)).await;
            }
            return;
        }
        Admission::Intercept => CLEARTEXT,
        Admission::Hold => UNDECIDED,
    };
    refused(run, &arrival.caller, target, Ruling { says: code, policy, connection }).await;
}

/// What the gate says, however long it takes; `None`: the agent has left meanwhile.
async fn admission(
    run: &Run,
    stream: &TcpStream,
    target: &Target,
    tls: bool,
) -> Option<Ruling<Admission>> {
    let ruling = run.gate.admit(target, tls);
    if ruling.says != Admission::Hold {
        return Some(ruling);
    }
    tokio::select! {
        biased;
        ruling = run.gate.hold(target, tls) => Some(ruling),
        () = presence::gone(stream) => None,
    }
}

/// The record of a connection that is passed on, by this policy.
fn spliced(run: &Run, caller: &Caller, target: &Target, policy: Option<Arc<str>>) -> Entry {
    let mut entry = Entry::new(&run.gate, caller, RecordKind::Splice, target.clone());
    entry.edit(|record| record.policy = policy);
    entry
}

async fn splice(run: &Run, entry: Entry, stream: TcpStream, target: Target, raw: BytesMut) {
    relay(entry, stream, run.dialer.tcp(&target).await, raw).await;
}

/// A port of the machine's own that the user has opened by number: what listens there is theirs, and
/// may be a server that asks for a key and takes any. So no placeholder is looked for.
async fn host_port(run: &Run, arrival: Arrival, port: u16) {
    let target = Target { host: "localhost".into(), port };
    let entry = Entry::new(&run.gate, &arrival.caller, RecordKind::Splice, target);
    let upstream = dialer::host_port(port).await.map(Leg::Tcp);
    relay(entry, arrival.stream, upstream, BytesMut::new()).await;
}

async fn relay(
    mut entry: Entry,
    stream: TcpStream,
    upstream: Result<Leg, DialError>,
    raw: BytesMut,
) {
    match upstream {
        Ok(upstream) => match tunnel::splice(stream, upstream, &raw, &entry.tally()).await {
            Ok(()) => entry.complete(),
            Err(error) => {
                tracing::debug!(%error, "a spliced connection broke");
                entry.failed("connection-reset");
            }
        },
        Err(error) => {
            tracing::debug!(%error, "a spliced connection could not be made");
            entry.failed(error.code());
            entry.caller_known().await;
        }
    }
}

/// Refuses in TLS' own words, so that the agent does not try again.
async fn alert(run: &Run, mut arrival: Arrival, target: Target, why: Ruling<&'static str>) {
    refused(run, &arrival.caller, target, why).await;
    if let Err(error) = arrival.stream.write_all(&ACCESS_DENIED).await {
        tracing::debug!(%error, "the agent left before it was refused");
    }
}

/// Notes a refusal, before the agent learns of it.
async fn refused(run: &Run, caller: &Caller, target: Target, why: Ruling<&'static str>) {
    let mut entry = Entry::new(&run.gate, caller, RecordKind::Connection, target);
    entry.denied(why.says);
    entry.edit(|record| record.policy = why.policy);
    entry.caller_known().await;
}

/// A denial for a person, in one line.
fn in_words(denial: &Denial) -> String {
    match &denial.hint {
        Some(hint) => format!("authsome: {} (hint: {hint})", denial.reason),
        None => format!("authsome: {}", denial.reason),
    }
}

/// Lower case, no trailing dot.
pub(super) fn normal(name: &str) -> Arc<str> {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().into()
}

/// The address as a name, unless it is a synthetic one, which means nothing outside the run, or unknown.
fn literal(wanted: SocketAddr) -> Option<Arc<str>> {
    (!is_synthetic(wanted.ip())).then(|| wanted.ip().to_string().into())
}

/// What to call a connection in its record where nothing depends on it.
fn best_name(wanted: SocketAddr, named: Option<Arc<str>>) -> Target {
    match named {
        Some(host) => Target { host, port: wanted.port() },
        None => unnamed(wanted),
    }
}

fn unnamed(wanted: SocketAddr) -> Target {
    Target { host: wanted.ip().to_string().into(), port: wanted.port() }
}

/// 198.18.0.0/15, the benchmarking range (RFC 2544), which the DNS responder hands out; or no address.
fn is_synthetic(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_unspecified() || matches!(ip.octets(), [198, 18 | 19, ..]),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_address_is_no_name() {
        let dialled = |text: &str| literal(text.parse().unwrap());

        assert_eq!(dialled("198.18.0.1:443"), None);
        assert_eq!(dialled("198.19.255.255:443"), None);
        assert_eq!(dialled("0.0.0.0:443"), None);
        assert_eq!(dialled("198.20.0.1:443").as_deref(), Some("198.20.0.1"));
        assert_eq!(dialled("[2001:db8::2]:443").as_deref(), Some("2001:db8::2"));
    }

    #[test]
    fn names_are_compared_in_one_spelling() {
        assert_eq!(&*normal("API.Test."), "api.test");
    }
}
