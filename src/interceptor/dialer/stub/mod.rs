//! Names to addresses by queries of our own, where the system's resolver would ask our own responder.
//!
//! A stub resolver (RFC 1123 §6.1.3.1) as the C library has one: `/etc/hosts`, the servers and search
//! domains of `/etc/resolv.conf`, UDP with a retry over TCP. It knows no other source of names, and no
//! DNSSEC: what answers is dialled, and its certificate verified, as everywhere.

mod config;
mod query;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::rr::{Name, RecordType};

use self::config::{Config, Hosts};
use super::SocketSource;

/// How long one server may take for one answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How often each server is asked.
const ATTEMPTS: usize = 2;

/// The addresses of `host`; none if it has none.
///
/// # Errors
/// No server answered.
pub(super) async fn lookup(
    source: &Arc<dyn SocketSource>,
    host: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    let known = Hosts::read().addresses(host);
    let found = if !known.is_empty() {
        known
    } else if let Ok(ip) = host.parse() {
        vec![ip]
    } else {
        ask(source, &Config::read(), host).await?
    };
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

async fn ask(
    source: &Arc<dyn SocketSource>,
    config: &Config,
    host: &str,
) -> io::Result<Vec<IpAddr>> {
    for name in config.candidates(host) {
        let name = Name::from_ascii(&name).map_err(io::Error::other)?;
        let (v6, v4) = tokio::join!(
            one_kind(source, config, &name, RecordType::AAAA),
            one_kind(source, config, &name, RecordType::A),
        );
        // One family's answer is enough, and one family's failure too if the other has none.
        let found = match (v6, v4) {
            (Ok(v6), Ok(v4)) => [v6, v4].concat(),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => found,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

async fn one_kind(
    source: &Arc<dyn SocketSource>,
    config: &Config,
    name: &Name,
    kind: RecordType,
) -> io::Result<Vec<IpAddr>> {
    let mut failed = io::Error::other("/etc/resolv.conf names no server");
    for _ in 0..ATTEMPTS {
        for server in &config.servers {
            match tokio::time::timeout(ANSWER, query::ask(source, *server, name, kind)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
    }
    Err(failed)
}
