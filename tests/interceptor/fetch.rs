//! The daemon's own requests: verified, bounded, and to the server that was named.

use authsome::interceptor::{
    DialConfig, Dialer, FetchError,
    dialer::{DialError, TlsFault},
    fetch,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{
    harness::{saying, to, to_address},
    upstream::{Body, Manner, Upstream, full},
};

const MEGABYTE: usize = 1 << 20;

/// Answers with what it was asked.
async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).map_or("-", |value| value.to_str().unwrap());
    let (host, length, agent) = (header("host"), header("content-length"), header("user-agent"));
    let encoding = header("accept-encoding");
    let line = format!("{} {} {host} {length} {encoding} {agent}\n", head.method, head.uri);
    let body = body.collect().await.unwrap().to_bytes();
    Response::new(full([line.as_bytes(), &body].concat()))
}

fn get(url: &str) -> Request<Vec<u8>> {
    Request::get(url).body(Vec::new()).unwrap()
}

async fn try_fetch(
    config: DialConfig,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, FetchError> {
    fetch(&Dialer::new(config).unwrap(), request).await
}

async fn body(config: DialConfig, request: Request<Vec<u8>>) -> String {
    String::from_utf8(try_fetch(config, request).await.unwrap().into_body()).unwrap()
}

#[tokio::test]
async fn a_request_arrives_with_its_query_and_body() {
    let upstream = Upstream::start(Manner::default(), echo).await;
    let request = Request::post("https://API.test./token?a=b").body(b"grant".to_vec()).unwrap();

    let seen = body(to(&upstream), request).await;

    let agent = concat!("authsome/", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen, format!("POST /token?a=b api.test 5 identity {agent}\ngrant"));
}

#[tokio::test]
async fn a_url_without_a_path_asks_for_the_root() {
    let upstream = Upstream::start(Manner::default(), echo).await;

    assert!(body(to(&upstream), get("https://api.test")).await.starts_with("GET / api.test "));
    assert!(body(to(&upstream), get("https://api.test?q")).await.starts_with("GET /?q api.test "));
}

#[tokio::test]
async fn a_port_is_dialled_and_named() {
    let upstream = Upstream::start(Manner::default(), echo).await;
    let mut config = to(&upstream);
    config.resolve[0].port = 8443;

    let seen = body(config, get("https://api.test:8443/x")).await;

    assert!(seen.starts_with("GET /x api.test:8443 "), "{seen}");
}

#[tokio::test]
async fn an_ipv6_literal_is_dialled_and_verified() {
    let upstream = Upstream::start(Manner { name: "::1", ..Manner::default() }, echo).await;

    let seen = body(to(&upstream), get("https://[::1]/x")).await;

    assert!(seen.starts_with("GET /x [::1] "), "{seen}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        let answer = Response::builder().status(302).header("location", "https://api.test/two");
        answer.body(full("over there")).unwrap()
    })
    .await;

    let answer = try_fetch(to(&upstream), get("https://api.test/one")).await.unwrap();

    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(answer.headers()["location"], "https://api.test/two");
    assert_eq!(answer.body(), b"over there");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_failure_of_the_servers_is_an_answer() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        Response::builder().status(503).body(full("later")).unwrap()
    })
    .await;

    let answer = try_fetch(to(&upstream), get("https://api.test/")).await.unwrap();

    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (503, &b"later"[..]));
}

#[tokio::test]
async fn an_answer_may_be_a_megabyte_and_no_more() {
    let upstream = Upstream::start(Manner::default(), |request| async move {
        let more = usize::from(request.uri().path() == "/more");
        Response::new(full(vec![b'x'; MEGABYTE + more]))
    })
    .await;

    let most = try_fetch(to(&upstream), get("https://api.test/most")).await.unwrap();
    let more = try_fetch(to(&upstream), get("https://api.test/more")).await;

    assert_eq!(most.body().len(), MEGABYTE);
    assert!(matches!(more, Err(FetchError::TooLong(_))), "{more:?}");
}

#[tokio::test]
async fn what_is_not_https_is_refused_undialled() {
    let upstream = Upstream::start(Manner::default(), echo).await;
    for url in ["http://api.test/", "http://api.test:443/", "ftp://api.test/", "/token"] {
        let answer = try_fetch(to(&upstream), get(url)).await;

        assert!(matches!(answer, Err(FetchError::Url(_))), "{url}: {answer:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let manner = Manner { name: "other.test", ..Manner::default() };
    let upstream = Upstream::start(manner, echo).await;

    let error = try_fetch(to(&upstream), get("https://api.test/")).await.unwrap_err();

    let FetchError::Dial { target, source: DialError::Tls(fault) } = error else {
        panic!("{error}")
    };
    assert_eq!((target.to_string().as_str(), fault), ("api.test:443", TlsFault::Name));
}

#[tokio::test]
async fn a_certificate_of_nobody_we_know_is_refused() {
    let upstream = Upstream::start(Manner::default(), echo).await;

    let error =
        try_fetch(to_address(upstream.address), get("https://api.test/")).await.unwrap_err();

    let FetchError::Dial { source: DialError::Tls(fault), .. } = error else { panic!("{error}") };
    assert_eq!(fault, TlsFault::UnknownIssuer);
}

#[tokio::test]
async fn the_address_guard_stands() {
    for url in ["https://127.0.0.1/", "https://[::1]/", "https://[::ffff:169.254.169.254]/"] {
        let answer = try_fetch(DialConfig::default(), get(url)).await;

        let blocked =
            matches!(answer, Err(FetchError::Dial { source: DialError::Blocked { .. }, .. }));
        assert!(blocked, "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    for words in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"] {
        let answer =
            try_fetch(saying(vec![words.as_bytes()]).await, get("https://api.test/")).await;

        assert!(matches!(answer, Err(FetchError::Protocol(_))), "{words:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let config = saying(vec![b"HTTP/1.1 200 OK\r\n\r\nto the end"]).await;

    assert_eq!(body(config, get("https://api.test/")).await, "to the end");
}
