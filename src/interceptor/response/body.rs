//! A response body on its way to the agent.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{decode::Decoded, scrub};
use crate::{
    interceptor::{
        record::{Entry, Tally},
        scan::Scan,
        upstream::UpstreamBody,
    },
    scrub::Scrubber,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the agent is sent.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every body is the large one")]
pub(in crate::interceptor) enum ReplyBody {
    /// Something of our own.
    Whole(Bytes),
    /// An upstream's.
    Stream(Relay),
}

/// Where a body comes from.
pub(super) enum Source {
    Plain(UpstreamBody),
    Decoded(Box<Decoded>),
}

/// An upstream's body, counted, scanned if need be, and recorded when it has ended.
pub(in crate::interceptor) struct Relay {
    source: Source,
    scan: Option<(Scan, Arc<Scrubber>)>,
    /// Trailers that wait for the scanner's last bytes to go before them.
    trailers: Option<HeaderMap>,
    /// Gone once everything has been handed out.
    entry: Option<Entry>,
    tally: Rc<Tally>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("scan", &self.scan.is_some()).finish_non_exhaustive()
    }
}

impl ReplyBody {
    pub(super) fn plain(body: UpstreamBody, entry: Entry) -> Self {
        Self::stream(Source::Plain(body), None, entry)
    }

    pub(super) fn stream(
        source: Source,
        scan: Option<(Scan, Arc<Scrubber>)>,
        entry: Entry,
    ) -> Self {
        let tally = entry.tally();
        let mut relay = Relay { source, scan, trailers: None, entry: Some(entry), tally };
        relay.note_end();
        Self::Stream(relay)
    }
}

impl Relay {
    /// Nothing more is to come.
    fn has_ended(&self) -> bool {
        let held = self.scan.as_ref().map_or(0, |(scan, _)| scan.held());
        held == 0 && self.trailers.is_none() && self.source.is_end_stream()
    }

    /// Makes the record as soon as the last byte has been handed out: nobody may ask again.
    fn note_end(&mut self) {
        if self.has_ended() {
            self.complete();
        }
    }

    fn complete(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.complete();
        }
    }

    fn finish_scan(&mut self) -> Bytes {
        self.scan.as_mut().map(|(scan, _)| scan.finish()).unwrap_or_default()
    }

    /// What of a chunk can go on now; if it is the last one, all of it.
    fn clean(&mut self, chunk: Bytes) -> Bytes {
        let last = self.source.is_end_stream();
        let Some((scan, _)) = &mut self.scan else { return chunk };
        let clean = scan.push(chunk);
        if !last || scan.held() == 0 {
            return clean;
        }
        let mut whole = BytesMut::from(clean);
        whole.extend_from_slice(&scan.finish());
        whole.freeze()
    }

    fn data(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.tally.add_received(data.len());
        self.note_end();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(trailers) = self.trailers.take() {
            self.complete();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        loop {
            let frame = match self.source.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    if let Some(mut entry) = self.entry.take() {
                        entry.failed("upstream-protocol");
                    }
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let tail = self.finish_scan();
                    if tail.is_empty() {
                        self.complete();
                        return Poll::Ready(None);
                    }
                    return self.data(tail);
                }
                Poll::Pending => {
                    let Some((scan, _)) = &mut self.scan else { return Poll::Pending };
                    let tail = ready!(scan.poll_pause(cx));
                    return self.data(tail);
                }
            };
            let mut trailers = match frame.into_data() {
                Ok(chunk) => {
                    let clean = self.clean(chunk);
                    if clean.is_empty() {
                        continue;
                    }
                    return self.data(clean);
                }
                Err(frame) => frame.into_trailers().unwrap_or_default(),
            };
            if let Some((_, scrubber)) = &self.scan {
                scrub(&mut trailers, scrubber);
            }
            let tail = self.finish_scan();
            if tail.is_empty() {
                self.complete();
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            self.trailers = Some(trailers);
            return self.data(tail);
        }
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Self::Plain(body) => Pin::new(body).poll_frame(cx).map_err(Error::from),
            Self::Decoded(body) => body.poll_frame(cx).map_err(Error::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Decoded(_) => false,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(relay) => relay.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(relay) => relay.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(Relay { source: Source::Plain(body), scan, .. }) => {
                let held = scan.as_ref().map_or(0, |(scan, _)| scan.held()) as u64;
                match body.size_hint().exact() {
                    Some(left) => SizeHint::with_exact(left.saturating_add(held)),
                    None => SizeHint::default(),
                }
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
