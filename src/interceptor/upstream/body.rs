//! Bodies on their way to and from an upstream server.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{link::Link, origin::Origin, shared::Stream};
use crate::interceptor::record::Tally;

/// What the agent sends, counted.
#[derive(Debug)]
pub(in crate::interceptor) struct RequestBody(Option<(Incoming, Rc<Tally>)>);

impl RequestBody {
    pub(in crate::interceptor) fn new(body: Incoming, tally: Rc<Tally>) -> Self {
        Self((!body.is_end_stream()).then_some((body, tally)))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some((body, tally)) = &mut self.get_mut().0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            tally.add_sent(data.len());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}

/// What an upstream server answers. Its connection goes back to the pool when the last byte has been
/// read, and is closed if the body is dropped before.
pub(in crate::interceptor) struct UpstreamBody {
    incoming: Incoming,
    via: Via,
}

/// The connection a body comes from.
pub(super) enum Via {
    /// HTTP/1.1: ours until the body has ended, and driven by reading it.
    Link(Box<Link>, Rc<Origin>),
    /// HTTP/2: one stream of many.
    Shared { _stream: Stream },
    /// Nothing left to do.
    Done,
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, via: Via, cx: &mut Context<'_>) -> Self {
        let mut body = Self { incoming, via };
        if body.incoming.is_end_stream() {
            body.settle(cx);
        }
        body
    }

    /// A body whose connection is nobody's concern any more.
    pub(in crate::interceptor) fn unpooled(incoming: Incoming) -> Self {
        Self { incoming, via: Via::Done }
    }

    /// The body has been read: gives the connection back if it can be used again.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if let Via::Link(mut link, origin) = std::mem::replace(&mut self.via, Via::Done)
            && link.settled(cx)
        {
            origin.give_back(link);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        // Asking first tells the connection that data is wanted; then it can be driven to read some.
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Via::Link(link, _) = &mut this.via
        {
            link.drive(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &frame {
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.settle(cx),
            Poll::Ready(None) => this.settle(cx),
            Poll::Ready(Some(Err(_))) => this.via = Via::Done,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
