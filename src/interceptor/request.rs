//! One request, from its head to the head of its answer.
//!
//! The order matters: the authority is checked before the gate is asked; the body is not touched
//! before the gate has spoken, so a client that waits for `100 Continue` never sends what would be
//! refused; what is for the next hop only is removed before anything is injected.

use std::{rc::Rc, sync::Arc};

use http::{
    Method, Request, Response, StatusCode, Uri, Version, request::Parts, uri::PathAndQuery,
};
use hyper::body::Incoming;

use super::{
    authority::{self, Wrong},
    exchange, head, inject, linger, placed, probe,
    problem::Problem,
    record::Entry,
    renew::Spare,
    response::{self, ReplyBody},
    serve::Site,
    upgrade::{self, Wanted},
    upstream::{Failure, RequestBody},
};
use crate::{
    gate::{
        BoxFuture, Decision, Denial, Injection, RecordKind, RequestFacts, Ruling, Target,
        TokenExchange, Verdict,
    },
    request_path::{Canonical, canonical},
};

/// Answers one request.
pub(super) async fn handle(site: Rc<Site>, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let mut entry =
        Entry::new(&site.run.gate, &site.caller, RecordKind::Request, site.target().clone());
    let agent = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let injection = match authorize(&site, &mut parts, &mut entry).await {
        Ok(Passage::Plain) => None,
        Ok(Passage::With(injection)) => Some(injection),
        Ok(Passage::Exchange(exchange)) => {
            return Box::pin(exchange::pass(&site, parts, body, exchange, entry)).await;
        }
        Ok(Passage::Probe) => {
            entry.edit(|record| record.decision = Decision::Answer);
            return exchange::finish(probe::answer(&site.run), &parts.method, entry);
        }
        Err(problem) => {
            entry.edit(|record| record.decision = Decision::Deny);
            if parts.version == Version::HTTP_2 {
                linger::discard(body);
            }
            return response::refuse(problem, entry);
        }
    };
    let wanted = head::upgrade(&parts).map(|protocol| Wanted { protocol, agent });
    parts.extensions.clear();
    head::strip_request(&mut parts.headers);
    let renewable = injection.as_ref().is_some_and(|injection| injection.issue.is_some());
    let mut body = RequestBody::new(body, entry.tally());
    let spare = (renewable && wanted.is_none()).then(|| Spare::new(&parts, &mut body));
    if let Some(injection) = &injection {
        if let Err(error) = inject(&mut parts, injection) {
            entry.edit(|record| record.decision = Decision::Deny);
            return response::refuse(Problem::uninjectable(&error), entry);
        }
        if let Some(connection) = left_over(&site, &parts) {
            let problem = Problem::denied(Denial::left_over(&connection, site.target()));
            entry.edit(|record| {
                record.decision = Decision::Deny;
                record.connection = Some(connection);
            });
            return response::refuse(problem, entry);
        }
        entry.edit(|record| {
            record.decision = Decision::Inject;
            record.connection = Some(injection.connection.clone());
        });
    }
    let method = parts.method.clone();
    let request = Request::from_parts(parts, body);
    if let Some(wanted) = wanted {
        return Box::pin(upgrade::exchange(&site, request, wanted, injection, entry)).await;
    }
    let answer = match site.origin.send(request).await {
        Ok(answer) => answer,
        Err(failure) => return failed(&site, &failure, entry),
    };
    let (answer, injection) = match (spare, injection) {
        (Some(spare), Some(injection)) if answer.status() == StatusCode::UNAUTHORIZED => {
            match Box::pin(spare.renew(&site, answer, injection)).await {
                Ok((answer, injection)) => (answer, Some(injection)),
                Err(problem) => return response::refuse(problem, entry),
            }
        }
        (_, injection) => (answer, injection),
    };
    let problem = || Problem::encoding(site.target());
    response::relay(answer, &method, injection.as_ref(), entry, problem)
}

/// How a request goes on.
enum Passage {
    Plain,
    With(Injection),
    Exchange(Arc<dyn TokenExchange>),
    Probe,
}

/// Puts the credential into a head that has been stripped.
pub(super) fn inject(parts: &mut Parts, injection: &Injection) -> Result<(), inject::Error> {
    inject::apply(parts, &injection.changes)?;
    head::ask_for_plain(&mut parts.headers);
    Ok(())
}

/// The connection whose placeholder is still in a head that a credential was put into. Where none was,
/// the gate has seen the head as it is sent.
fn left_over(site: &Site, parts: &Parts) -> Option<Arc<str>> {
    let finder = site.run.gate.placeholders()?;
    placed::owners(parts, &finder).into_iter().next()
}

/// Answers for an upstream that did not.
pub(super) fn failed(site: &Site, failure: &Failure, entry: Entry) -> Response<ReplyBody> {
    response::refuse(problem(site, failure), entry)
}

/// What an upstream that gave no answer means to the agent.
pub(super) fn problem(site: &Site, failure: &Failure) -> Problem {
    match failure {
        Failure::Dial(error) => Problem::undialled(site.target(), error),
        Failure::Protocol => Problem::protocol(site.target()),
    }
}

/// Asks the gate. The problem, if there is one, is the agent's answer.
async fn authorize(site: &Site, parts: &mut Parts, entry: &mut Entry) -> Result<Passage, Problem> {
    let target = site.target();
    entry.edit(|record| record.method = Some(parts.method.clone()));
    let path = check(parts, target).and_then(|()| normalise(parts));
    // What was sent in another form than its one is recorded as it came only where it goes no further.
    let recorded = path.as_ref().map_or_else(|_| parts.uri.path(), Canonical::as_str).to_owned();
    entry.edit(|record| record.path = Some(recorded));
    let path = path?;
    if probe::is_host(target) {
        return Ok(Passage::Probe);
    }
    let facts = RequestFacts { method: parts.method.clone(), target: target.clone(), path };
    let ruling = unless_gone(site, site.run.gate.authorize(&facts, parts)).await;
    let Ruling { says, policy, connection } = ruling.ok_or_else(Problem::left)?;
    entry.edit(|record| {
        record.policy = policy;
        record.connection = connection;
    });
    match says {
        Verdict::Deny(denial) => Err(Problem::denied(denial)),
        Verdict::Misplaced(connection) => {
            let denial = Denial::misplaced(&connection, target);
            entry.edit(|record| record.connection = Some(connection));
            Err(Problem::denied(denial))
        }
        Verdict::Later(denial, wait) => Err(Problem::delayed(denial, wait)),
        Verdict::Forward => Ok(Passage::Plain),
        Verdict::Inject(injection) => Ok(Passage::With(injection)),
        Verdict::Exchange(exchange) => Ok(Passage::Exchange(exchange)),
    }
}

/// Is it a request for the target, and for it alone?
fn check(parts: &Parts, target: &Target) -> Result<(), Problem> {
    match authority::check(parts, target) {
        Ok(()) if parts.method == Method::CONNECT => Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "no-tunnel",
            "CONNECT is not forwarded",
        )),
        Ok(()) => Ok(()),
        Err(Wrong::Malformed) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-authority",
            "the request does not name exactly one host",
        )),
        Err(Wrong::Misdirected) => Err(Problem::misdirected(target)),
    }
}

/// Gives the request's path its one form: what is decided about is what is sent.
fn normalise(parts: &mut Parts) -> Result<Canonical, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-path", detail);
    let path = canonical(parts.uri.path()).map_err(|error| bad(error.to_string()))?;
    if path.as_str() != parts.uri.path() {
        parts.uri = with_path(&parts.uri, path.as_str()).map_err(|error| bad(error.to_string()))?;
    }
    Ok(path)
}

fn with_path(uri: &Uri, path: &str) -> Result<Uri, http::Error> {
    let mut uri_parts = uri.clone().into_parts();
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    uri_parts.path_and_query = Some(PathAndQuery::from_maybe_shared(text)?);
    Ok(Uri::from_parts(uri_parts)?)
}

/// Waits for the gate as long as there is somebody to answer. A verdict usually is there at once.
async fn unless_gone<T>(site: &Site, verdict: BoxFuture<'_, T>) -> Option<T> {
    tokio::select! {
        biased;
        verdict = verdict => Some(verdict),
        () = site.agent_gone() => None,
    }
}
