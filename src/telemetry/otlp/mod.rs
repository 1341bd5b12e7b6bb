//! OpenTelemetry: what the daemon does, as traces and metrics, to a collector of the user's.
//!
//! OTLP over HTTP with JSON bodies (<https://opentelemetry.io/docs/specs/otlp/>), which every OTLP/HTTP
//! receiver takes. Who has something to tell puts it into a [`Feed`]'s bounded queue and goes on: where the
//! queue is full it is dropped and counted. One task makes batches of it and sends them through a
//! [`Transport`], which is given: this module knows no network, no vault and no policy.
//!
//! What leaves: methods, hosts, paths, names of agents and connections, decisions, sizes and times. No
//! header, no query string, no body, no secret: there is none in an [`Activity`]. A collector that cannot
//! be reached costs telemetry and nothing else.

mod activity;
mod batch;
mod endpoint;
mod json;
mod metrics;
mod send;
mod trace;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

pub use self::{
    activity::{Activity, ActivityKind},
    endpoint::{Endpoint, Options, headers},
};

/// What may wait to be sent.
const QUEUE: usize = 4096;
/// Longest wait for the rest when the daemon stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Sends one request, follows no redirect, and reads a bounded answer in bounded time.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends `request`, whose URI is absolute. An answer of any status is an answer; an error names the
    /// host, never the request.
    fn send(&self, request: Request<Vec<u8>>) -> Sending<'_>;
}

/// A request under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, String>> + Send + 'a>>;

/// Something that happened.
#[derive(Debug)]
pub enum Happened {
    /// A request or a connection came to its end.
    Activity(Box<Activity>),
    /// A run was opened.
    RunOpened,
    /// A run was closed.
    RunClosed,
    /// A token was renewed, or could not be.
    Renewal {
        /// `provider/connection`.
        connection: Arc<str>,
        /// Was it?
        renewed: bool,
    },
}

/// Where to put what happened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feed {
    queue: mpsc::Sender<Happened>,
    dropped: Arc<AtomicU64>,
}

impl Feed {
    /// Tells it. Waits for nothing: where too much is waiting, it is counted as dropped.
    pub fn tell(&self, happened: Happened) {
        if self.queue.try_send(happened).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The export under way. Dropped without [`Self::close`], it goes on until its runtime ends.
#[derive(Debug)]
pub struct Exporter {
    feed: Feed,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins to export, as a task of `runtime`.
    #[must_use]
    pub fn start(options: Options, transport: Arc<dyn Transport>, runtime: &Handle) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let (closing, close) = watch::channel(false);
        let sender = send::Sender::new(options, transport, close);
        let task = runtime.spawn(batch::run(waiting, Arc::clone(&dropped), sender));
        Self { feed: Feed { queue, dropped }, closing, task }
    }

    /// Where to put what happened.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Sends what is waiting, for two seconds at most.
    pub async fn close(self) {
        let Self { closing, task, .. } = self;
        closing.send_replace(true);
        if timeout(CLOSE_LIMIT, task).await.is_err() {
            tracing::warn!("the last telemetry could not be delivered in time");
        }
    }
}
