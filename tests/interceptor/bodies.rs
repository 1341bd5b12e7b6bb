//! Bodies stream both ways, of any size, with trailers, and not before the verdict.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::timeout,
};

use super::{
    harness::{Say, Scene, empty, get, get2, text, to},
    upstream::{Body, Manner, Upstream, full},
};

const MEGABYTE: usize = 1 << 20;

fn body_of(frames: mpsc::UnboundedReceiver<Frame<Bytes>>) -> Body {
    let stream = futures_util::stream::unfold(frames, |mut frames| async move {
        frames.recv().await.map(|frame| (Ok(frame), frames))
    });
    StreamBody::new(stream).boxed_unsync()
}

async fn count(request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body().into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk.unwrap().len();
    }
    Response::new(full(bytes.to_string()))
}

#[tokio::test]
async fn an_event_arrives_before_the_next_is_sent() {
    for say in [Say::Forward, Say::Inject] {
        let (send, receive) = mpsc::unbounded_channel();
        let body = std::sync::Mutex::new(Some(body_of(receive)));
        let upstream = Upstream::start(Manner::default(), move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async { Response::new(body) }
        })
        .await;
        let scene = Scene::new(say, to(&upstream));
        let mut events = scene.send(get("/sse")).await.into_body().into_data_stream();

        for number in 0..3 {
            let event = Bytes::from(format!("data: {number}\n\n"));
            send.send(Frame::data(event.clone())).unwrap();
            let got = timeout(Duration::from_secs(5), events.next()).await.unwrap();
            assert_eq!(got.unwrap().unwrap(), event);
        }
    }
}

#[tokio::test]
async fn a_big_upload_arrives_whole() {
    for h2 in [false, true] {
        let upstream = Upstream::start(Manner { h2, ..Manner::default() }, count).await;
        let scene = Scene::new(Say::Inject, to(&upstream));
        let chunks = futures_util::stream::iter(0..32)
            .map(|_| Ok(Frame::data(Bytes::from(vec![7; MEGABYTE]))));
        let request = Request::post("/")
            .header("host", "api.test")
            .body(StreamBody::new(chunks).boxed_unsync())
            .unwrap();

        let seen = text(scene.send(request).await).await;

        assert_eq!(seen, (32 * MEGABYTE).to_string());
        assert_eq!(scene.records(1).await[0].bytes_sent, 32 * MEGABYTE as u64);
    }
}

#[tokio::test]
async fn a_big_download_arrives_whole_with_its_length() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        Response::new(full(vec![b'x'; 32 * MEGABYTE]))
    })
    .await;
    for say in [Say::Forward, Say::Inject] {
        let scene = Scene::new(say, to(&upstream));

        let response = scene.send(get("/")).await;

        assert_eq!(response.headers()["content-length"], (32 * MEGABYTE).to_string());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() == 32 * MEGABYTE && body.iter().all(|byte| *byte == b'x'));
        assert_eq!(scene.records(1).await[0].bytes_received, 32 * MEGABYTE as u64);
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::start(Manner { h2: true, ..Manner::default() }, |request| async {
        assert_eq!(request.headers()["te"], "trailers");
        let sent = request.into_body().collect().await.unwrap();
        let mut trailers = sent.trailers().unwrap().clone();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [Ok(Frame::data(sent.to_bytes())), Ok(Frame::trailers(trailers))];
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    })
    .await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from_static(b"hi"))), Ok(Frame::trailers(trailers))];
    let request = Request::post("https://api.test/grpc")
        .header("te", "trailers")
        .body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
        .unwrap();

    let response = scene.http2().await.send_request(request).await.unwrap();

    let got = response.into_body().collect().await.unwrap();
    let trailers = got.trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sum"]),
        (&"0".parse().unwrap(), &"42".parse().unwrap())
    );
    assert_eq!(got.to_bytes(), "hi");
}

/// Sends a head that waits for `100 Continue` and reads the first status line.
async fn expecting(scene: &Scene) -> String {
    let mut stream = scene.tls("http/1.1").await;
    let head = "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 3\r\n\
                expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = vec![0; 12];
    timeout(Duration::from_secs(5), stream.read_exact(&mut line)).await.unwrap().unwrap();
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn a_client_is_told_to_continue_only_after_the_verdict() {
    let upstream = Upstream::start(Manner::default(), count).await;

    assert_eq!(expecting(&Scene::new(Say::Forward, to(&upstream))).await, "HTTP/1.1 100");
    assert_eq!(expecting(&Scene::new(Say::Deny, to(&upstream))).await, "HTTP/1.1 403");
}

#[tokio::test]
async fn an_answer_without_a_body_keeps_its_length() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        Response::builder().header("content-length", "1234").body(full("")).unwrap()
    })
    .await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let request = Request::head("/").header("host", "api.test").body(empty()).unwrap();

    let response = scene.send(request).await;

    assert_eq!(response.headers()["content-length"], "1234");
    assert_eq!(scene.records(1).await[0].error, None);
}

#[tokio::test]
async fn an_agent_that_leaves_early_is_recorded_as_such() {
    let (send, receive) = mpsc::unbounded_channel();
    let body = std::sync::Mutex::new(Some(body_of(receive)));
    let upstream = Upstream::start(Manner::default(), move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    })
    .await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    send.send(Frame::data(Bytes::from_static(b"first"))).unwrap();
    let response = scene.http2().await.send_request(get2("https://api.test/")).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");

    drop(body);

    let record = &scene.records(1).await[0];
    assert_eq!(
        (record.status, record.error),
        (Some(StatusCode::OK.as_u16()), Some("agent-closed"))
    );
}
