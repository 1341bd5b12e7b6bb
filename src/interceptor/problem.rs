//! What the agent is told when it gets no answer from upstream: a problem document (RFC 9457).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{dialer::DialError, inject};
use crate::gate::{Denial, Target};

/// An answer of our own.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Stable code, also in the record.
    pub(super) code: &'static str,
    detail: String,
    hint: Option<String>,
    /// When it may be tried again.
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), hint: None, retry_after: None }
    }

    /// What a gate refused.
    pub(super) fn denied(denial: Denial) -> Self {
        let status = StatusCode::from_u16(denial.status).unwrap_or(StatusCode::FORBIDDEN);
        Self { hint: denial.hint, ..Self::new(status, denial.code, denial.reason) }
    }

    /// What a gate refused for now.
    pub(super) fn delayed(denial: Denial, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::denied(denial) }
    }

    /// A request whose agent closed its side while the gate was thinking about it.
    pub(super) fn left() -> Self {
        let detail = "the connection was closed before it was decided whether the request may pass";
        Self::new(StatusCode::BAD_REQUEST, "agent-closed", detail)
    }

    /// A request whose authority is not the connection's.
    pub(super) fn misdirected(target: &Target) -> Self {
        let detail = format!("this connection is for {}; open another one", target.host);
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
    }

    /// A connection to the upstream that could not be made.
    pub(super) fn undialled(target: &Target, error: &DialError) -> Self {
        let mut problem = Self::new(error.status(), error.code(), format!("{target}: {error}"));
        problem.hint = error.hint().map(str::to_owned);
        problem
    }

    /// An upstream that did not answer as HTTP demands.
    pub(super) fn protocol(target: &Target) -> Self {
        let detail = format!("{target} broke off, or its answer is not HTTP");
        Self::new(StatusCode::BAD_GATEWAY, "upstream-protocol", detail)
    }

    /// An upstream whose answer cannot be scanned.
    pub(super) fn encoding(target: &Target) -> Self {
        let detail = format!("{target} used a content encoding that cannot be scanned for secrets");
        Self::new(StatusCode::BAD_GATEWAY, "upstream-encoding", detail)
    }

    /// A request the credential does not fit into.
    pub(super) fn uninjectable(error: &inject::Error) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "inject-failed", error.to_string())
    }

    /// The answer.
    pub(super) fn into_response(self) -> Response<Bytes> {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            hint: self.hint.as_deref(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds, and not a moment too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_becomes_a_problem_document_with_its_code_and_hint() {
        let denial = Denial {
            code: "policy-denied",
            reason: "no deletes".into(),
            hint: Some("authsome policy".into()),
            status: 403,
        };

        let response = Problem::denied(denial).into_response();

        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["status"], 403);
        assert_eq!(document["title"], "Forbidden");
        assert_eq!(document["code"], "policy-denied");
        assert_eq!(document["hint"], "authsome policy");
    }

    #[test]
    fn what_may_be_tried_again_says_when_in_whole_seconds() {
        let denial =
            Denial { code: "rate-limited", reason: String::new(), hint: None, status: 429 };

        let response = Problem::delayed(denial, Duration::from_millis(1200)).into_response();

        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "2");
    }

    #[test]
    fn a_status_that_is_none_becomes_403() {
        let denial = Denial { code: "x", reason: String::new(), hint: None, status: 7 };

        assert_eq!(Problem::denied(denial).status, StatusCode::FORBIDDEN);
    }
}
