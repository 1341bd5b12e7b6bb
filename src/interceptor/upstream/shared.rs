//! One HTTP/2 connection, shared by the requests of a worker to one target.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http2::{Builder, SendRequest},
    },
    rt::Executor,
};
use hyper_util::rt::TokioTimer;

use super::{RequestBody, link::Io};

/// Flow-control windows: enough for 100 MiB/s over 40 ms.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// A connection with open requests that is silent for this long is asked whether it is alive.
const PING_AFTER: Duration = Duration::from_secs(30);
/// Largest header list of a response.
const MAX_HEADER_LIST: u32 = 256 << 10;
/// Streams opened on one connection before another one is made, whatever the server allows.
const MAX_STREAMS: usize = 100;

/// Spawns into the worker's own runtime.
#[derive(Clone, Copy, Debug)]
pub(in crate::interceptor) struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

/// A handle to the connection.
#[derive(Clone)]
pub(super) struct Shared {
    sender: SendRequest<RequestBody>,
    usage: Rc<Usage>,
}

#[derive(Debug)]
struct Usage {
    open: Cell<usize>,
    /// What the server allows at the moment.
    limit: Cell<usize>,
    since: Cell<Instant>,
}

/// Counts one open stream.
pub(super) struct Stream(Rc<Usage>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.since.set(Instant::now());
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("usage", &self.usage).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) async fn open(io: Io) -> hyper::Result<Self> {
        let (sender, connection) = Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(PING_AFTER)
            .handshake(io)
            .await?;
        let usage = Rc::new(Usage {
            open: Cell::new(0),
            limit: Cell::new(MAX_STREAMS),
            since: Cell::new(Instant::now()),
        });
        let seen = Rc::clone(&usage);
        drop(tokio::task::spawn_local(async move {
            let mut connection = pin!(connection);
            let ended = poll_fn(|cx| {
                let state = connection.as_mut().poll(cx);
                seen.limit.set(connection.current_max_send_streams().clamp(1, MAX_STREAMS));
                state
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "an upstream HTTP/2 connection ended");
            }
        }));
        Ok(Self { sender, usage })
    }

    /// Can another stream be opened?
    pub(super) fn has_room(&self) -> bool {
        self.is_open() && self.usage.open.get() < self.usage.limit.get()
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Since when nobody uses it.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.usage.open.get() == 0).then(|| self.usage.since.get())
    }

    pub(super) fn stream(&self) -> Stream {
        self.usage.open.set(self.usage.open.get() + 1);
        Stream(Rc::clone(&self.usage))
    }

    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.sender.try_send_request(request).await
    }
}
