//! Requests to a token endpoint are looked at whole, and so are their answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use authsome::{
    gate::{Decision, Record},
    interceptor::DialConfig,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::{
    gate::GRANTED,
    harness::{
        PLACEHOLDER, SECRET, Say, Scene, code, empty, saying, streamed, text, to, to_address, whole,
    },
    upstream::{self, Manner, Upstream, full},
};

/// Largest token request.
const MOST: usize = 64 * 1024;
const FORM: &str = "grant_type=authorization_code&code=abc";

/// A server with one answer.
async fn answering(h2: bool, answer: fn() -> Response<upstream::Body>) -> Upstream {
    Upstream::start(Manner { h2, ..Manner::default() }, move |request| async move {
        request.into_body().collect().await.unwrap();
        answer()
    })
    .await
}

/// The only record there is.
async fn record(scene: &Scene) -> Record {
    let records = scene.records(1).await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].connection.as_deref(), Some("test/default"));
    assert_eq!(records[0].path.as_deref(), Some("/v1"));
    records[0].clone()
}

/// Asks a server whose answer the agent must not get; returns the problem.
async fn withheld(answer: fn() -> Response<upstream::Body>) -> (StatusCode, String) {
    let upstream = answering(false, answer).await;
    let scene = Scene::new(Say::Exchange, to(&upstream));
    let answer = scene.ask(false, Method::POST, whole(FORM)).await;
    let status = answer.status();
    let code = code(answer).await;
    let record = record(&scene).await;
    assert_eq!((record.status, record.error), (Some(status.as_u16()), Some(code.as_str())));
    assert_eq!((record.decision, record.bytes_sent), (Decision::Forward, FORM.len() as u64));
    (status, code)
}

#[tokio::test]
async fn a_placeholder_is_answered_without_the_server() {
    let upstream = answering(false, || Response::new(full("never"))).await;
    let form = format!("grant_type=refresh_token&refresh_token={PLACEHOLDER}");
    for h2 in [false, true] {
        for known in [false, true] {
            let scene = Scene::new(Say::Exchange, to(&upstream));
            let body = if known {
                whole(form.clone())
            } else {
                streamed(vec![Frame::data(form.clone().into())])
            };

            let answer = scene.ask(h2, Method::POST, body).await;

            assert_eq!(answer.status(), StatusCode::OK, "{h2} {known}");
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(answer.headers()["content-length"], GRANTED.len().to_string());
            assert_eq!(text(answer).await, GRANTED);
            let record = record(&scene).await;
            assert_eq!((record.decision, record.status), (Decision::Answer, Some(200)));
            assert_eq!(record.error, None);
            assert_eq!(record.bytes_sent, form.len() as u64);
            assert_eq!(record.bytes_received, GRANTED.len() as u64);
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_server_gets_the_request_whole_and_asks_for_no_encoding() {
    for h2 in [false, true] {
        let seen = Arc::new(Mutex::new(None));
        let log = Arc::clone(&seen);
        let upstream = Upstream::start(Manner { h2, ..Manner::default() }, move |request| {
            let log = Arc::clone(&log);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                *log.lock().unwrap() = Some((head.headers, body));
                Response::new(full(""))
            }
        })
        .await;
        let scene = Scene::new(Say::Exchange, to(&upstream));
        let request = Request::post("/v1")
            .header("host", "api.test")
            .header("authorization", "Basic aWQ6c2VjcmV0")
            .header("accept-encoding", "gzip")
            .header("authsome-connection", "test/default")
            .body(streamed(vec![Frame::data("a=1".into()), Frame::data("&b=2".into())]))
            .unwrap();

        assert_eq!(scene.send(request).await.status(), StatusCode::OK);

        let (headers, body): (HeaderMap, _) = seen.lock().unwrap().take().unwrap();
        assert_eq!(body, "a=1&b=2");
        assert_eq!(headers["authorization"], "Basic aWQ6c2VjcmV0");
        assert_eq!(headers["accept-encoding"], "identity");
        assert_eq!(headers["content-length"], "7");
        assert!(!headers.contains_key("authsome-connection"));
    }
}

#[tokio::test]
async fn an_empty_request_keeps_its_length() {
    let upstream = Upstream::start(Manner::default(), |request| async move {
        Response::new(full(request.headers()["content-length"].as_bytes().to_vec()))
    })
    .await;
    let scene = Scene::new(Say::Exchange, to(&upstream));
    let request = Request::post("/v1")
        .header("host", "api.test")
        .header("content-length", "0")
        .body(empty())
        .unwrap();

    assert_eq!(text(scene.send(request).await).await, "0");
}

#[tokio::test]
async fn tokens_in_an_answer_are_replaced_and_its_length_is_right() {
    let json = || {
        let body = format!(r#"{{"access_token":"{SECRET}"}}"#);
        Response::builder().header("content-type", "application/json").body(full(body)).unwrap()
    };
    let form = || {
        let body = format!("access_token={SECRET}&scope=repo");
        let form = "application/x-www-form-urlencoded";
        Response::builder().status(201).header("content-type", form).body(full(body)).unwrap()
    };
    let cases: [(fn() -> _, u16, &str); 2] =
        [(json, 200, r#"{"access_token":"fake"}"#), (form, 201, "access_token=fake&scope=repo")];
    for h2 in [false, true] {
        for (answer, status, expected) in cases {
            let upstream = answering(h2, answer).await;
            let scene = Scene::new(Say::Exchange, to(&upstream));

            let answer = scene.ask(h2, Method::POST, whole(FORM)).await;

            assert_eq!(answer.status(), status);
            assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/"));
            assert_eq!(answer.headers()["content-length"], expected.len().to_string());
            assert_eq!(text(answer).await, expected);
            let record = record(&scene).await;
            assert_eq!((record.decision, record.status), (Decision::Forward, Some(status)));
            assert_eq!((record.error, record.bytes_sent), (None, FORM.len() as u64));
            assert_eq!(record.bytes_received, expected.len() as u64);
        }
    }
}

#[tokio::test]
async fn what_leads_elsewhere_or_is_for_the_next_hop_is_not_passed_on() {
    let upstream = answering(false, || {
        let answer = Response::builder().header("alt-svc", "h3=\":443\"");
        answer.header("connection", "x-hop").header("x-hop", "1").body(full("{}")).unwrap()
    })
    .await;
    let scene = Scene::new(Say::Exchange, to(&upstream));

    let answer = scene.ask(false, Method::POST, whole(FORM)).await;

    assert!(!answer.headers().contains_key("alt-svc") && !answer.headers().contains_key("x-hop"));
}

#[tokio::test]
async fn an_answer_without_a_body_gets_no_length() {
    let upstream = answering(true, || {
        Response::builder().status(204).body(upstream::Body::default()).unwrap()
    })
    .await;
    let scene = Scene::new(Say::Exchange, to(&upstream));

    let answer = scene.ask(true, Method::OPTIONS, empty()).await;

    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(!answer.headers().contains_key("content-length"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_withheld() {
    let refused = (StatusCode::BAD_GATEWAY, "token-answer".to_owned());

    assert_eq!(withheld(|| Response::new(full(&b"\xff\xfe"[..]))).await, refused);
}

#[tokio::test]
async fn an_encoded_answer_is_withheld() {
    let refused = (StatusCode::BAD_GATEWAY, "token-answer".to_owned());
    let encoded =
        || Response::builder().header("content-encoding", "gzip").body(full("{}")).unwrap();

    assert_eq!(withheld(encoded).await, refused);
}

#[tokio::test]
async fn an_answer_over_a_megabyte_is_withheld() {
    let refused = (StatusCode::BAD_GATEWAY, "token-answer".to_owned());

    assert_eq!(withheld(|| Response::new(full(vec![b' '; (1 << 20) + 1]))).await, refused);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_withheld() {
    let words = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}";
    let config = saying(vec![words]).await;
    let scene = Scene::new(Say::Exchange, config);

    let answer = scene.ask(false, Method::POST, whole(FORM)).await;

    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(answer).await, "token-answer");
}

#[tokio::test]
async fn a_long_request_is_refused_before_the_server_is_asked() {
    let upstream = answering(false, || Response::new(full("{}"))).await;
    for h2 in [false, true] {
        for known in [false, true] {
            let scene = Scene::new(Say::Exchange, to(&upstream));
            let bytes = vec![b'x'; MOST + 1];
            let body = if known { whole(bytes) } else { streamed(vec![Frame::data(bytes.into())]) };

            let answer = scene.ask(h2, Method::POST, body).await;

            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{h2} {known}");
            assert_eq!(code(answer).await, "token-request");
            let record = record(&scene).await;
            assert_eq!((record.decision, record.status), (Decision::Deny, Some(413)));
            assert_eq!(record.error, Some("token-request"));
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_longest_request_goes_through() {
    let upstream = answering(false, || Response::new(full("{}"))).await;
    for h2 in [false, true] {
        let scene = Scene::new(Say::Exchange, to(&upstream));

        let answer = scene.ask(h2, Method::POST, whole(vec![b'x'; MOST])).await;

        assert_eq!(answer.status(), StatusCode::OK, "{h2}");
        assert_eq!(record(&scene).await.bytes_sent, MOST as u64);
    }
}

#[tokio::test]
async fn a_client_that_waits_is_not_asked_for_a_long_request() {
    let scene = Scene::new(Say::Exchange, DialConfig::default());
    let mut stream = scene.tls("http/1.1").await;
    let head = "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 99999\r\n\
                expect: 100-continue\r\n\r\n";

    stream.write_all(head.as_bytes()).await.unwrap();

    let mut line = [0; 12];
    timeout(Duration::from_secs(5), stream.read_exact(&mut line)).await.unwrap().unwrap();
    assert_eq!(&line, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_server_that_is_down_is_an_upstream_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let scene = Scene::new(Say::Exchange, to_address(address));

    let answer = scene.ask(false, Method::POST, whole(FORM)).await;

    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(answer).await, "upstream-refused");
    let record = record(&scene).await;
    assert_eq!((record.decision, record.error), (Decision::Forward, Some("upstream-refused")));
    assert_eq!(record.bytes_sent, FORM.len() as u64);
}
