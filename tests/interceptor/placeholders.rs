//! Placeholders where they do not belong: left over in a head, or sent in the clear.

use std::time::Duration;

use authsome::{
    gate::{Decision, Record, RecordKind},
    interceptor::{DialConfig, Listener},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    harness::{PLACEHOLDER, SECRET, Say, Scene, code, empty, text, to, to_address},
    holding::upstream,
};

fn get(path: &str, name: &str, value: &str) -> Request<super::harness::Body> {
    Request::get(path).header("host", "api.test").header(name, value).body(empty()).unwrap()
}

#[tokio::test]
async fn a_placeholder_gives_way_to_the_credential() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Inject, to(&upstream));

    let bearer = format!("Bearer {PLACEHOLDER}");
    let answer = scene.send(get("/", "authorization", &bearer)).await;

    assert_eq!(text(answer).await, "with it");
    assert_eq!(scene.records(1).await[0].decision, Decision::Inject);
}

#[tokio::test]
async fn a_placeholder_that_would_be_left_over_is_refused() {
    let upstream = upstream().await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let basic = format!("Basic {}", STANDARD.encode(format!("me:{PLACEHOLDER}")));

    for (path, name, value) in [
        ("/", "x-other", PLACEHOLDER),
        ("/", "x-other", &basic),
        ("/", "cookie", &format!("a={PLACEHOLDER}")),
        (&format!("/?key={PLACEHOLDER}"), "x-other", ""),
        (&format!("/{}/x", PLACEHOLDER.replace('k', "%6b")), "x-other", ""),
    ] {
        let answer = scene.send(get(path, name, value)).await;

        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {value}");
        assert_eq!(code(answer).await, "placeholder-misplaced");
    }
    assert_eq!(upstream.connections(), 0);
    for record in scene.records(5).await {
        assert_eq!(record.decision, Decision::Deny);
        assert_eq!(record.connection.as_deref(), Some("test/default"));
        assert_eq!(record.error, Some("placeholder-misplaced"));
    }
}

/// A server that shows nobody anything, and what it was sent.
struct Listening {
    config: DialConfig,
    got: tokio::task::JoinHandle<Vec<u8>>,
}

impl Listening {
    async fn on(port: u16) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = to_address(server.local_addr().unwrap());
        config.resolve[0].port = port;
        let got = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut got = Vec::new();
            // Reset or closed: what came until then is what counts.
            drop(stream.read_to_end(&mut got).await);
            got
        });
        Self { config, got }
    }
}

/// What the agent and the server get when the agent sends `pieces`, and the record of it.
async fn in_clear(port: u16, pieces: &[&str]) -> (String, String, Record) {
    let server = Listening::on(port).await;
    let scene = Scene::on(Listener::Tcp(port), Say::Splice, server.config);
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let got = timeout(Duration::from_secs(5), server.got).await.unwrap().unwrap();
    (answer, String::from_utf8(got).unwrap(), scene.records(1).await[0].clone())
}

#[tokio::test]
async fn a_request_in_the_clear_with_a_placeholder_is_refused() {
    let basic = STANDARD.encode(format!("me:{PLACEHOLDER}"));
    for port in [80, 443, 8080] {
        for value in [format!("Bearer {PLACEHOLDER}"), format!("Basic {basic}")] {
            let request =
                format!("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: {value}\r\n\r\n");
            let (first, second) = request.split_at(request.len() - 20);

            let (answer, got, record) = in_clear(port, &[first, second]).await;

            assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{port}: {answer}");
            assert!(answer.contains("\"code\":\"placeholder-misplaced\""), "{answer}");
            let token = value.split(' ').next_back().unwrap();
            assert!(!got.contains(token), "{got}");
            assert_eq!((record.kind, record.decision), (RecordKind::Splice, Decision::Deny));
            assert_eq!(record.connection.as_deref(), Some("test/default"));
            assert_eq!((record.status, record.error), (Some(403), Some("placeholder-misplaced")));
        }
    }
}

#[tokio::test]
async fn another_protocol_in_the_clear_with_a_placeholder_is_closed() {
    let (answer, got, record) = in_clear(25, &["EHLO a\r\n", "AUTH ", PLACEHOLDER, "\r\n"]).await;

    assert_eq!(answer, "");
    assert!(!got.contains(PLACEHOLDER));
    assert_eq!((record.status, record.error), (None, Some("placeholder-misplaced")));
}

#[tokio::test]
async fn what_holds_no_placeholder_passes_in_the_clear_as_it_is() {
    let beginning = PLACEHOLDER.trim_end_matches('a');
    let request = format!("GET / HTTP/1.1\r\nAuthorization: {SECRET} {beginning}\r\n\r\n");

    let (_, got, record) = in_clear(80, &[&request]).await;

    assert_eq!(got, request);
    assert_eq!((record.decision, record.error), (Decision::Splice, None));
    assert_eq!(record.bytes_sent, request.len() as u64);
}

#[tokio::test]
async fn tls_on_another_port_is_not_looked_into() {
    let hello = format!("\u{16}\u{3}\u{1} {PLACEHOLDER}");

    let (_, got, record) = in_clear(8443, &[&hello, PLACEHOLDER]).await;

    assert_eq!(got, format!("{hello}{PLACEHOLDER}"));
    assert_eq!(record.error, None);
}
