//! Requests and connections about which the gate thinks for a long time.

use authsome::gate::{Decision, RecordKind};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt as _;

use super::{
    harness::{Body, SECRET, Say, Scene, code, connect, empty, get, get2, text, to, whole},
    upstream::{Manner, Upstream, full},
};

/// Says whether it got the credential.
pub(super) async fn upstream() -> Upstream {
    Upstream::start(Manner::default(), |request: Request<Incoming>| async move {
        let sent = request.headers().get("authorization").cloned();
        let secret = sent.is_some_and(|sent| sent.to_str().unwrap().contains(SECRET));
        Response::new(full(if secret { "with it" } else { "without" }))
    })
    .await
}

fn post(path: &str) -> Request<Body> {
    Request::post(path).header("host", "api.test").body(whole("body")).unwrap()
}

#[tokio::test]
async fn a_held_request_goes_on_when_it_may() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Hold, to(&upstream));
    let mut one = scene.http1().await;
    let mut two = scene.http2().await;
    let one =
        tokio::spawn(async move { text(one.send_request(post("/held")).await.unwrap()).await });
    let two = tokio::spawn(async move {
        text(two.send_request(get2("https://api.test/held")).await.unwrap()).await
    });
    scene.held(2).await;
    scene.let_go();
    assert_eq!((one.await.unwrap(), two.await.unwrap()), ("with it".into(), "with it".into()));
}

#[tokio::test]
async fn an_agent_that_leaves_is_not_waited_for() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Hold, to(&upstream));
    for request in [get("/held"), post("/held")] {
        let mut sender = scene.http1().await;
        let held = tokio::spawn(async move { sender.send_request(request).await });
        scene.held(1).await;
        held.abort();
        scene.held(0).await;
    }
    let mut sender = scene.http2().await;
    let held =
        tokio::spawn(async move { sender.send_request(get2("https://api.test/held")).await });
    scene.held(1).await;
    held.abort();
    scene.held(0).await;
    for record in scene.records(3).await {
        assert_eq!(record.error, Some("agent-closed"));
        assert_eq!(record.bytes_received == 0, record.status.is_none());
    }
}

#[tokio::test]
async fn many_held_requests_hold_up_no_other() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Hold, to(&upstream));
    let sender = scene.http2().await;
    let held: Vec<_> = (0..200)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move { sender.send_request(get2("https://api.test/held")).await })
        })
        .collect();
    scene.held(200).await;

    let beside = sender.clone().send_request(get2("https://api.test/other")).await.unwrap();
    assert_eq!(text(beside).await, "without");
    assert_eq!(text(scene.send(get("/other")).await).await, "without");

    scene.let_go();
    for held in held {
        assert_eq!(text(held.await.unwrap().unwrap()).await, "with it");
    }
}

#[tokio::test]
async fn a_held_connection_is_answered_when_it_may() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::HoldConnection, to(&upstream));
    let (address, root) = (scene.address, upstream.root.clone());
    let connecting =
        tokio::spawn(async move { connect(address, &root, "api.test", "http/1.1").await });
    scene.held(1).await;
    assert!(!connecting.is_finished());
    scene.let_go();
    connecting.await.unwrap().unwrap();
    scene.held(0).await;
    let record = &scene.records(1).await[0];
    assert_eq!((record.kind, record.decision), (RecordKind::Splice, Decision::Splice));
}

#[tokio::test]
async fn a_held_connection_ends_with_its_agent() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::HoldConnection, to(&upstream));
    let (address, root) = (scene.address, upstream.root.clone());
    let connecting =
        tokio::spawn(async move { connect(address, &root, "api.test", "http/1.1").await });
    scene.held(1).await;
    connecting.abort();
    scene.held(0).await;
    let record = &scene.records(1).await[0];
    assert_eq!((record.decision, record.error), (Decision::Deny, Some("agent-closed")));
}

#[tokio::test]
async fn nothing_of_what_is_opaque_is_sent_while_it_is_held() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::HoldConnection, to(&upstream));
    let mut stream = tokio::net::TcpStream::connect(scene.address).await.unwrap();
    stream.write_all(b"no TLS at all\n").await.unwrap();
    scene.held(1).await;
    drop(stream);
    scene.held(0).await;
    let record = &scene.records(1).await[0];
    assert_eq!((record.decision, record.bytes_sent), (Decision::Deny, 0));
}

#[tokio::test]
async fn what_may_go_out_later_says_when() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Later, to(&upstream));
    let request = Request::get("/").header("host", "api.test").body(empty()).unwrap();
    let response = scene.send(request).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(code(response).await, "test-limited");
}
