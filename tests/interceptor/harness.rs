//! One run, one gate, one client.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use authsome::{
    gate::{
        Admission, BoxFuture, Change, Denial, Gate, Injection, Record, RequestFacts, Target,
        Verdict,
    },
    interceptor::{
        DialConfig, Dialer, Listener, NameTable, ResolveRule, Run, RunCa, RunHandle, Workers,
    },
    scrub::Scrubber,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName};
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::upstream::Upstream;

/// The injected credential.
pub(crate) const SECRET: &str = "sk-live-0123456789abcdefghij";
/// What the agent has instead.
pub(crate) const PLACEHOLDER: &str = "sk-fake-aaaaaaaaaaaaaaaaaaaa";

/// A request body of any kind.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What the gate says to everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Say {
    Inject,
    Forward,
    Deny,
    Splice,
    Refuse,
}

#[derive(Debug)]
pub(crate) struct FakeGate {
    say: Say,
    records: Mutex<Vec<Record>>,
}

fn denial() -> Denial {
    Denial { code: "test-denied", reason: "not today".into(), hint: None, status: 403 }
}

impl Gate for FakeGate {
    fn admit(&self, _target: &Target, _tls: bool) -> Admission {
        match self.say {
            Say::Splice => Admission::Splice,
            Say::Refuse => Admission::Refuse(denial()),
            Say::Inject | Say::Forward | Say::Deny => Admission::Intercept,
        }
    }

    fn authorize<'a>(
        &'a self,
        _facts: &'a RequestFacts,
        _head: &'a Parts,
    ) -> BoxFuture<'a, Verdict> {
        let verdict = match self.say {
            Say::Deny => Verdict::Deny(denial()),
            Say::Inject => Verdict::Inject(injection()),
            Say::Forward | Say::Splice | Say::Refuse => Verdict::Forward,
        };
        Box::pin(std::future::ready(verdict))
    }

    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
    }
}

fn injection() -> Injection {
    let name = HeaderName::from_static("authorization");
    let value = HeaderValue::from_str(&format!("Bearer {SECRET}")).unwrap();
    Injection {
        connection: "test/default".into(),
        changes: Arc::new([Change::RemoveHeader(name.clone()), Change::SetHeader(name, value)]),
        scrubber: Arc::new(Scrubber::new(&[(SecretString::from(SECRET), PLACEHOLDER.into())])),
        issue: None,
    }
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

impl Scene {
    pub(crate) fn new(say: Say, config: DialConfig) -> Self {
        Self::on(Listener::Tcp(443), say, config)
    }

    pub(crate) fn on(kind: Listener, say: Say, config: DialConfig) -> Self {
        let gate = Arc::new(FakeGate { say, records: Mutex::default() });
        let (certificate, key) = RunCa::generate().unwrap();
        let ca = RunCa::from_pem(&certificate, &key).unwrap();
        let root = ca.certificate().clone();
        let run = Run {
            id: "0123456789abcdef".into(),
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
            ca: Arc::new(ca),
            names: Arc::new(NameTable::new(BTreeMap::<String, Ipv4Addr>::new())),
            dialer: Arc::new(Dialer::new(config).unwrap()),
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

    /// The records, once there are `count`.
    pub(crate) async fn records(&self, count: usize) -> Vec<Record> {
        let enough = async {
            loop {
                let records = self.gate.records.lock().unwrap().clone();
                if records.len() >= count {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), enough).await.expect("records in time")
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
