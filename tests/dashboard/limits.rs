//! What nobody can make the dashboard hold or wait for.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::client::Server;

const ORIGIN: &str = "Sec-Fetch-Site: same-origin\r\n";

#[tokio::test]
async fn a_form_has_at_most_64_kib() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let form = format!("csrf={}&secret.api_key=", browser.csrf);
    let fits = form.clone() + &"k".repeat(64 * 1024 - form.len());
    assert_eq!(browser.post_raw("/providers/github/key", ORIGIN, &fits).await.status, 303);
    let large = form.clone() + &"k".repeat(64 * 1024 - form.len() + 1);
    let refused = browser.post_raw("/providers/github/key", ORIGIN, &large).await;
    assert_eq!(refused.status, 413);
    assert!(refused.text.contains("too large"), "{}", refused.text);
}

#[tokio::test]
async fn what_is_no_form_is_told_so() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let head = browser.head("POST", "/sign-out") + ORIGIN;
    let json = format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n");
    let refused = server.send(&json, "{}").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("cannot be read"), "{}", refused.text);
    let plain = format!("{head}Content-Type: text/plain\r\nContent-Length: 5\r\n");
    assert_eq!(server.send(&plain, "csrf=").await.status, 400);
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127").await.unwrap();
    let mut answer = Vec::new();
    // Ten seconds, and some patience for a busy machine.
    timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_waited_for() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let head = browser.head("POST", "/sign-out") + ORIGIN;
    let kind = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n";
    let answer = timeout(Duration::from_secs(30), server.send(&(head + kind), "csrf=")).await;
    assert_eq!(answer.unwrap().status, 408);
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let head =
        format!("GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", server.host(), "x".repeat(1 << 20));
    // The connection may be reset before all is written and before the answer is read.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn strangers_who_hold_all_connections_hold_them_for_seconds() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(server.connect().await);
    }
    let answer = timeout(Duration::from_secs(40), server.get("/style.css")).await;
    assert_eq!(answer.expect("room again").status, 200);
}

#[tokio::test]
async fn serving_ends_when_it_is_told_to() {
    let server = Server::start().await;
    let _idle = server.connect().await;
    let port = server.port;
    let _directory = server.stop().await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
