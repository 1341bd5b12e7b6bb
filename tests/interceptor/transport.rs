//! Connections before there is a request: splices, refusals, probes, odd beginnings.

use std::{sync::Arc, time::Duration};

use authsome::{
    gate::{Decision, RecordKind},
    interceptor::{DialConfig, Listener},
};
use http::Response;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    harness::{Say, Scene, client, connect, to, to_address},
    upstream::{Manner, Upstream, full},
};

#[tokio::test]
async fn a_splice_shows_the_upstreams_own_certificate() {
    let upstream = Upstream::start(Manner::default(), |_| async { Response::new(full("")) }).await;
    let scene = Scene::new(Say::Splice, to(&upstream));

    let spliced = connect(scene.address, &upstream.root, "api.test", "http/1.1").await;
    let impostor = connect(scene.address, scene.ca(), "api.test", "http/1.1").await;

    assert!(spliced.is_ok());
    assert!(impostor.is_err());
    drop(spliced);
    let record = &scene.records(1).await[0];
    assert_eq!((record.kind, record.decision), (RecordKind::Splice, Decision::Splice));
    assert!(record.bytes_sent > 0 && record.bytes_received > 0);
}

#[tokio::test]
async fn a_client_hello_may_come_byte_by_byte() {
    let upstream = Upstream::start(Manner::default(), |_| async { Response::new(full("")) }).await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    let config = Arc::new(client(scene.ca(), "http/1.1"));
    let mut tls = rustls::ClientConnection::new(config, "api.test".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    stream.set_nodelay(true).unwrap();

    for byte in hello {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }

    let mut answer = [0; 6];
    timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!((answer[0], answer[5]), (0x16, 2), "a ServerHello");
}

#[tokio::test]
async fn a_refused_client_gets_an_alert() {
    let scene = Scene::new(Say::Refuse, DialConfig::default());

    let error = connect(scene.address, scene.ca(), "api.test", "h2").await.unwrap_err();

    assert!(error.to_string().contains("AccessDenied"), "{error}");
    let record = &scene.records(1).await[0];
    assert_eq!((record.kind, record.error), (RecordKind::Connection, Some("test-denied")));
}

#[tokio::test]
async fn a_server_may_speak_first_where_nothing_is_intercepted() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    });
    let mut config = to_address(address);
    for rule in &mut config.resolve {
        rule.port = 22;
    }
    let scene = Scene::on(Listener::Tcp(22), Say::Splice, config);
    let mut stream = TcpStream::connect(scene.address).await.unwrap();

    let mut banner = [0; 11];
    timeout(Duration::from_secs(5), stream.read_exact(&mut banner)).await.unwrap().unwrap();
    stream.write_all(b"and back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();

    assert_eq!((&banner, rest.as_str()), (b"SSH-2.0-x\r\n", "and back"));
    let record = &scene.records(1).await[0];
    assert_eq!((record.bytes_sent, record.bytes_received, record.error), (8, 19, None));
}

#[tokio::test]
async fn a_host_port_is_relayed_to_the_hosts_loopback() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.write_all(b"local").await.unwrap();
    });
    let scene = Scene::on(Listener::HostPort(port), Say::Refuse, DialConfig::default());
    let mut stream = TcpStream::connect(scene.address).await.unwrap();

    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();

    assert_eq!(got, "local");
}

/// Sends raw bytes as a request and returns the status line's beginning.
async fn raw(scene: &Scene, request: &str) -> String {
    let mut stream = scene.tls("http/1.1").await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = vec![0; 12];
    timeout(Duration::from_secs(5), stream.read_exact(&mut line)).await.unwrap().unwrap();
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn ambiguous_framing_is_bad() {
    let upstream = Upstream::start(Manner::default(), |_| async { Response::new(full("")) }).await;
    let scene = Scene::new(Say::Forward, to(&upstream));

    for framing in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "content-length: 3\r\ncontent-length: 4",
        "content-length: 3\r\nx: a\rb",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: api.test\r\n{framing}\r\n\r\n0\r\n\r\n");
        assert_eq!(raw(&scene, &request).await, "HTTP/1.1 400", "{framing:?}");
    }
    assert_eq!(upstream.connections(), 0);
}
