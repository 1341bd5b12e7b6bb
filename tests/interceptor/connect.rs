//! Clients that ask a proxy, and connections that the packet filter of macOS would have bounced here.

use authsome::interceptor::{DialConfig, Listener};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    harness::{Say, Scene, to},
    upstream::{Manner, Upstream, full},
};

/// The run of every scene.
const RUN: &str = "0123456789abcdef";

/// Asks the proxy for a host, and returns the connection with the head of its answer.
async fn ask(scene: &Scene, host: &str, password: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let credentials = STANDARD.encode(format!("run:{password}"));
    let head = format!(
        "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    (stream, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_tunnel_is_intercepted_as_any_other_connection() {
    let answer = |_| async { http::Response::new(full("intercepted")) };
    let upstream = Upstream::start(Manner::default(), answer).await;
    let scene = Scene::on(Listener::Connect, Say::Inject, to(&upstream));

    let (stream, answer) = ask(&scene, "api.test:443", RUN).await;

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let mut tls = scene.secure(stream).await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("intercepted"), "{answer}");
}

#[tokio::test]
async fn whoever_does_not_know_the_run_is_refused() {
    let scene = Scene::on(Listener::Connect, Say::Inject, DialConfig::default());
    let (_, answer) = ask(&scene, "api.test:443", "").await;
    assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
}

#[tokio::test]
async fn a_probe_hears_which_run_it_has_reached() {
    let scene = Scene::on(Listener::Connect, Say::Inject, DialConfig::default());
    let (mut stream, _) = ask(&scene, "192.0.2.1:443", RUN).await;
    let mut line = String::new();
    stream.read_to_string(&mut line).await.unwrap();
    assert_eq!(line, format!("authsome-probe {RUN} 192.0.2.1\n"));
}

/// On any other system there is no telling; on macOS a test's group is no run's.
#[tokio::test]
async fn a_bounced_connection_of_nobody_knows_whom_is_not_served() {
    let scene = Scene::on(Listener::Pf { gid: 0x6100_0001 }, Say::Inject, DialConfig::default());
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let mut answer = Vec::new();
    // Closed, or reset because the question is unread.
    let _ = stream.write_all(b"authsome-probe?\n").await;
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}
