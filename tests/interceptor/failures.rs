//! An upstream that fails: the agent is told how, and so is the record.

use authsome::{
    gate::Decision,
    interceptor::{DialConfig, ResolveRule, UpstreamProxy},
};
use http::{Response, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    harness::{Say, Scene, code, get, text, to, to_address},
    upstream::{Manner, Upstream, full},
};

async fn failing(config: DialConfig) -> (StatusCode, String) {
    let scene = Scene::new(Say::Forward, config);
    let response = scene.send(get("/")).await;
    let status = response.status();
    let code = code(response).await;
    let record = &scene.records(1).await[0];
    assert_eq!(record.error, Some(code.as_str()));
    assert_eq!((record.status, record.decision), (Some(status.as_u16()), Decision::Forward));
    (status, code)
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let failure = failing(to_address(address)).await;

    assert_eq!(failure, (StatusCode::BAD_GATEWAY, "upstream-refused".into()));
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_tls_failure() {
    let upstream = Upstream::start(Manner::default(), |_| async { Response::new(full("")) }).await;

    let failure = failing(to_address(upstream.address)).await;

    assert_eq!(failure, (StatusCode::BAD_GATEWAY, "upstream-tls".into()));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_failure() {
    let manner = Manner { name: "other.test", ..Manner::default() };
    let upstream = Upstream::start(manner, |_| async { Response::new(full("")) }).await;

    let failure = failing(to(&upstream)).await;

    assert_eq!(failure, (StatusCode::BAD_GATEWAY, "upstream-tls".into()));
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_a_protocol_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (root, config) = super::upstream::certificate("api.test");
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(config);
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            drop(stream.read(&mut [0; 64]).await);
            drop(stream.shutdown().await);
        }
    });

    let failure = failing(DialConfig { extra_roots: vec![root], ..to_address(address) }).await;

    assert_eq!(failure, (StatusCode::BAD_GATEWAY, "upstream-protocol".into()));
}

#[tokio::test]
async fn a_guarded_address_is_not_dialled() {
    let scene = Scene::new(Say::Forward, DialConfig::default());
    let root = scene.ca().clone();
    let stream = super::harness::connect(scene.address, &root, "localhost", "http/1.1").await;
    let io = hyper_util::rt::TokioIo::new(stream.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut request = get("/");
    request.headers_mut().insert("host", "localhost".parse().unwrap());

    let response = sender.send_request(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(code(response).await, "address-blocked");
}

/// A forward proxy that wants `user:pass`, and where it says it was asked to go.
async fn forward_proxy(to: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut agent, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(agent.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            if !head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n") {
                agent.write_all(b"HTTP/1.1 407 Who\r\n\r\n").await.unwrap();
                continue;
            }
            assert!(head.starts_with("CONNECT api.test:443 HTTP/1.1\r\n"), "{head}");
            agent.write_all(b"HTTP/1.1 200 Go\r\n\r\n").await.unwrap();
            let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut agent, &mut server).await);
        }
    });
    address
}

fn through(url: String, upstream: &Upstream) -> DialConfig {
    DialConfig {
        resolve: Vec::<ResolveRule>::new(),
        extra_roots: vec![upstream.root.clone()],
        proxy: UpstreamProxy::from_env(&[("https_proxy".to_owned(), url)].into()).unwrap(),
        ..DialConfig::default()
    }
}

#[tokio::test]
async fn the_users_own_proxy_is_used_with_its_credentials() {
    let upstream =
        Upstream::start(Manner::default(), |_| async { Response::new(full("there")) }).await;
    let proxy = forward_proxy(upstream.address).await;
    let scene = Scene::new(Say::Forward, through(format!("http://user:pass@{proxy}"), &upstream));

    assert_eq!(text(scene.send(get("/")).await).await, "there");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_proxy_failure() {
    let upstream = Upstream::start(Manner::default(), |_| async { Response::new(full("")) }).await;
    let proxy = forward_proxy(upstream.address).await;

    let failure = failing(through(format!("http://{proxy}"), &upstream)).await;

    assert_eq!(failure, (StatusCode::BAD_GATEWAY, "upstream-proxy".into()));
}
