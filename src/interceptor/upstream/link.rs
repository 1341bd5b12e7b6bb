//! One HTTP/1.1 connection, driven by whoever uses it.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio_rustls::client::TlsStream;

use super::RequestBody;
use crate::interceptor::dialer::Leg;

pub(super) type Io = TokioIo<TlsStream<Leg>>;

/// A connection that carries one request at a time.
pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    /// None once it has ended: dropping it is what returns an unsent request to its sender.
    connection: Option<Connection<Io, RequestBody>>,
    idle_since: Instant,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("alive", &self.connection.is_some()).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) async fn open(io: Io) -> hyper::Result<Box<Self>> {
        let (sender, connection) = http1::handshake(io).await?;
        let connection = Some(connection);
        Ok(Box::new(Self { sender, connection, idle_since: Instant::now() }))
    }

    /// Moves bytes as far as they go without waiting.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    /// Sends one request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Can it take another request, now that a body has been read?
    pub(super) fn settled(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.idle_since = Instant::now();
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Is an idle connection still open, as far as can be told without waiting?
    pub(super) fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Ready to be used for the first time.
    pub(super) async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            if self.connection.is_none() { Poll::Ready(false) } else { self.poll_ready(cx) }
        })
        .await
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.sender.poll_ready(cx).map(|ready| ready.is_ok())
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }
}
