//! What every request must pass before a handler sees it.
//!
//! In order: it is addressed to us by the one name we have (DNS rebinding); it has a session, unless
//! it is for one of the few paths that need none; no other origin sent it; if it changes something,
//! its form has the session's token. Handlers of POST get the form from here and from nowhere else,
//! so none can forget the check.

use std::{sync::Arc, time::SystemTime};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    context::{App, Context, Visitor},
    form::Form,
    headers,
    refusal::Refusal,
    routes::{CALLBACK_PATHS, CSRF_INPUT, OPEN_PATH, STYLE_PATH},
    token,
};

/// Where a browser says who sent a request (Fetch Metadata); no script can set it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Cookies of our name that are looked at: servers on other ports can add some.
const MAX_COOKIES: usize = 8;

/// Lets a request through to its handler, or answers it.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match admit(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    headers::secure(response.headers_mut());
    response
}

async fn admit(app: &App, request: Request) -> Result<Request, Refusal> {
    let (mut parts, body) = request.into_parts();
    if !is_for_us(app, &parts) {
        return Err(Refusal::Misdirected);
    }
    if is_public(&parts) {
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    let (token, visitor) = visitor(app, &parts.headers).ok_or(Refusal::Nothing)?;
    if !is_same_origin(app, &parts) {
        return Err(Refusal::Nothing);
    }
    if app.sessions.is_stale() {
        app.save().await;
    }
    match parts.method {
        Method::GET | Method::HEAD => {}
        Method::POST => {
            let form = Form::read(&parts.headers, body).await?;
            if !form.text(CSRF_INPUT).is_some_and(|given| token::is_csrf(&token, given)) {
                return Err(Refusal::Forged);
            }
            parts.extensions.insert(form);
        }
        _ => return Err(Refusal::Method),
    }
    parts.extensions.insert(visitor);
    Ok(Request::from_parts(parts, Body::empty()))
}

/// Does the one `Host` header name us, and the request line nobody else?
fn is_for_us(app: &Context, parts: &Parts) -> bool {
    let ours = |host: &str| host == app.host;
    single(&parts.headers, &header::HOST).is_some_and(ours)
        && parts.uri.authority().is_none_or(|authority| ours(authority.as_str()))
}

/// The paths that need no session: each has its own proof, or nothing to tell.
fn is_public(parts: &Parts) -> bool {
    let path = parts.uri.path();
    match parts.method {
        // HEAD would use a link or a state up without anybody seeing the answer.
        Method::GET => {
            path == STYLE_PATH || path.starts_with(OPEN_PATH) || CALLBACK_PATHS.contains(&path)
        }
        Method::HEAD => path == STYLE_PATH,
        _ => false,
    }
}

/// The session that a cookie names, with the cookie's token.
fn visitor(app: &App, headers: &HeaderMap) -> Option<(String, Visitor)> {
    let now = SystemTime::now();
    let tokens = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == app.cookie)
        .map(|(_, token)| token);
    tokens.take(MAX_COOKIES).find_map(|token| {
        let (session, profile) = app.sessions.visit(token, now)?;
        let csrf = Arc::from(token::csrf(token));
        let waiting = app.backend.asks_count();
        Some((token.to_owned(), Visitor { session, csrf, waiting, profile }))
    })
}

/// Did a page of ours, or the person, send it?
///
/// Another port of 127.0.0.1 is the same *site*, so the cookie comes along with its requests: only
/// the origin tells. `Referrer-Policy: no-referrer` makes browsers send `Origin: null` with our own
/// forms, and then `Sec-Fetch-Site` is what tells.
fn is_same_origin(app: &Context, parts: &Parts) -> bool {
    let site = single(&parts.headers, &FETCH_SITE);
    if parts.headers.contains_key(FETCH_SITE) && !matches!(site, Some("same-origin" | "none")) {
        return false;
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    match single(&parts.headers, &header::ORIGIN) {
        Some("null") => !reads && site == Some("same-origin"),
        Some(origin) => origin.strip_prefix("http://") == Some(app.host.as_str()),
        None if parts.headers.contains_key(header::ORIGIN) => false,
        None => reads || site == Some("same-origin"),
    }
}

/// The value of a header that is there exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}
