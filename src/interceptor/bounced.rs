//! Connections that macOS' packet filter has bounced to the loopback.
//!
//! The listener is there for everybody on the machine, so whoever is not of the run's group is not served;
//! nor is anybody where the kernel does not tell. Where to is lost on the way: without a TLS name a
//! connection goes nowhere.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use tokio::net::TcpStream;

use super::{
    Run,
    accept::{self, Arrival, HTTPS},
    peek::{self, Opening},
    probe::{self, PROBE_V4},
    workers::Context,
};
use crate::process;

/// What a probe says. It is no secret: only a member of the group is answered.
const QUESTION: &[u8] = b"authsome-probe?\n";
/// An address that is not known.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Serves one accepted connection to its end.
pub(super) async fn connection(
    context: Rc<Context>,
    run: Arc<Run>,
    mut stream: TcpStream,
    gid: u32,
) {
    let asked = stream.peer_addr().and_then(|own| process::member(own, HTTPS, gid));
    let caller = match asked {
        Ok(caller) => caller,
        Err(error) => {
            tracing::warn!(%error, run = run.id, "not a connection of the run's: refused");
            return;
        }
    };
    let opening = peek::opening(&mut stream).await;
    if matches!(&opening, Opening::Opaque(raw) if raw.as_ref() == QUESTION) {
        return probe::greet(&run, stream, SocketAddr::new(PROBE_V4, HTTPS)).await;
    }
    let arrival = Arrival { stream, caller };
    accept::opened(context, run, arrival, SocketAddr::new(NOWHERE, HTTPS), None, opening).await;
}
