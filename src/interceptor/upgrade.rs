//! Connections that become something else: WebSocket and other upgrades (RFC 9110 §7.8).

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::{
    head,
    problem::Problem,
    record::Entry,
    request,
    response::{self, ReplyBody},
    scan::Scan,
    serve::Site,
    tunnel,
    upstream::RequestBody,
};
use crate::gate::Injection;

/// An upgrade in the making.
pub(super) struct Wanted {
    /// What the agent asked for.
    pub(super) protocol: HeaderValue,
    /// The agent's connection, once it has been upgraded.
    pub(super) agent: OnUpgrade,
}

/// Sends the request, and passes bytes both ways if the upstream agrees.
pub(super) async fn exchange(
    site: &Rc<Site>,
    mut request: Request<RequestBody>,
    wanted: Wanted,
    injection: Option<Injection>,
    entry: Entry,
) -> Response<ReplyBody> {
    head::restore_upgrade(request.headers_mut(), wanted.protocol);
    let method = request.method().clone();
    let mut answer = match site.origin.send_upgrade(request).await {
        Ok(answer) => answer,
        Err(failure) => return request::failed(site, &failure, entry),
    };
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let answer = answer.map(super::upstream::UpstreamBody::unpooled);
        let problem = || Problem::encoding(site.target());
        return response::relay(answer, &method, injection.as_ref(), entry, problem);
    }
    let upstream = hyper::upgrade::on(&mut answer);
    let (mut parts, _) = answer.into_parts();
    let protocol = parts.headers.get(http::header::UPGRADE).cloned();
    parts.extensions.clear();
    head::strip_response(&mut parts.headers);
    if let Some(protocol) = protocol {
        head::restore_upgrade(&mut parts.headers, protocol);
    }
    let scrubber = injection.map(|injection| injection.scrubber).filter(|s| !s.is_empty());
    if let Some(scrubber) = &scrubber {
        response::scrub(&mut parts.headers, scrubber);
    }
    let mut entry = entry;
    entry.answered(parts.status);
    let scan = scrubber.map(|scrubber| Scan::new(&scrubber));
    site.leave_http();
    site.tasks.borrow_mut().spawn_local(pass(wanted.agent, upstream, scan, entry));
    Response::from_parts(parts, ReplyBody::Whole(Bytes::new()))
}

async fn pass(agent: OnUpgrade, upstream: OnUpgrade, scan: Option<Scan>, mut entry: Entry) {
    let (agent, upstream) = match tokio::try_join!(agent, upstream) {
        Ok((agent, upstream)) => (TokioIo::new(agent), TokioIo::new(upstream)),
        Err(error) => {
            tracing::debug!(%error, "an upgrade failed");
            return entry.failed("upgrade-failed");
        }
    };
    let tally = entry.tally();
    let passed = match scan {
        Some(scan) => tunnel::scanned(agent, upstream, scan, &tally).await,
        None => tunnel::splice(agent, upstream, &[], &tally).await,
    };
    match passed {
        Ok(()) => entry.complete(),
        Err(error) => {
            tracing::debug!(%error, "an upgraded connection broke");
            entry.failed("connection-reset");
        }
    }
}
