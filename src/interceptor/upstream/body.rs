//! Bodies on their way to and from an upstream server.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{link::Link, origin::Origin, shared::Stream};
use crate::interceptor::record::Tally;

/// A body of at most this many bytes can be sent again.
const MAX_RECORDED: usize = 64 * 1024;

/// What the agent sends, counted.
#[derive(Debug)]
pub(in crate::interceptor) enum RequestBody {
    /// Nothing, or nothing any more.
    Empty,
    /// Bytes that are all there.
    Whole(Bytes),
    /// As it comes.
    Streamed { body: Incoming, tally: Rc<Tally>, recording: Option<Rc<Recording>> },
}

impl RequestBody {
    pub(in crate::interceptor) fn new(body: Incoming, tally: Rc<Tally>) -> Self {
        if body.is_end_stream() {
            Self::Empty
        } else {
            Self::Streamed { body, tally, recording: None }
        }
    }

    /// Keeps a copy of what passes, in case it has to be sent again.
    pub(in crate::interceptor) fn record(&mut self) -> Rc<Recording> {
        let kept = Rc::new(Recording::default());
        match self {
            Self::Streamed { recording, .. } => *recording = Some(Rc::clone(&kept)),
            Self::Empty => kept.state.borrow_mut().whole = true,
            Self::Whole(bytes) => {
                let mut state = kept.state.borrow_mut();
                state.chunks.push(bytes.clone());
                state.whole = true;
            }
        }
        kept
    }
}

/// A copy of a small body.
#[derive(Debug, Default)]
pub(in crate::interceptor) struct Recording {
    state: RefCell<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    chunks: Vec<Bytes>,
    length: usize,
    /// Everything has passed.
    whole: bool,
    /// It cannot be sent again: too much, or trailers.
    lost: bool,
}

impl Recording {
    /// The body once more, if all of it has passed and was little.
    pub(in crate::interceptor) fn again(&self) -> Option<RequestBody> {
        let state = self.state.borrow();
        if !state.whole || state.lost {
            return None;
        }
        Some(match state.chunks.as_slice() {
            [] => RequestBody::Empty,
            [one] => RequestBody::Whole(one.clone()),
            several => RequestBody::Whole(several.concat().into()),
        })
    }

    fn note(&self, frame: &Frame<Bytes>) {
        let mut state = self.state.borrow_mut();
        let data = frame.data_ref();
        state.length += data.map_or(0, Bytes::len);
        if data.is_none() || state.length > MAX_RECORDED {
            state.lost = true;
            state.chunks = Vec::new();
        }
        if let Some(data) = data.filter(|data| !state.lost && !data.is_empty()) {
            state.chunks.push(data.clone());
        }
    }

    /// Everything has passed. A body that turned out to be empty is one nevertheless: sent again, it
    /// says its length, as servers that demand one (RFC 9110 §15.5.12) want to see it.
    fn finish(&self) {
        let mut state = self.state.borrow_mut();
        state.whole = true;
        if state.chunks.is_empty() {
            state.chunks.push(Bytes::new());
        }
    }

    /// It broke off.
    fn lose(&self) {
        let mut state = self.state.borrow_mut();
        state.lost = true;
        state.chunks = Vec::new();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let (body, tally, recording) = match this {
            Self::Empty => return Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Self::Streamed { body, tally, recording } => (body, tally, recording),
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            tally.add_sent(frame.data_ref().map_or(0, Bytes::len));
        }
        if let Some(recording) = recording {
            match &frame {
                Some(Ok(frame)) => {
                    recording.note(frame);
                    // Nobody asks for more of a body whose length is known.
                    if body.is_end_stream() {
                        recording.finish();
                    }
                }
                Some(Err(_)) => recording.lose(),
                None => recording.finish(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) => false,
            Self::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Streamed { body, .. } => body.size_hint(),
        }
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn recorded(chunks: &[&[u8]]) -> Recording {
        let recording = Recording::default();
        for chunk in chunks {
            recording.note(&Frame::data(Bytes::copy_from_slice(chunk)));
        }
        recording
    }

    fn bytes(body: Option<RequestBody>) -> Option<Bytes> {
        match body? {
            RequestBody::Whole(bytes) => Some(bytes),
            RequestBody::Empty | RequestBody::Streamed { .. } => None,
        }
    }

    #[test]
    fn chunks_come_again_in_their_order() {
        let recording = recorded(&[b"one, ", b"", b"two, ", b"three"]);
        recording.finish();

        assert_eq!(bytes(recording.again()).unwrap(), "one, two, three");
        assert_eq!(bytes(recording.again()).unwrap(), "one, two, three", "and again");
    }

    #[test]
    fn a_body_that_has_not_ended_does_not_come_again() {
        assert!(recorded(&[b"half"]).again().is_none());
    }

    #[test]
    fn a_body_that_broke_off_does_not_come_again() {
        let recording = recorded(&[b"half"]);

        recording.lose();
        recording.finish();

        assert!(recording.again().is_none());
    }

    #[test]
    fn a_body_comes_again_up_to_the_limit_and_is_forgotten_beyond() {
        let most = recorded(&[&[7; MAX_RECORDED]]);
        let more = recorded(&[&[7; MAX_RECORDED], b"8", b"9"]);
        most.finish();
        more.finish();

        assert_eq!(bytes(most.again()).unwrap().len(), MAX_RECORDED);
        assert!(more.again().is_none());
        assert!(more.state.borrow().chunks.iter().all(Bytes::is_empty));
    }

    #[test]
    fn a_body_with_trailers_does_not_come_again() {
        let recording = recorded(&[b"data"]);

        recording.note(&Frame::trailers(HeaderMap::new()));
        recording.finish();

        assert!(recording.again().is_none());
    }

    #[test]
    fn no_body_stays_none_and_an_empty_one_stays_one() {
        let none = RequestBody::Empty.record();
        let empty = recorded(&[]);
        empty.finish();

        assert!(none.again().unwrap().is_end_stream());
        assert_eq!(bytes(none.again()), None);
        assert_eq!(bytes(empty.again()), Some(Bytes::new()));
    }

    #[test]
    fn a_body_that_is_all_there_comes_again_before_it_is_sent() {
        let recording = RequestBody::Whole(Bytes::from_static(b"whole")).record();

        assert_eq!(bytes(recording.again()).unwrap(), "whole");
    }
}
