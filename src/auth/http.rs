//! What the flows send with.

use std::{fmt, future::Future, pin::Pin};

/// A request with its body.
pub type HttpRequest = ::http::Request<Vec<u8>>;
/// An answer with its body.
pub type HttpResponse = ::http::Response<Vec<u8>>;

/// Sends one request, follows no redirect, and reads at most a megabyte of the answer, all within a
/// time limit of its own. An answer of any status is an answer.
pub trait Http: fmt::Debug + Send + Sync {
    /// Sends `request`, whose URI is absolute.
    fn send<'a>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;
}

/// Why there is no answer. The text names the host, never the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HttpError(
    /// What happened, lower case, no full stop.
    pub String,
);
