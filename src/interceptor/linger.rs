//! A socket that is closed without cutting its last words off.
//!
//! Closing a socket with unread input resets the connection, and a reset discards what the peer has not
//! read yet: an agent in the middle of an upload would never see why it was refused. So after our last
//! byte we read and discard for a short while (RFC 9112 §9.6). The same holds for a stream of HTTP/2: one
//! that is answered before its request has ended is reset (RFC 9113 §8.1), and clients are about that take
//! such a reset for a failure and lose the answer (curl 7.88, Debian 12's).

use std::{
    future::poll_fn,
    io,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body as _, Incoming};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::spawn_local,
    time::{Sleep, sleep, timeout},
};

/// How long the peer has to close its side.
const LINGER: Duration = Duration::from_secs(1);

/// Reads and discards what is left of the body of a request that is being answered, for a short while.
/// Only of HTTP/2: with HTTP/1.1 it would ask for a body that the client holds back until `100 Continue`.
/// Ends with the connection.
pub(super) fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    spawn_local(timeout(LINGER, async move {
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {}
    }));
}

/// A TCP stream that lingers in `shutdown`.
#[derive(Debug)]
pub(super) struct Linger {
    stream: TcpStream,
    leaving: Option<Pin<Box<Sleep>>>,
}

impl Linger {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, leaving: None }
    }
}

impl AsFd for Linger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for Linger {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Linger {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.leaving.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let timer = this.leaving.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut discarded = [0; 4096];
        loop {
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                // Closed, or reset by a peer that is gone: nobody is left to wait for.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
