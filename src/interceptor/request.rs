//! One request, from its head to the head of its answer.
//!
//! The order matters: the authority is checked before the gate is asked; the body is not touched
//! before the gate has spoken, so a client that waits for `100 Continue` never sends what would be
//! refused; what is for the next hop only is removed before anything is injected.

use std::rc::Rc;

use http::{Method, Request, Response, StatusCode, request::Parts};
use hyper::body::Incoming;

use super::{
    authority::{self, Wrong},
    head, inject,
    problem::Problem,
    record::Entry,
    response::{self, ReplyBody},
    serve::Site,
    upgrade::{self, Wanted},
    upstream::{Failure, RequestBody},
};
use crate::gate::{Decision, Injection, RecordKind, RequestFacts, Verdict};

/// Answers one request.
pub(super) async fn handle(site: Rc<Site>, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let mut entry = Entry::new(&site.run.gate, RecordKind::Request, site.target().clone());
    let agent = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let injection = match authorize(&site, &parts, &mut entry).await {
        Ok(injection) => injection,
        Err(problem) => {
            entry.edit(|record| record.decision = Decision::Deny);
            return response::refuse(problem, entry);
        }
    };
    let wanted = head::upgrade(&parts).map(|protocol| Wanted { protocol, agent });
    if let Err(problem) = prepare(&mut parts, injection.as_ref(), &mut entry) {
        return response::refuse(problem, entry);
    }
    let method = parts.method.clone();
    let request = Request::from_parts(parts, RequestBody::new(body, entry.tally()));
    if let Some(wanted) = wanted {
        return Box::pin(upgrade::exchange(&site, request, wanted, injection, entry)).await;
    }
    match site.origin.send(request).await {
        Ok(answer) => {
            let problem = || Problem::encoding(site.target());
            response::relay(answer, &method, injection.as_ref(), entry, problem)
        }
        Err(failure) => failed(&site, &failure, entry),
    }
}

/// Answers for an upstream that did not.
pub(super) fn failed(site: &Site, failure: &Failure, entry: Entry) -> Response<ReplyBody> {
    let problem = match failure {
        Failure::Dial(error) => Problem::undialled(site.target(), error),
        Failure::Protocol => Problem::protocol(site.target()),
    };
    response::refuse(problem, entry)
}

/// Asks the gate. The problem, if there is one, is the agent's answer.
async fn authorize(
    site: &Site,
    parts: &Parts,
    entry: &mut Entry,
) -> Result<Option<Injection>, Problem> {
    let target = site.target();
    let path = parts.uri.path().to_owned();
    let facts = RequestFacts { method: parts.method.clone(), target: target.clone(), path };
    let verdict = match authority::check(parts, target) {
        Ok(()) if parts.method == Method::CONNECT => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "no-tunnel",
            "CONNECT is not forwarded",
        )),
        Ok(()) => Ok(site.run.gate.authorize(&facts, parts).await),
        Err(Wrong::Malformed) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-authority",
            "the request does not name exactly one host",
        )),
        Err(Wrong::Misdirected) => Err(Problem::misdirected(target)),
    };
    let RequestFacts { method, path, .. } = facts;
    entry.edit(|record| {
        record.method = Some(method);
        record.path = Some(path);
    });
    match verdict? {
        Verdict::Deny(denial) => Err(Problem::denied(denial)),
        Verdict::Forward => Ok(None),
        Verdict::Inject(injection) => Ok(Some(injection)),
    }
}

/// Makes the head what the upstream is to see.
fn prepare(
    parts: &mut Parts,
    injection: Option<&Injection>,
    entry: &mut Entry,
) -> Result<(), Problem> {
    parts.extensions.clear();
    head::strip_request(&mut parts.headers);
    let Some(injection) = injection else { return Ok(()) };
    inject::apply(parts, &injection.changes).map_err(|error| Problem::uninjectable(&error))?;
    head::ask_for_plain(&mut parts.headers);
    entry.edit(|record| {
        record.decision = Decision::Inject;
        record.connection = Some(injection.connection.clone());
    });
    Ok(())
}
