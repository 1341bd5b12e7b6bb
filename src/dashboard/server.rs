//! Serving: few connections, HTTP/1.1, and a limit to everything a stranger can make us wait for.

use std::{
    fmt::Write as _,
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Backend, context::Context, routes, session::Sessions};

/// Connections at once; more wait in the listener's queue. Strangers' are closed after
/// [`HEAD_TIMEOUT`], so they cannot hold all of them for long.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may be idle, and a request's head take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may last, whatever it does. Browsers open another, live views too.
const CONNECTION_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long connections have to end when serving ends.
const DRAIN: Duration = Duration::from_secs(2);
/// Rest after an accept that failed: it fails again at once where descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// The dashboard of one daemon.
#[derive(Debug)]
pub struct Dashboard {
    context: Arc<Context>,
}

impl Dashboard {
    /// A dashboard that shows `backend`, keeps its sessions' hashes in the file `sessions` (0600),
    /// and answers to the name `127.0.0.1:port` only.
    pub fn new(backend: Arc<dyn Backend>, sessions: PathBuf, port: u16) -> Self {
        let sessions = Sessions::load(sessions, SystemTime::now());
        Self { context: Arc::new(Context::new(backend, sessions, port)) }
    }

    /// A link that shows `profile`: it signs one browser in, once, within a minute, and leads it to `page`: a path of the
    /// dashboard's; anything else leads to the overview. Whoever has the link is the user: it belongs
    /// on a terminal or in a browser's hands, not in a log.
    pub fn link(&self, profile: &str, page: Option<&str>) -> String {
        let mut link = format!("http://{}{}", self.context.host, routes::OPEN_PATH);
        match self.context.links.make(profile, page, Instant::now()) {
            Ok(token) => {
                // Writing to a string does not fail.
                let _ = link.write_str(&token);
            }
            // A link without a token opens nothing.
            Err(error) => tracing::error!(%error, "no random bytes for a link"),
        }
        link
    }

    /// Serves connections of a listener that is bound to 127.0.0.1 until `stop` resolves, and then
    /// for at most two seconds more.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) {
        let router = routes::router(Arc::clone(&self.context));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let next = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (permit, listener.accept().await)
            };
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (permit, accepted) = next => match accepted {
                    Ok((stream, _)) => {
                        let (router, stopping) =
                            (router.clone(), self.context.stopping.subscribe());
                        connections.spawn(async move {
                            connection(stream, router, stopping).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no connection for the dashboard");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        self.context.stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        // Those that are left are dropped.
        let _ = timeout(DRAIN, drained).await;
    }
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    // A page is one write; what follows should not wait for its acknowledgement.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let served = timeout(CONNECTION_LIFE, async {
        // What it resolves to holds a lock.
        let stop = async { drop(stopping.wait_for(|stopping| *stopping).await) };
        tokio::select! {
            served = connection.as_mut() => served,
            () = stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    });
    if let Ok(Err(error)) = served.await {
        tracing::debug!(%error, "a connection to the dashboard ended");
    }
}
