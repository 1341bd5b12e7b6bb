//! A request to a token endpoint, from an agent that does OAuth itself.
//!
//! The only requests whose bodies are read whole before anything is decided, and the only answers that
//! are held back until their end. Both are small by nature, and limited here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{
    head,
    problem::Problem,
    record::Entry,
    request,
    response::{self, ReplyBody},
    serve::Site,
    upstream::RequestBody,
};
use crate::gate::{Decision, TokenExchange};

/// Largest token request, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// Largest answer to one.
const MAX_ANSWER: usize = 1024 * 1024;
/// Longest wait for either to arrive.
const LIMIT: Duration = Duration::from_secs(60);

/// Answers the request, or lets the server answer and replaces the tokens in what it says.
pub(super) async fn pass(
    site: &Site,
    mut parts: Parts,
    body: Incoming,
    exchange: Arc<dyn TokenExchange>,
    mut entry: Entry,
) -> Response<ReplyBody> {
    entry.edit(|record| record.connection = Some(exchange.connection()));
    let body = match whole(RequestBody::new(body, entry.tally()), MAX_REQUEST).await {
        Ok(body) => body,
        Err(unread) => {
            entry.edit(|record| record.decision = Decision::Deny);
            return response::refuse(unread.problem(), entry);
        }
    };
    let method = parts.method.clone();
    if let Some(answer) = exchange.answer(&parts, &body) {
        entry.edit(|record| record.decision = Decision::Answer);
        return finish(answer, &method, entry);
    }
    parts.extensions.clear();
    head::strip_request(&mut parts.headers);
    head::ask_for_plain(&mut parts.headers);
    let body = if body.is_empty() { RequestBody::Empty } else { RequestBody::Whole(body) };
    let answer = match site.origin.send(Request::from_parts(parts, body)).await {
        Ok(answer) => answer,
        Err(failure) => return request::failed(site, &failure, entry),
    };
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = whole(body, MAX_ANSWER).await else {
        return response::refuse(unreadable(site), entry);
    };
    let Some(body) = exchange.redact(&parts, &body) else {
        return response::refuse(unreadable(site), entry);
    };
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    head::strip_response(&mut parts.headers);
    finish(Response::from_parts(parts, body), &method, entry)
}

/// Answers with what is there whole.
pub(super) fn finish(
    mut answer: Response<Bytes>,
    method: &Method,
    mut entry: Entry,
) -> Response<ReplyBody> {
    // What has no body by nature may say a length of something else, or none (RFC 9110 §8.6).
    if !head::is_bodiless(method, answer.status()) {
        let length = HeaderValue::from(answer.body().len());
        answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    entry.answered(answer.status());
    entry.tally().add_received(answer.body().len());
    entry.complete();
    answer.map(ReplyBody::Whole)
}

enum Unread {
    TooLong,
    Broken,
}

impl Unread {
    /// What the agent is told about its request.
    fn problem(&self) -> Problem {
        let (status, detail) = match self {
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "a token request is not that long"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the token request did not arrive"),
        };
        Problem::new(status, "token-request", detail)
    }
}

async fn whole<B>(body: B, limit: usize) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // One that says so beforehand need not be sent for.
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLong);
    }
    match tokio::time::timeout(LIMIT, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Ok(Err(_)) | Err(_) => Err(Unread::Broken),
    }
}

fn unreadable(site: &Site) -> Problem {
    let detail = format!("{} gave an answer to a token request that cannot be read", site.target());
    Problem::new(StatusCode::BAD_GATEWAY, "token-answer", detail)
}
