//! How serving ends.

use std::{sync::Arc, time::Duration};

use authsome::interceptor::DialConfig;
use http::{Response, StatusCode};
use tokio::{io::AsyncReadExt as _, sync::Notify, time::timeout};

use super::{
    harness::{Say, Scene, get, text, to},
    upstream::{Manner, Upstream, full},
};

#[tokio::test]
async fn ending_a_run_closes_its_connections() {
    let scene = Scene::new(Say::Forward, DialConfig::default());
    let mut stream = scene.tls("http/1.1").await;
    let Scene { handle, workers: _workers, .. } = scene;

    handle.stop();

    let closed = timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(closed, Ok(1)));
}

#[tokio::test]
async fn draining_lets_an_open_request_finish_and_accepts_no_more() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (reached, wait) = (Arc::clone(&arrived), Arc::clone(&go));
    let upstream = Upstream::start(Manner::default(), move |_| {
        let (reached, wait) = (Arc::clone(&reached), Arc::clone(&wait));
        async move {
            reached.notify_one();
            wait.notified().await;
            Response::new(full("done"))
        }
    })
    .await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    let mut sender = scene.http1().await;
    let answer = tokio::spawn(async move { sender.send_request(get("/")).await.unwrap() });
    arrived.notified().await;
    let Scene { handle: _handle, workers, address, .. } = scene;

    let drained = tokio::task::spawn_blocking(move || workers.drain(Duration::from_secs(20)));
    go.notify_one();

    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, "done");
    timeout(Duration::from_secs(10), drained).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
