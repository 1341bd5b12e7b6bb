//! A spliced connection that is not encrypted: no placeholder may leave on it.
//!
//! A placeholder is worth nothing, but a client that sends one in the clear would send a key the same
//! way, and is told so. What the agent sends is looked through as it passes; what it gets is not. TLS is
//! recognised by its first bytes and from then on passed as it is: there is nothing to be seen. Nor is
//! there where a protocol compresses, as HTTP/2 does its heads.

use std::{io, rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    net::TcpStream,
};

use super::{
    Run,
    linger::Linger,
    problem::Problem,
    record::{Entry, Tally},
    tunnel::{BUFFER, Counted},
};
use crate::{
    gate::{Decision, Denial, Target},
    scrub::{FindStream, Finder},
};

/// How TLS begins: a handshake record of version 3.x (RFC 8446 §5.1).
const TLS: [u8; 2] = [0x16, 3];
/// Longest request method that is recognised.
const MAX_METHOD: usize = 16;

/// Why it ended before its time.
enum Stop {
    Io(io::Error),
    /// The placeholder of this connection was found.
    Found(Arc<str>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Passes a connection on, `first` before anything else, until a placeholder is found in it.
pub(super) async fn splice(
    run: &Run,
    mut entry: Entry,
    mut stream: TcpStream,
    target: Target,
    first: BytesMut,
    finder: &Arc<Finder>,
) {
    let upstream = match run.dialer.tcp(&target).await {
        Ok(upstream) => upstream,
        Err(error) => {
            tracing::debug!(%error, "a spliced connection could not be made");
            entry.failed(error.code());
            entry.caller_known().await;
            return;
        }
    };
    let mut watch = Watch { finder: finder.stream(), speaks_http: false };
    match relay(&mut stream, upstream, first.freeze(), &mut watch, &entry.tally()).await {
        Ok(()) => entry.complete(),
        Err(Stop::Io(error)) => {
            tracing::debug!(%error, "a spliced connection broke");
            entry.failed("connection-reset");
        }
        Err(Stop::Found(connection)) => {
            let denial = Denial::in_clear(&connection, &target);
            entry.edit(|record| {
                record.decision = Decision::Deny;
                record.connection = Some(connection);
                record.error = Some(denial.code);
            });
            entry.caller_known().await;
            if watch.speaks_http {
                entry.answered(StatusCode::FORBIDDEN);
                let answer = http1(Problem::denied(denial));
                entry.tally().add_received(answer.len());
                let mut agent = Linger::new(stream);
                let told = agent.write_all(&answer).await;
                if let Err(error) = told.and(agent.shutdown().await) {
                    tracing::debug!(%error, "the agent left before it was refused");
                }
            }
        }
    }
}

/// What is known of the agent's side.
struct Watch {
    finder: FindStream,
    /// Did it begin as an HTTP/1 request does?
    speaks_http: bool,
}

async fn relay<A, U>(
    agent: &mut A,
    upstream: U,
    first: Bytes,
    watch: &mut Watch,
    tally: &Rc<Tally>,
) -> Result<(), Stop>
where
    A: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let agent = Counted { inner: agent, tally: Rc::clone(tally) };
    let ((mut from_agent, mut to_agent), (mut from_upstream, mut to_upstream)) =
        (split(agent), split(upstream));
    let up = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        tally.add_sent(first.len());
        let mut chunk = first;
        if chunk.is_empty() {
            from_agent.read_buf(&mut buffer).await?;
            chunk = buffer.split().freeze();
        }
        watch.speaks_http = is_http1(&chunk);
        if chunk.starts_with(&TLS) {
            to_upstream.write_all(&chunk).await?;
            tokio::io::copy(&mut from_agent, &mut to_upstream).await?;
            return Ok(to_upstream.shutdown().await?);
        }
        while !chunk.is_empty() {
            let clean = watch.finder.push(chunk).map_err(Stop::Found)?;
            to_upstream.write_all(&clean).await?;
            buffer.reserve(BUFFER);
            from_agent.read_buf(&mut buffer).await?;
            chunk = buffer.split().freeze();
        }
        to_upstream.write_all(&watch.finder.finish()).await?;
        Ok(to_upstream.shutdown().await?)
    };
    let down = async {
        tokio::io::copy(&mut from_upstream, &mut to_agent).await?;
        Ok::<_, Stop>(to_agent.shutdown().await?)
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// Does a connection that begins like this speak HTTP/1 (RFC 9112 §3)?
fn is_http1(opening: &[u8]) -> bool {
    let method = opening.iter().take(MAX_METHOD).take_while(|byte| byte.is_ascii_uppercase());
    let method = method.count();
    let rest = opening.get(method..).unwrap_or_default();
    method > 0 && [&b" /"[..], b" http://", b" *"].iter().any(|next| rest.starts_with(next))
}

/// An answer as HTTP/1.1 writes it, the last on its connection.
fn http1(problem: Problem) -> Vec<u8> {
    let (head, body) = problem.into_response().into_parts();
    let status = head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let end = format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    text.extend_from_slice(end.as_bytes());
    text.extend_from_slice(&body);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_told_by_its_first_line() {
        for line in ["GET / HTTP/1.1\r\n", "POST http://a/ HTTP/1.0", "OPTIONS * HTTP/1.1"] {
            assert!(is_http1(line.as_bytes()), "{line}");
        }
        for line in ["", "SSH-2.0-x", "EHLO host", " / HTTP/1.1", "get / HTTP/1.1", "GET"] {
            assert!(!is_http1(line.as_bytes()), "{line}");
        }
    }
}
