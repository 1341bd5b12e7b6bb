//! One TCP connection out of several addresses.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};

use super::{DialError, Sockets};

/// Head start of an address over the next (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);

/// The first connection that stands, each address tried while those before it are still pending.
pub(super) async fn any(
    sockets: &Sockets,
    addresses: &[SocketAddr],
) -> Result<TcpStream, DialError> {
    if let [only] = addresses {
        return one(sockets, *only).await.map_err(DialError::of_connect);
    }
    let mut rest = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failed = None;
    let mut next_at = Instant::now();
    let mut next = rest.next();
    loop {
        let Some(address) = next else {
            return match attempts.next().await {
                Some(Ok(stream)) => Ok(stream),
                Some(Err(error)) => {
                    failed.get_or_insert(error);
                    continue;
                }
                None => Err(failed.map_or(DialError::Dns(None), DialError::of_connect)),
            };
        };
        tokio::select! {
            biased;
            Some(result) = attempts.next(), if !attempts.is_empty() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failed.get_or_insert(error);
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at) => {
                attempts.push(one(sockets, address));
                next = rest.next();
                next_at = Instant::now() + STAGGER;
            }
        }
    }
}

/// The first connection that stands, one address after the other.
pub(super) async fn in_order(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let mut failed = DialError::Dns(None);
    for address in addresses {
        match one(&Sockets::Own, *address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = DialError::of_connect(error),
        }
    }
    Err(failed)
}

async fn one(sockets: &Sockets, address: SocketAddr) -> io::Result<TcpStream> {
    let stream = sockets.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
