//! One target's connections, and sending a request on one of them.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use http::{HeaderValue, Request, Response, uri::Authority};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::{
    Failure, IDLE_TIMEOUT, MAX_IDLE, RequestBody, UpstreamBody, body::Via, link::Link,
    shared::Shared,
};
use crate::{
    gate::Target,
    interceptor::{
        dialer::{Dialer, Offer},
        head,
    },
};

/// Connections a request is tried on, the last of them a fresh one.
const ATTEMPTS: usize = 3;

/// Where a run's requests to one target go.
pub(in crate::interceptor) struct Origin {
    dialer: Arc<Dialer>,
    target: Target,
    authority: Authority,
    host: HeaderValue,
    /// Has it chosen HTTP/1.1 before? Then connections need not wait for one another.
    http1: Cell<bool>,
    #[expect(
        clippy::vec_box,
        reason = "a link is a kilobyte or two and goes in and out all the time"
    )]
    idle: RefCell<Vec<Box<Link>>>,
    shared: RefCell<Vec<Shared>>,
    /// Held while it is not known whether the next connection can be shared.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection for one request.
enum Lease {
    Link(Box<Link>),
    Shared(Shared),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Origin {
    pub(super) fn new(dialer: Arc<Dialer>, target: Target) -> Option<Self> {
        let full = target.to_string();
        let text = if target.port == 443 { full.strip_suffix(":443")? } else { &full };
        let authority: Authority = text.parse().ok()?;
        let host = HeaderValue::from_str(text).ok()?;
        Some(Self {
            dialer,
            target,
            authority,
            host,
            http1: Cell::default(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// The target all of this is about.
    pub(in crate::interceptor) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request whose head has been stripped of what is for the next hop only.
    ///
    /// A request that a kept connection could not take is sent again on another one: always if it
    /// never left, and if it did, once and only where that does no harm (RFC 9110 §9.2.2).
    pub(in crate::interceptor) async fn send(
        self: &Rc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        for attempt in 1..=ATTEMPTS {
            let (lease, kept) = self.lease(attempt == ATTEMPTS).await?;
            let spare = if kept { copy(&request) } else { None };
            let sent = match lease {
                Lease::Link(mut link) => {
                    head::to_http1(&mut request, &self.host);
                    let answer = link.exchange(request).await;
                    answer.map(|answer| (answer, Via::Link(link, Rc::clone(self))))
                }
                Lease::Shared(mut shared) => {
                    head::to_http2(&mut request, &self.authority);
                    let stream = shared.stream();
                    let answer = shared.exchange(request).await;
                    answer.map(|answer| (answer, Via::Shared { _stream: stream }))
                }
            };
            match sent {
                Ok((answer, via)) => return Ok(with_body(answer, via).await),
                Err(mut lost) => {
                    tracing::debug!(target = %self.target, error = %lost.error(), kept,
                        "a request failed");
                    let again = lost.take_message().or(spare);
                    request = again.ok_or(Failure::Protocol)?;
                }
            }
        }
        Err(Failure::Protocol)
    }

    /// Sends a request to upgrade, on a connection of its own. The answer can be upgraded.
    pub(in crate::interceptor) async fn send_upgrade(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        let secured = Box::pin(self.dialer.tls(&self.target, Offer::Http1)).await?;
        let handshake = http1::handshake(TokioIo::new(secured.stream));
        let (mut sender, connection) = handshake.await.map_err(|_| Failure::Protocol)?;
        drop(tokio::task::spawn_local(connection.with_upgrades()));
        head::to_http1(&mut request, &self.host);
        sender.send_request(request).await.map_err(|_| Failure::Protocol)
    }

    /// Takes an unused connection back.
    pub(super) fn give_back(&self, link: Box<Link>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
    }

    /// Closes what has been idle too long. Is anything left?
    pub(super) fn sweep(&self, now: Instant) -> bool {
        let young = |since: Instant| now.duration_since(since) < IDLE_TIMEOUT;
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|link| young(link.idle_since()) && link.is_usable());
        let mut shared = self.shared.borrow_mut();
        shared.retain(|one| one.is_open() && one.idle_since().is_none_or(young));
        !idle.is_empty() || !shared.is_empty()
    }

    /// A connection, and whether it was used before.
    async fn lease(&self, fresh: bool) -> Result<(Lease, bool), Failure> {
        if !fresh && let Some(lease) = self.kept() {
            return Ok((lease, true));
        }
        Box::pin(self.lease_new(fresh)).await
    }

    async fn lease_new(&self, fresh: bool) -> Result<(Lease, bool), Failure> {
        if self.http1.get() {
            return self.connect().await.map(|lease| (lease, false));
        }
        let _one_at_a_time = self.connecting.lock().await;
        // Somebody else may have connected meanwhile.
        if !fresh && let Some(lease) = self.kept() {
            return Ok((lease, true));
        }
        self.connect().await.map(|lease| (lease, false))
    }

    fn kept(&self) -> Option<Lease> {
        if let Some(shared) = self.shared.borrow().iter().find(|shared| shared.has_room()) {
            return Some(Lease::Shared(shared.clone()));
        }
        // The youngest first: the most likely to be alive, and warm.
        let mut idle = self.idle.borrow_mut();
        while let Some(mut link) = idle.pop() {
            if link.is_usable() {
                return Some(Lease::Link(link));
            }
        }
        None
    }

    async fn connect(&self) -> Result<Lease, Failure> {
        let secured = Box::pin(self.dialer.tls(&self.target, Offer::Any)).await?;
        let io = TokioIo::new(secured.stream);
        self.http1.set(!secured.h2);
        if secured.h2 {
            let shared = Shared::open(io).await.map_err(|_| Failure::Protocol)?;
            let mut all = self.shared.borrow_mut();
            all.retain(Shared::is_open);
            all.push(shared.clone());
            return Ok(Lease::Shared(shared));
        }
        let mut link = Link::open(io).await.map_err(|_| Failure::Protocol)?;
        if !link.ready().await {
            return Err(Failure::Protocol);
        }
        Ok(Lease::Link(link))
    }
}

/// The same request once more, where sending it twice does no harm and nothing of it is consumed.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !head::is_idempotent(request.method()) || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

async fn with_body(answer: Response<Incoming>, via: Via) -> Response<UpstreamBody> {
    let (parts, incoming) = answer.into_parts();
    let mut both = Some((incoming, via));
    let body = poll_fn(|cx| match both.take() {
        Some((incoming, via)) => Poll::Ready(UpstreamBody::new(incoming, via, cx)),
        None => Poll::Pending,
    });
    Response::from_parts(parts, body.await)
}
