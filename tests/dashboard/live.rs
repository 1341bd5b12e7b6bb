//! Requests as they happen.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    backend::{HOSTILE, record},
    client::{Browser, Server, between},
};

/// Opens a stream of events and waits until it is open.
pub(super) async fn listen(browser: &Browser<'_>, path: &str) -> (TcpStream, String) {
    let mut stream = browser.server.connect().await;
    let head = browser.head("GET", path) + "Accept: text/event-stream\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let head = until(&mut stream, ":\n\n").await;
    (stream, head)
}

pub(super) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let read = timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
        let read = read.expect("an event").unwrap();
        assert!(read > 0, "the stream ended after {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_request_arrives_in_words_as_it_is_recorded() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (mut stream, head) = listen(&browser, "/events").await;
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let vault = record(json!({ "kind": "vault", "operation": "put" }));
    server.backend.live.send(Arc::new(vault)).unwrap();
    let line = record(json!({
        "method": "GET", "host": "api.github.com", "port": 443, "path": "/user\n\ndata: forged",
        "connection": HOSTILE, "decision": "deny", "error": "egress-refused", "status": 403,
        "run": "00ff", "process": 42, "executable": "/usr/bin/curl",
    }));
    server.backend.live.send(Arc::new(line)).unwrap();
    let text = until(&mut stream, "}\n\n").await;
    let row: Value = serde_json::from_str(between(&text, "data: ", "\n\n")).unwrap();
    assert_eq!(row["place"], "api.github.com/user\n\ndata: forged");
    assert_eq!(row["decision"], "Denied");
    assert_eq!(row["detail"], "403 egress-refused");
    assert_eq!(row["program"], "curl");
    assert_eq!(row["process"], "/usr/bin/curl, process 42");
    assert_eq!(row["connection"], HOSTILE);
    assert_eq!(row["when"], "2 Jan 2026, 03:04:05");
    assert_eq!(text.matches("data: ").count(), 2, "a record forged an event: {text}");
}

#[tokio::test]
async fn a_slow_browser_is_told_what_it_missed() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (mut stream, _) = listen(&browser, "/events").await;
    // The test's runtime has one thread: the stream sees none of these before all are there.
    for _ in 0..20 {
        server.backend.live.send(Arc::new(record(json!({})))).unwrap();
    }
    let text = until(&mut stream, "event: missed\n").await;
    assert!(text.contains("data: 4\n\n"), "{text}");
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (mut stream, _) = listen(&browser, "/events").await;
    assert_eq!(browser.post("/sign-out", "").await.status, 200);
    server
        .backend
        .live
        .send(Arc::new(record(json!({ "path": "/later", "decision": "forward" }))))
        .unwrap();
    let mut rest = String::new();
    timeout(Duration::from_secs(20), stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(!rest.contains("/later"), "{rest}");
}

#[tokio::test]
async fn an_open_stream_does_not_keep_the_daemon() {
    let server = Server::start().await;
    let browser = server.browser().await;
    let (mut stream, _) = listen(&browser, "/events").await;
    let _directory = server.stop().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}
