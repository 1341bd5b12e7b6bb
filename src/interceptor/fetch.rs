//! One request of the daemon's own: to a token endpoint, a metadata document, a revocation endpoint, a
//! collector of telemetry.
//!
//! Leaves by a [`Dialer`] as an agent's requests do, so the same certificates are demanded and the
//! same address guard stands. Follows no redirect, reads a bounded answer in bounded time, and keeps
//! no connection: such requests are rare.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::{self, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::dialer::{DialError, Dialer, Offer};
use crate::gate::Target;

/// Longest wait for the whole answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why there is no answer. Names the host, never the request.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one that is fetched.
    #[error("{0} is not an https URL")]
    Url(String),
    /// No connection.
    #[error("{target}: {source}")]
    Dial {
        /// Where to.
        target: Target,
        /// Why.
        source: DialError,
    },
    /// A connection, but no HTTP answer.
    #[error("{0} broke off, or its answer is not HTTP")]
    Protocol(Target),
    /// The answer is too long.
    #[error("the answer of {0} is longer than a megabyte")]
    TooLong(Target),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Timeout(Target),
}

/// Sends `request`, whose URI is absolute, and reads the answer whole.
///
/// # Errors
///
/// See [`FetchError`]. An answer of any status is no error.
pub async fn fetch(
    dialer: &Dialer,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, FetchError> {
    let target = target(request.uri(), "https", 443)
        .ok_or_else(|| FetchError::Url(request.uri().host().unwrap_or("this").to_owned()))?;
    let work = async {
        let secured = dialer.tls(&target, Offer::Http1).await;
        exchange(secured.map_err(|source| undialled(&target, source))?.stream, &target, request)
            .await
    };
    timeout(LIMIT, work).await.map_err(|_| FetchError::Timeout(target.clone()))?
}

/// As [`fetch`], for an URL with `http` too: for what holds no credential of a connection's.
///
/// # Errors
///
/// See [`FetchError`].
pub async fn fetch_plainly(
    dialer: &Dialer,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, FetchError> {
    let Some(target) = target(request.uri(), "http", 80) else {
        return fetch(dialer, request).await;
    };
    let work = async {
        let leg = dialer.tcp(&target).await.map_err(|source| undialled(&target, source))?;
        exchange(leg, &target, request).await
    };
    timeout(LIMIT, work).await.map_err(|_| FetchError::Timeout(target.clone()))?
}

fn target(uri: &Uri, scheme: &str, port: u16) -> Option<Target> {
    if uri.scheme_str() != Some(scheme) {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let host = host.to_ascii_lowercase().into();
    Some(Target { host, port: uri.port_u16().unwrap_or(port) })
}

fn undialled(target: &Target, source: DialError) -> FetchError {
    FetchError::Dial { target: target.clone(), source }
}

async fn exchange<S>(
    stream: S,
    target: &Target,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |_| FetchError::Protocol(target.clone());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = origin_form(request, target);
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (parts, body) = answer.into_parts();
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => Ok(Response::from_parts(parts, body.to_bytes().to_vec())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(FetchError::TooLong(target.clone()))
            }
            Err(_) => Err(FetchError::Protocol(target.clone())),
        }
    };
    tokio::pin!(answer);
    // The connection is driven beside the answer and ends with it.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

fn origin_form(request: Request<Vec<u8>>, target: &Target) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let full = target.to_string();
    let host = full.strip_suffix(":443").unwrap_or(&full);
    if let Ok(host) = HeaderValue::from_str(host) {
        parts.headers.insert(HOST, host);
    }
    let agent = concat!("authsome/", env!("CARGO_PKG_VERSION"));
    parts.headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    parts.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Request::from_parts(parts, Full::new(Bytes::from(body)))
}
