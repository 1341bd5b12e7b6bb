//! One connection that is terminated here: TLS, then HTTP/1.1 or HTTP/2, as the agent chooses.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{AlertDescription, server::Accepted};
use tokio::time::timeout;
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{
    Run,
    accept::Arrival,
    drain::Watch,
    linger::Linger,
    presence::Presence,
    record::Entry,
    request,
    strict::StrictHttp1,
    upstream::{LocalExecutor, Origin},
    workers::{Context, Tasks},
};
use crate::{
    gate::{RecordKind, Target},
    process::Caller,
};

/// How long an agent may take for its part of the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 connection may be idle before a request begins. hyper counts until a head is
/// whole; [`StrictHttp1`], which holds a head until then, gives one that has begun less time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;
/// Flow-control windows for uploads: what we may have to hold while the upstream is slow.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Largest header list of a request.
const MAX_HEADER_LIST: u32 = 64 << 10;
/// Response bytes an HTTP/2 stream holds while the agent is slow.
const MAX_SEND_BUFFER: usize = 256 << 10;

/// What all requests of one connection share.
pub(super) struct Site {
    pub(super) run: Arc<Run>,
    /// Who sends them.
    pub(super) caller: Caller,
    /// Where they go, and the name they must be for.
    pub(super) origin: Rc<Origin>,
    /// Where tunnels live once the connection has become one.
    pub(super) tasks: Tasks,
    /// Ends the checking of HTTP/1.1 when the connection becomes something else.
    switch: Option<Arc<AtomicBool>>,
    /// The agent's socket, where the HTTP library does not say that the agent has left.
    presence: Option<Presence>,
}

impl Site {
    pub(super) fn target(&self) -> &Target {
        self.origin.target()
    }

    /// From here on the connection is not HTTP any more.
    pub(super) fn leave_http(&self) {
        if let Some(switch) = &self.switch {
            switch.store(true, Ordering::Release);
        }
    }

    /// Resolves when the agent has left. HTTP/2 drops what it asked for then, so nobody need look.
    pub(super) async fn agent_gone(&self) {
        match &self.presence {
            Some(presence) => presence.gone().await,
            None => std::future::pending().await,
        }
    }
}

/// Terminates TLS and serves requests until the connection ends.
pub(super) async fn intercept(
    context: Rc<Context>,
    run: Arc<Run>,
    arrival: Arrival,
    target: Target,
    accepted: Accepted,
) {
    let Arrival { stream, caller } = arrival;
    let refuse = |code| {
        Entry::new(&run.gate, &caller, RecordKind::Connection, target.clone()).denied(code);
    };
    let config = match run.ca.config(&target.host) {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!(%error, "no certificate for an intercepted name");
            return refuse("no-certificate");
        }
    };
    let Some(origin) = context.pool.origin(&run.dialer, &target) else {
        return refuse("no-certificate");
    };
    let handshake = StartHandshake::from_parts(accepted, Linger::new(stream)).into_stream(config);
    let stream = match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(handshake_code(&error)),
        Err(_) => return refuse("agent-tls"),
    };
    let watch = context.drain.watch();
    let tasks = Rc::clone(&context.tasks);
    let site = Site { run, caller, origin, tasks, switch: None, presence: None };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(site, stream, watch).await;
    } else {
        http1(site, stream, watch).await;
    }
}

/// Does the agent distrust our certificate (it pins another, or has roots of its own), or is it
/// something else?
fn handshake_code(error: &io::Error) -> &'static str {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate,
        )) => "agent-distrusts",
        _ => "agent-tls",
    }
}

async fn http1(mut site: Site, stream: TlsStream<Linger>, mut watch: Watch) {
    let (gate, target) = (Arc::clone(&site.run.gate), site.target().clone());
    let caller = site.caller.clone();
    site.presence = Presence::of(stream.get_ref().0);
    let stream = StrictHttp1::new(
        stream,
        Box::new(move |code| {
            Entry::new(&gate, &caller, RecordKind::Connection, target.clone()).denied(code);
        }),
    );
    site.switch = Some(stream.passthrough_switch());
    let site = Rc::new(site);
    let service = service_fn(|request| {
        let site = Rc::clone(&site);
        async move { Ok::<_, Infallible>(request::handle(site, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .half_close(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut leaving = false;
    let served = poll_fn(|cx| {
        if !leaving && watch.raised(cx) {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    note(served.await);
}

async fn http2(site: Site, stream: TlsStream<Linger>, mut watch: Watch) {
    let site = Rc::new(site);
    let service = service_fn(|request| {
        let site = Rc::clone(&site);
        async move { Ok::<_, Infallible>(request::handle(site, request).await) }
    });
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut leaving = false;
    let served = poll_fn(|cx| {
        if !leaving && watch.raised(cx) {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    note(served.await);
}

fn note(served: hyper::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%error, "an agent's connection ended");
    }
}
