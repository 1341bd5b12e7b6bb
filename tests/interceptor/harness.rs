//! One run, one gate, one client.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use authsome::{
    gate::{Gate, Record},
    interceptor::{
        DialConfig, Dialer, Inside, Listener, NameTable, ResolveRule, Run, RunCa, RunHandle,
        Workers,
    },
    process::Callers,
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

pub(crate) use super::gate::{PLACEHOLDER, SECRET, Say};
use super::{
    gate::FakeGate,
    upstream::{Upstream, certificate},
};

/// A request body of any kind.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of these frames, of a length that is not told beforehand.
pub(crate) fn streamed(frames: Vec<Frame<Bytes>>) -> Body {
    StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}

/// A run with one listener on "port 443".
pub(crate) struct Scene {
    pub(crate) address: SocketAddr,
    gate: Arc<FakeGate>,
    ca: CertificateDer<'static>,
    pub(crate) handle: RunHandle,
    pub(crate) workers: Workers,
}

/// Dials `upstream` for every name, on port 443.
pub(crate) fn to(upstream: &Upstream) -> DialConfig {
    DialConfig { extra_roots: vec![upstream.root.clone()], ..to_address(upstream.address) }
}

pub(crate) fn to_address(address: SocketAddr) -> DialConfig {
    let rule = ResolveRule {
        host: "*".into(),
        port: 443,
        address: address.ip(),
        to_port: Some(address.port()),
    };
    DialConfig { resolve: vec![rule], ..DialConfig::default() }
}

/// Dials a server that says nothing but these bytes, each on a connection of its own, which it closes;
/// after the last of them it closes at once.
pub(crate) async fn saying(words: Vec<&'static [u8]>) -> DialConfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (root, tls) = certificate("api.test");
    let config = to_address(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(tls);
        let mut words = words.into_iter();
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _head = stream.read(&mut [0; 4096]).await;
            stream.write_all(words.next().unwrap_or_default()).await.unwrap();
            drop(stream.shutdown().await);
        }
    });
    DialConfig { extra_roots: vec![root], ..config }
}

impl Scene {
    pub(crate) fn new(say: Say, config: DialConfig) -> Self {
        Self::on(Listener::Tcp(443), say, config)
    }

    pub(crate) fn on(kind: Listener, say: Say, config: DialConfig) -> Self {
        let gate = Arc::new(FakeGate::new(say));
        let (certificate, key) = RunCa::generate().unwrap();
        let ca = RunCa::from_pem(&certificate, &key).unwrap();
        let root = ca.certificate().clone();
        let run = Run {
            id: "0123456789abcdef".into(),
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
            ca: Arc::new(ca),
            names: Arc::new(NameTable::new(BTreeMap::<String, Ipv4Addr>::new())),
            dialer: Arc::new(Dialer::new(config).unwrap()),
            callers: Callers::default(),
            inside: Inside::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let workers = Workers::start(1).unwrap();
        let handle = workers.serve(&Arc::new(run), vec![(kind, OwnedFd::from(listener))]).unwrap();
        Self { address, gate, ca: root, handle, workers }
    }

    /// A TLS connection that trusts the run.
    pub(crate) async fn tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        connect(self.address, &self.ca, "api.test", alpn).await.unwrap()
    }

    /// The same over a connection that is there already.
    pub(crate) async fn secure(&self, stream: TcpStream) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(client(&self.ca, "http/1.1")));
        connector.connect(ServerName::try_from("api.test").unwrap(), stream).await.unwrap()
    }

    pub(crate) async fn http1(&self) -> http1::SendRequest<Body> {
        let io = TokioIo::new(self.tls("http/1.1").await);
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    pub(crate) async fn http2(&self) -> http2::SendRequest<Body> {
        let io = TokioIo::new(self.tls("h2").await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        self.http1().await.send_request(request).await.unwrap()
    }

    /// A request for `/v1`, on HTTP/2 or not.
    pub(crate) async fn ask(&self, h2: bool, method: Method, body: Body) -> Response<Incoming> {
        let request = Request::builder().method(method);
        if h2 {
            let request = request.uri("https://api.test/v1").body(body).unwrap();
            return self.http2().await.send_request(request).await.unwrap();
        }
        self.send(request.uri("/v1").header("host", "api.test").body(body).unwrap()).await
    }

    /// Method, path and issue of each refusal that the gate was asked about.
    pub(crate) fn renewals(&self) -> Vec<String> {
        self.gate.renewals()
    }

    /// The records, once there are `count`.
    pub(crate) async fn records(&self, count: usize) -> Vec<Record> {
        let enough = async {
            loop {
                let records = self.gate.records();
                if records.len() >= count {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.expect("records in time")
    }

    /// Waits until so many are held.
    pub(crate) async fn held(&self, count: usize) {
        let enough = async {
            while self.gate.held() != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), enough).await;
        assert!(waited.is_ok(), "{} are held, not {count}", self.gate.held());
    }

    /// Lets all go that are held now.
    pub(crate) fn let_go(&self) {
        self.gate.let_go();
    }

    pub(crate) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }
}

/// A TLS connection to `name` at `address` that trusts `root`.
pub(crate) async fn connect(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    name: &'static str,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(client(root, alpn)));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
    connector.connect(name, stream).await
}

pub(crate) fn client(root: &CertificateDer<'static>, alpn: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    config
}

/// A GET on HTTP/1.1.
pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "api.test").body(empty()).unwrap()
}

/// A GET on HTTP/2.
pub(crate) fn get2(uri: &str) -> Request<Body> {
    Request::get(uri).body(empty()).unwrap()
}

/// The whole body.
pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The problem document's code.
pub(crate) async fn code(response: Response<Incoming>) -> String {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let document: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    document["code"].as_str().unwrap().to_owned()
}
