//! Keeps ambiguous HTTP/1.1 away from the server that parses it.
//!
//! [`StrictHttp1`] sits between TLS and hyper. hyper reads requests as the field does: it prefers
//! `Transfer-Encoding` to `Content-Length`, takes lengths that agree, bare LFs and odd chunk lines.
//! One parser's leniency is harmless; two parsers' differing leniency lets an agent hide a request
//! from the one that decides about it. So every head is held until it is complete and beyond doubt,
//! and only then does hyper see a byte of it.
//!
//! A bad head never reaches hyper, which is fed something it answers with 400 and closes; one that does
//! not end in time is a bad one. A bad body becomes an I/O error, which closes the connection.
//!
//! After a request that may switch protocols (`Upgrade`, `CONNECT`) nothing more is read until it is
//! known what the following bytes are: either the handler sets the switch (before a 101 is written)
//! and all bytes pass unchecked, or the server writes without it and the next request is checked like
//! any other. A write that still belongs to an earlier, pipelined response ends the wait too early;
//! the bytes are then checked when they needed not be, never the reverse.

mod chunk;
mod framer;
mod head;

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use framer::{Framer, Violation};

/// What stands in for a refused head: no method, so hyper answers 400 without asking anyone, and
/// closes.
const UNPARSABLE: &[u8] = b"\0\r\n\r\n";
/// How long the rest of a head may take once its first byte has come. A client sends a head at once;
/// one that does not holds what it has sent, up to 64 KiB, in our memory. Idleness between requests is
/// the server's to limit.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The body of a request breaks RFC 9112; what an [`io::Error`] of kind `InvalidData` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed request body ({code})")]
pub struct MalformedBody {
    /// Stable code of what is wrong with it, such as `http-chunk-size`.
    pub code: &'static str,
}

/// The server's side of an HTTP/1.1 connection that delivers only well-framed requests. Writes pass.
pub struct StrictHttp1<S> {
    inner: S,
    framer: Framer,
    /// Read, but not delivered.
    held: BytesMut,
    /// Of those, from the front, what may be delivered.
    ready: usize,
    /// The framer has yet to see what is held.
    unexamined: bool,
    violation: Option<Violation>,
    /// Nothing is read any more.
    ended: bool,
    passthrough: Arc<AtomicBool>,
    reader: Option<Waker>,
    /// Longest wait for the rest of a head.
    head_timeout: Duration,
    /// Runs while a part of a head is held.
    head_timer: Option<Pin<Box<Sleep>>>,
    on_violation: Box<dyn FnMut(&'static str) + Send>,
}

impl<S: fmt::Debug> fmt::Debug for StrictHttp1<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictHttp1").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> StrictHttp1<S> {
    /// Wraps a connection on which nothing was read yet. `on_violation` is called with a stable code,
    /// such as `http-bare-lf`, at most once and only for a head: a request with a bad body is already
    /// known to whoever answers it.
    pub fn new(inner: S, on_violation: Box<dyn FnMut(&'static str) + Send>) -> Self {
        Self {
            inner,
            framer: Framer::new(),
            held: BytesMut::new(),
            ready: 0,
            unexamined: false,
            violation: None,
            ended: false,
            passthrough: Arc::new(AtomicBool::new(false)),
            reader: None,
            head_timeout: HEAD_TIMEOUT,
            head_timer: None,
            on_violation,
        }
    }

    /// The same with another limit for the time that a head takes.
    #[must_use]
    pub fn with_head_timeout(mut self, limit: Duration) -> Self {
        self.head_timeout = limit;
        self
    }

    /// Set to true, before the response that switches protocols, it lets all further bytes pass
    /// unchecked.
    pub fn passthrough_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.passthrough)
    }

    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        self.head_timer = None;
        let len = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..len).unwrap_or_default());
        self.held.advance(len);
        self.ready -= len;
    }

    fn examine_held(&mut self) {
        self.unexamined = false;
        let progress = self.framer.examine(&self.held);
        self.ready = progress.released;
        self.violation = progress.violation;
    }

    /// Replaces a bad head by what hyper refuses; a bad body is the caller's error.
    fn fail(&mut self, violation: Violation) -> io::Result<()> {
        self.ended = true;
        self.held.clear();
        match violation {
            Violation::Head(code) => {
                (self.on_violation)(code);
                self.held.extend_from_slice(UNPARSABLE);
                self.ready = UNPARSABLE.len();
                Ok(())
            }
            Violation::Body(code) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, MalformedBody { code }))
            }
        }
    }

    /// Nothing more has come: ready once what is held has waited too long for the rest of its head.
    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.is_empty() {
            return Poll::Pending;
        }
        let limit = self.head_timeout;
        let timer = self.head_timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx)
    }

    /// The server writes: whatever was asked last is being answered.
    fn note_answer(&mut self) {
        if self.framer.is_waiting() && !self.passthrough.load(Ordering::Acquire) {
            self.framer.answered();
            self.unexamined = true;
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictHttp1<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.ready > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            if let Some(violation) = this.violation.take() {
                this.fail(violation)?;
                continue;
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if this.passthrough.load(Ordering::Acquire) {
                if this.held.is_empty() {
                    return Pin::new(&mut this.inner).poll_read(cx, buf);
                }
                this.ready = this.held.len();
                continue;
            }
            if this.framer.is_waiting() {
                this.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if this.unexamined {
                this.examine_held();
                continue;
            }
            let before = buf.filled().len();
            match Pin::new(&mut this.inner).poll_read(cx, buf) {
                Poll::Ready(read) => read?,
                Poll::Pending => match this.poll_head_timer(cx) {
                    Poll::Ready(()) => {
                        this.head_timer = None;
                        this.violation = Some(Violation::Head("http-head-timeout"));
                        continue;
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if fresh.is_empty() {
                this.ended = true;
            } else if this.held.is_empty() {
                // The usual case: checked where it lies, in the server's own buffer.
                let progress = this.framer.examine(fresh);
                let (released, kept) =
                    fresh.split_at_checked(progress.released).unwrap_or((fresh, &[]));
                this.held.extend_from_slice(kept);
                this.violation = progress.violation;
                let end = before + released.len();
                buf.set_filled(end);
                if end > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(fresh);
                buf.set_filled(before);
                this.examine_held();
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictHttp1<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.note_answer();
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.note_answer();
        Pin::new(&mut this.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
