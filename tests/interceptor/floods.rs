//! HTTP/2 used against its other end: streams that are reset as soon as they are opened
//! (CVE-2023-44487), heads that never end (CVE-2024-27316), and head and stream limits.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    harness::{Say, Scene, code, get, text, to, to_address},
    upstream::{Manner, Upstream, certificate, full},
};
use authsome::interceptor::DialConfig;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Error code of a GOAWAY for one that makes too much trouble (RFC 9113 §7).
const ENHANCE_YOUR_CALM: u8 = 11;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that changes no table (RFC 7541 §6.2.2); both parts shorter than 127 bytes.
fn field(name: &str, value: &str) -> Vec<u8> {
    let short = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], short(name), short(value)].concat()
}

fn request() -> Vec<u8> {
    [(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "/")]
        .map(|(name, value)| field(name, value))
        .concat()
}

/// Sends what it can, and reads until the connection ends; the error code of the GOAWAY.
async fn goaway_after(scene: &Scene, flood: Vec<u8>) -> Option<u8> {
    let (mut reader, mut writer) = tokio::io::split(scene.tls("h2").await);
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        let _ = writer.write_all(&flood).await;
        writer
    });
    let mut seen = Vec::new();
    // The end may be abrupt: the rest of the flood is not read.
    let _ = timeout(Duration::from_secs(10), reader.read_to_end(&mut seen)).await.unwrap();
    drop(sending.await.unwrap());
    let mut rest = seen.as_slice();
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        if head[3] == GOAWAY {
            return after.get(7).copied();
        }
        rest = after.get(length..)?;
    }
    None
}

/// One more agent, who behaves, is served.
async fn assert_serves(scene: &Scene) {
    let response = timeout(Duration::from_secs(5), scene.send(get("/"))).await.unwrap();
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn streams_reset_as_soon_as_opened_end_the_connection_and_no_other() {
    let manner = Manner::default();
    let upstream = Upstream::start(manner, |_| async { Response::new(full("hello")) }).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let cancel = 8_u32.to_be_bytes();
    let flood = (0..20_000_u32).flat_map(|number| {
        let stream = 2 * number + 1;
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request());
        [open, frame(RST_STREAM, 0, stream, &cancel)].concat()
    });

    assert_eq!(goaway_after(&scene, flood.collect()).await, Some(ENHANCE_YOUR_CALM));
    assert_serves(&scene).await;
    assert!(upstream.connections() < 1000, "{} connections", upstream.connections());
}

#[tokio::test]
async fn a_head_that_never_ends_ends_the_connection_and_no_other() {
    let manner = Manner::default();
    let upstream = Upstream::start(manner, |_| async { Response::new(full("hello")) }).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let more = field("x-filler", &"a".repeat(100)).repeat(100);
    for piece in [Vec::new(), more] {
        let mut flood = frame(HEADERS, END_STREAM, 1, &request());
        flood.extend(frame(CONTINUATION, 0, 1, &piece).repeat(5000));
        assert_eq!(goaway_after(&scene, flood).await, Some(ENHANCE_YOUR_CALM));
    }
    assert_serves(&scene).await;
}

/// An upstream that answers every connection's first request with these bytes, again and again.
async fn hostile_upstream(h2: bool, first: Vec<u8>, again: Vec<u8>) -> DialConfig {
    let (root, config) = certificate("api.test");
    let mut config = rustls::ServerConfig::clone(&config);
    config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, first, again) = (acceptor.clone(), first.clone(), again.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if h2 {
                    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
                }
                // The request, in whatever pieces.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = stream.read(&mut [0; 16 << 10]).await;
                let _ = stream.write_all(&first).await;
                while stream.write_all(&again).await.is_ok() {}
            });
        }
    });
    DialConfig { extra_roots: vec![root], ..to_address(address) }
}

#[tokio::test]
async fn an_upstreams_head_that_never_ends_is_an_upstream_error() {
    let filler = field("x-filler", &"a".repeat(100)).repeat(100);
    let h2 =
        hostile_upstream(true, frame(HEADERS, 0, 1, &[0x88]), frame(CONTINUATION, 0, 1, &filler));
    let lines = format!("x-filler: {}\r\n", "a".repeat(1000)).into_bytes();
    let h1 = hostile_upstream(false, b"HTTP/1.1 200 OK\r\n".to_vec(), lines);
    let line = hostile_upstream(false, b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 4096]);
    for config in [h2.await, h1.await, line.await] {
        let scene = Scene::new(Say::Inject, config);
        let response =
            timeout(Duration::from_secs(10), scene.send(get("/"))).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert!(code(response).await.starts_with("upstream-"));
    }
}

#[tokio::test]
async fn an_upstream_that_resets_every_stream_is_an_upstream_error() {
    let refused = frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes());
    let empty = frame(DATA, 0, 1, &[]);
    let scene = Scene::new(Say::Inject, hostile_upstream(true, refused, empty).await);
    let response = timeout(Duration::from_secs(10), scene.send(get("/"))).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_head_above_the_limit_is_refused_and_one_below_is_not() {
    let manner = Manner::default();
    let upstream = Upstream::start(manner, |_| async { Response::new(full("hello")) }).await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    for (length, status) in [(48 << 10, "HTTP/1.1 200 OK"), (100 << 10, "HTTP/1.1 400 Bad Request")]
    {
        let mut stream = scene.tls("http/1.1").await;
        let head = format!("GET / HTTP/1.1\r\nhost: api.test\r\nx: {}\r\n\r\n", "a".repeat(length));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; status.len()];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), status);
    }
}

#[tokio::test]
async fn a_session_of_one_run_means_nothing_to_another() {
    use super::harness::client;
    let manner = Manner::default();
    let upstream = Upstream::start(manner, |_| async { Response::new(full("hello")) }).await;
    let (one, other) =
        (Scene::new(Say::Forward, to(&upstream)), Scene::new(Say::Forward, to(&upstream)));
    // Trusts both, so that only the ticket decides.
    let mut config = client(one.ca(), "http/1.1");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(one.ca().clone()).unwrap();
    roots.add(other.ca().clone()).unwrap();
    let resumption = config.resumption.clone();
    config = rustls::ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = resumption;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut kinds = Vec::new();
    for address in [one.address, one.address, other.address] {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = "api.test".try_into().unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        // The tickets come with the first answer.
        let request = b"GET / HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
    }
    use rustls::HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Full, Resumed, Full]);
}
