//! What goes back to the agent: heads without what is not for it, bodies scanned as they stream.

mod body;
mod decode;

pub(super) use body::ReplyBody;
use http::{HeaderMap, Method, Response, header};

use super::{head, problem::Problem, record::Entry, scan::Scan, upstream::UpstreamBody};
use crate::{gate::Injection, scrub::Scrubber};

/// Passes an upstream's answer on. If it may echo a credential and is encoded in a way that cannot be
/// looked into, the agent gets `problem` instead.
pub(super) fn relay(
    answer: Response<UpstreamBody>,
    method: &Method,
    injection: Option<&Injection>,
    mut entry: Entry,
    problem: impl FnOnce() -> Problem,
) -> Response<ReplyBody> {
    let (mut parts, body) = answer.into_parts();
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    head::strip_response(&mut parts.headers);
    let scrubber = injection.map(|injection| &injection.scrubber).filter(|s| !s.is_empty());
    let Some(scrubber) = scrubber else {
        entry.answered(parts.status);
        return Response::from_parts(parts, ReplyBody::plain(body, entry));
    };
    scrub(&mut parts.headers, scrubber);
    if head::is_bodiless(method, parts.status) {
        entry.answered(parts.status);
        return Response::from_parts(parts, ReplyBody::plain(body, entry));
    }
    let mut encodings = parts.headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        // One coding upon another, in a line each (RFC 9110 §5.3).
        (Some(_), Some(_)) => Err(decode::Unknown),
        (encoding, _) => decode::Coding::of(encoding),
    };
    let source = match encoding {
        Ok(None) => body::Source::Plain(body),
        Ok(Some(coding)) => {
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::CONTENT_LENGTH);
            body::Source::Decoded(Box::new(decode::Decoded::new(body, coding)))
        }
        Err(decode::Unknown) => return refuse(problem(), entry),
    };
    entry.answered(parts.status);
    let scan = Some((Scan::new(scrubber), std::sync::Arc::clone(scrubber)));
    Response::from_parts(parts, ReplyBody::stream(source, scan, entry))
}

/// Answers with a problem document.
pub(super) fn refuse(problem: Problem, mut entry: Entry) -> Response<ReplyBody> {
    entry.answered(problem.status);
    entry.failed(problem.code);
    problem.into_response().map(|document| {
        entry.tally().add_received(document.len());
        ReplyBody::Whole(document)
    })
}

/// Replaces secrets in header (or trailer) values.
pub(super) fn scrub(headers: &mut HeaderMap, scrubber: &Scrubber) {
    for value in headers.values_mut() {
        if let Some(clean) = scrubber.header(value) {
            *value = clean;
        }
    }
}
