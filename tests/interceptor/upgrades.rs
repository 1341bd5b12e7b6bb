//! WebSocket and other upgrades.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    harness::{SECRET, Say, Scene, empty, to},
    upstream::{Body, Manner, Upstream, full},
};

/// Agrees, and echoes with the secret in between.
async fn echo(mut request: Request<Incoming>) -> Response<Body> {
    assert!(!request.headers().contains_key("sec-websocket-extensions"));
    assert_eq!(request.headers()["upgrade"], "websocket");
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut word = [0; 5];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
            stream.write_all(format!(" {SECRET}.").as_bytes()).await.unwrap();
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(full(""))
        .unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_echoes_and_is_scanned() {
    let upstream = Upstream::start(Manner::default(), echo).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let request = Request::get("/ws")
        .header("host", "api.test")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-extensions", "permessage-deflate")
        .body(empty())
        .unwrap();

    let response = scene.send(request).await;

    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let answer = 5 + 1 + SECRET.len() + 1;
    for word in ["hello", "again"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut got = vec![0; answer];
        stream.read_exact(&mut got).await.unwrap();
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with(word) && got.ends_with('.') && !got.contains(SECRET), "{got}");
    }
    drop(stream);
    let record = &scene.records(1).await[0];
    assert_eq!(record.status, Some(101));
    assert_eq!((record.bytes_sent, record.bytes_received), (10, 2 * answer as u64));
}
