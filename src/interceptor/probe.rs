//! Answers of our own to the question whether connections of a run arrive here.
//!
//! Two are answered, in every run and without asking its gate, since nothing goes anywhere and nothing
//! is told but the run's id, which its agent knows: a connection to one of the documentation addresses
//! (RFC 5737, RFC 3849), in the clear, as the namespace asks before its agent exists; and an HTTPS request
//! to [`PROBE_NAME`], under a certificate of the run's own authority, by which a program shows that it
//! trusts the run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{Run, dns::PROBE_NAME};
use crate::gate::Target;

/// Addresses the namespace dials to see that its connections arrive here.
pub(super) const PROBE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PROBE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Is it one of the addresses that are answered?
pub(super) fn is_address(wanted: SocketAddr) -> bool {
    wanted.ip() == PROBE_V4 || wanted.ip() == PROBE_V6
}

/// Is it the host that is answered for?
pub(super) fn is_host(target: &Target) -> bool {
    &*target.host == PROBE_NAME
}

/// Answers a connection to one of the addresses.
pub(super) async fn greet(run: &Run, mut stream: TcpStream, wanted: SocketAddr) {
    let line = format!("authsome-probe {} {}\n", run.id, wanted.ip());
    if let Err(error) = stream.write_all(line.as_bytes()).await {
        tracing::debug!(%error, "a probe left before its answer");
    }
}

/// The answer to a request to the host: JSON, since some clients expect nothing else.
pub(super) fn answer(run: &Run) -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from(format!("{{\"authsome-probe\":\"{}\"}}\n", run.id)));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
