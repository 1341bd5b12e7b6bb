//! Undoes a content coding, so that what is inside can be scanned (RFC 9110 §8.4).

use std::{
    cell::RefCell,
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use async_compression::{
    tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame};
use tokio::io::AsyncRead;
use tokio_util::io::{StreamReader, poll_read_buf};

use crate::interceptor::upstream::UpstreamBody;

/// Decoded bytes asked for at once.
const CHUNK: usize = 16 * 1024;
/// The largest window of a zstd frame, as a power of two: 8 MiB, what a server may count on (RFC 9659
/// §3). The decoder holds a window for as long as its body lasts, and a frame may ask for gigabytes.
const ZSTD_WINDOW_LOG: u32 = 23;
/// How a brotli stream begins whose window is larger than the format's 16 MiB: seven bits that RFC 7932
/// (§9.1) does not assign, and that our decoder would take for an invitation to hold 1 GiB.
const BROTLI_LARGE_WINDOW: u8 = 0b001_0001;

/// A coding we can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zlib,
    Brotli,
    Zstd,
}

/// A coding we cannot undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

impl Coding {
    /// What a `Content-Encoding` says; none for no coding at all.
    pub(super) fn of(header: Option<&HeaderValue>) -> Result<Option<Self>, Unknown> {
        let Some(header) = header else { return Ok(None) };
        let name = header.to_str().map_err(|_| Unknown)?.trim().to_ascii_lowercase();
        Ok(Some(match name.as_str() {
            "" | "identity" => return Ok(None),
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Zlib,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return Err(Unknown),
        }))
    }
}

/// A body without its coding.
pub(super) struct Decoded {
    reader: Box<dyn AsyncRead + Unpin>,
    buffer: BytesMut,
    trailers: Rc<RefCell<Option<HeaderMap>>>,
    ended: bool,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded").finish_non_exhaustive()
    }
}

impl Decoded {
    pub(super) fn new(body: UpstreamBody, coding: Coding) -> Self {
        let trailers = Rc::default();
        let unseen = coding == Coding::Brotli;
        let encoded = StreamReader::new(Data { body, trailers: Rc::clone(&trailers), unseen });
        let reader: Box<dyn AsyncRead + Unpin> = match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Coding::Zlib => Box::new(ZlibDecoder::new(encoded)),
            Coding::Brotli => Box::new(BrotliDecoder::new(encoded)),
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                Box::new(ZstdDecoder::with_params(encoded, &[window]))
            }
        };
        Self { reader, buffer: BytesMut::new(), trailers, ended: false }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        self.buffer.reserve(CHUNK);
        match ready!(poll_read_buf(Pin::new(&mut self.reader), cx, &mut self.buffer)) {
            Ok(0) => {
                self.ended = true;
                self.poll_frame(cx)
            }
            Ok(_) => Poll::Ready(Some(Ok(Frame::data(self.buffer.split().freeze())))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// The data of a body; its trailers are put aside.
struct Data {
    body: UpstreamBody,
    trailers: Rc<RefCell<Option<HeaderMap>>>,
    /// A brotli stream whose first byte has not come yet.
    unseen: bool,
}

impl Data {
    /// The decoder cannot be told to refuse a large window; but one can be seen from the first byte.
    fn refuse_large_window(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(first) = data.first().filter(|_| self.unseen) else { return Ok(()) };
        self.unseen = false;
        if first & 0x7f == BROTLI_LARGE_WINDOW {
            let why = "a brotli window larger than 16 MiB";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(())
    }
}

impl Stream for Data {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(data) => {
                    let fit = this.refuse_large_window(&data);
                    return Poll::Ready(Some(fit.map(|()| data)));
                }
                Err(frame) => *this.trailers.borrow_mut() = frame.into_trailers().ok(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_that_cannot_be_undone_is_unknown_never_none() {
        let of = |text: &'static str| Coding::of(Some(&HeaderValue::from_static(text)));

        assert_eq!(of("GZip"), Ok(Some(Coding::Gzip)));
        assert_eq!(of("identity"), Ok(None));
        assert_eq!(of("gzip, br"), Err(Unknown));
        assert_eq!(of("compress"), Err(Unknown));
        assert_eq!(Coding::of(None), Ok(None));
    }
}
