//! Message heads: what is for the next hop only, and what differs between HTTP versions.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{
        self, ACCEPT_ENCODING, ALT_SVC, CONNECTION, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const AUTHSOME_CONNECTION: HeaderName = HeaderName::from_static("authsome-connection");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The protocol a request asks to upgrade to, if it does (RFC 9110 §7.8). HTTP/2 in the clear is no
/// upgrade anyone needs here.
pub(super) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let wanted = parts.headers.get(UPGRADE)?;
    let asked = parts.version == Version::HTTP_11
        && tokens(&parts.headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        && !wanted.as_bytes().eq_ignore_ascii_case(b"h2c");
    asked.then(|| wanted.clone())
}

/// Removes what must not be passed on from a request, before anything is injected: a `Connection`
/// header that names the injected one must not remove it. `TE` stays if it says `trailers`.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    strip_hop_by_hop(headers);
    for name in [EXPECT, PROXY_AUTHORIZATION, AUTHSOME_CONNECTION, HTTP2_SETTINGS] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what must not be passed on from a response. `Alt-Svc` would lead the agent elsewhere.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove(ALT_SVC);
}

/// Asks for an answer that can be scanned.
pub(super) fn ask_for_plain(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    if headers.contains_key(GRPC_ACCEPT_ENCODING) {
        headers.insert(GRPC_ACCEPT_ENCODING, IDENTITY);
    }
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
}

/// Puts an upgrade back that [`strip_request`] or [`strip_response`] removed.
pub(super) fn restore_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
            .filter_map(|token| token.parse().ok())
            // Some clients name headers here that are not theirs to drop.
            .filter(|name| *name != HOST && *name != header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.split(';').next().unwrap_or_default().trim())
        .filter(|token| !token.is_empty())
}

/// May it be sent twice (RFC 9110 §9.2.2)?
pub(super) fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// Does a response with this status to this method have no body, whatever its headers say?
pub(super) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Makes a request fit for HTTP/1.1: origin form, `Host`, one `Cookie` (RFC 9113 §8.2.3), no `TE`.
pub(super) fn to_http1<B>(request: &mut Request<B>, host: &HeaderValue) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        let path = path_and_query(request.uri());
        *request.uri_mut() = Uri::from(path);
    }
    let headers = request.headers_mut();
    headers.remove(TE);
    if !headers.contains_key(HOST) {
        headers.insert(HOST, host.clone());
    }
    if headers.get_all(COOKIE).iter().nth(1).is_some() {
        let crumbs: Vec<&[u8]> =
            headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(mut joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            joined.set_sensitive(true);
            headers.insert(COOKIE, joined);
        }
    }
}

/// Makes a request fit for HTTP/2: absolute form, no `Host`.
pub(super) fn to_http2<B>(request: &mut Request<B>, authority: &Authority) {
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = Some(authority.clone());
    uri.path_and_query = Some(path_and_query(request.uri()));
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn what_connection_names_is_removed_but_not_the_message_framing() {
        let mut map = headers(&[
            ("connection", "close, x-hop, Content-Length"),
            ("x-hop", "1"),
            ("x-end", "1"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("authsome-connection", "a/b"),
            ("expect", "100-continue"),
        ]);

        strip_request(&mut map);

        assert_eq!(map, headers(&[("x-end", "1"), ("content-length", "3")]));
    }

    #[test]
    fn te_trailers_survives_and_other_codings_do_not() {
        let mut map = headers(&[("te", "gzip;q=1, trailers")]);

        strip_request(&mut map);

        assert_eq!(map, headers(&[("te", "trailers")]));
    }

    #[test]
    fn http1_gets_origin_form_host_and_one_cookie() {
        let mut request = Request::builder()
            .version(Version::HTTP_2)
            .uri("https://a.test/%2F../x?y")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("te", "trailers")
            .body(())
            .unwrap();

        to_http1(&mut request, &HeaderValue::from_static("a.test"));

        assert_eq!(request.uri(), "/%2F../x?y");
        assert_eq!(request.headers(), &headers(&[("cookie", "a=1; b=2"), ("host", "a.test")]));
    }

    #[test]
    fn http2_gets_absolute_form_and_no_host() {
        let mut request =
            Request::builder().uri("/%2F../x?y").header("host", "A.test").body(()).unwrap();

        to_http2(&mut request, &Authority::from_static("a.test"));

        assert_eq!(request.uri(), "https://a.test/%2F../x?y");
        assert!(request.headers().is_empty());
    }

    #[test]
    fn an_upgrade_counts_only_if_connection_names_it() {
        let ask = |pairs: &[(&'static str, &'static str)]| {
            let (mut parts, ()) = Request::new(()).into_parts();
            parts.headers = headers(pairs);
            upgrade(&parts).is_some()
        };

        assert!(ask(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!ask(&[("upgrade", "websocket")]));
        assert!(!ask(&[("connection", "upgrade"), ("upgrade", "h2c")]));
    }
}
