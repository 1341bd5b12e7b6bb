//! Bytes both ways, counted, each direction closed when its source is.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf,
    copy_bidirectional_with_sizes, split,
};

use super::{record::Tally, scan::Scan};

/// Bytes in flight in one direction.
pub(super) const BUFFER: usize = 16 * 1024;

/// Passes everything through, `first` before anything else.
pub(super) async fn splice<A, U>(
    agent: A,
    mut upstream: U,
    first: &[u8],
    tally: &Rc<Tally>,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    upstream.write_all(first).await?;
    tally.add_sent(first.len());
    let mut agent = Counted { inner: agent, tally: Rc::clone(tally) };
    copy_bidirectional_with_sizes(&mut agent, &mut upstream, BUFFER, BUFFER).await.map(|_| ())
}

/// Passes everything through and scans what goes to the agent.
pub(super) async fn scanned<A, U>(
    agent: A,
    upstream: U,
    mut scan: Scan,
    tally: &Rc<Tally>,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let agent = Counted { inner: agent, tally: Rc::clone(tally) };
    let ((mut from_agent, mut to_agent), (mut from_upstream, mut to_upstream)) =
        (split(agent), split(upstream));
    let up = async {
        tokio::io::copy(&mut from_agent, &mut to_upstream).await?;
        to_upstream.shutdown().await
    };
    let down = async {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while let Some(clean) = next(&mut from_upstream, &mut buffer, &mut scan).await? {
            to_agent.write_all(&clean).await?;
            to_agent.flush().await?;
        }
        to_agent.write_all(&scan.finish()).await?;
        to_agent.shutdown().await
    };
    tokio::try_join!(up, down).map(|_| ())
}

/// The next bytes that may pass, or none at the end.
async fn next<R: AsyncRead + Unpin>(
    source: &mut R,
    buffer: &mut BytesMut,
    scan: &mut Scan,
) -> io::Result<Option<Bytes>> {
    buffer.reserve(BUFFER);
    tokio::select! {
        read = source.read_buf(buffer) => match read? {
            0 => Ok(None),
            _ => Ok(Some(scan.push(buffer.split().freeze()))),
        },
        tail = poll_fn(|cx| scan.poll_pause(cx)) => Ok(Some(tail)),
    }
}

/// The agent's side of a tunnel: what is read from it was sent, what is written to it received.
pub(super) struct Counted<S> {
    pub(super) inner: S,
    pub(super) tally: Rc<Tally>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.tally.add_sent(buf.filled().len() - before);
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &done {
            self.tally.add_received(*written);
        }
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
