//! A TLS server that stands for every API: HTTP/1.1 and HTTP/2, one certificate a name from a test
//! authority, and a record of everything it was sent.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{Acceptor, ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::apis;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// One request as the upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client that knocked: one TLS handshake as the upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Knock {
    /// The host that it wanted.
    pub(crate) name: String,
    /// It would speak HTTP/2.
    pub(crate) h2: bool,
    /// It left before the handshake was done.
    pub(crate) broken: bool,
}

/// A running upstream; it ends with the test's process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    knocks: Arc<Mutex<Vec<Knock>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    /// At an address of the test's choice.
    pub(crate) fn start_at(address: &'static str) -> Self {
        let authority = Authority::new();
        let ca_pem = authority.pem.clone();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(authority));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let knocks = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = std::sync::mpsc::channel();
        let (record, door) = (Arc::clone(&seen), Arc::clone(&knocks));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let Ok((tcp, _)) = listener.accept().await else { continue };
                    let config = Arc::clone(&config);
                    let (record, door) = (Arc::clone(&record), Arc::clone(&door));
                    tokio::task::spawn(async move {
                        let _ = tcp.set_nodelay(true);
                        let Some(tls) = accept(tcp, config, &door).await else { return };
                        let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                        let service = service_fn(move |request| {
                            let record = Arc::clone(&record);
                            async move { Ok::<_, Infallible>(answer(request, &record).await) }
                        });
                        let io = TokioIo::new(tls);
                        if h2 {
                            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                                .max_concurrent_streams(2000)
                                .serve_connection(io, service)
                                .await;
                        } else {
                            let _ = hyper::server::conn::http1::Builder::new()
                                .serve_connection(io, service)
                                .with_upgrades()
                                .await;
                        }
                    });
                }
            });
        });
        let address = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { address, ca_pem, seen, knocks }
    }

    /// Everything it was sent so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Everybody who knocked so far.
    pub(crate) fn knocks(&self) -> Vec<Knock> {
        self.knocks.lock().unwrap().clone()
    }

    /// `--resolve` for every host on 443.
    pub(crate) fn resolve_flag(&self) -> String {
        format!("*:443:127.0.0.1:{}", self.address.port())
    }
}

async fn accept(
    tcp: TcpStream,
    config: Arc<rustls::ServerConfig>,
    knocks: &Mutex<Vec<Knock>>,
) -> Option<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await.ok()?;
    let hello = start.client_hello();
    let name = hello.server_name().unwrap_or_default().to_owned();
    let h2 = hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == b"h2"));
    let accepted = start.into_stream(config).await;
    knocks.lock().unwrap().push(Knock { name, h2, broken: accepted.is_err() });
    accepted.ok()
}

async fn answer(request: Request<Incoming>, record: &Mutex<Vec<Seen>>) -> Response<Body> {
    record
        .lock()
        .unwrap()
        .push(Seen { uri: request.uri().to_string(), headers: request.headers().clone() });
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .or_else(|| request.headers().get("x-api-key"))
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let secret = authorization.strip_prefix("Bearer ").unwrap_or(&authorization).to_owned();
    let path = request.uri().path().to_owned();
    match path.as_str() {
        // A host that shows what it got, in every way that a careless one would.
        "/reflect" => {
            let text = format!(
                "plain {authorization}\nbase64 {}\npercent {}\njson {}\n",
                STANDARD.encode(&authorization),
                percent(&secret),
                serde_json::to_string(&secret).unwrap()
            );
            Response::builder().header("x-reflected", &authorization).body(full(text)).unwrap()
        }
        "/upload" => {
            let mut body = request.into_body();
            let mut length = 0_u64;
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Response::new(full(length.to_string()))
        }
        "/events" => {
            let events = stream::unfold(0, |number| async move {
                if number > 0 {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                (number < 5).then(|| {
                    let event = Bytes::from(format!("data: {number}\n\n"));
                    (Ok(Frame::data(event)), number + 1)
                })
            });
            Response::builder()
                .header(header::CONTENT_TYPE, "text/event-stream")
                .body(BodyExt::boxed(StreamBody::new(events)))
                .unwrap()
        }
        "/websocket" => upgrade(request),
        // A repository with one branch, over the protocol that any web server speaks.
        _ if path.ends_with("/info/refs") => {
            Response::new(full(format!("{}\trefs/heads/main\n", "1".repeat(40))))
        }
        _ if path.ends_with("/HEAD") => Response::new(full("ref: refs/heads/main\n".to_owned())),
        // Takes only credentials that end so.
        _ if path.strip_prefix("/only/").is_some_and(|end| !secret.ends_with(end)) => {
            Response::builder().status(401).body(full("refused\n".to_owned())).unwrap()
        }
        _ if path.starts_with("/download/") => {
            let mebibytes: u64 = path.trim_start_matches("/download/").parse().unwrap_or(1);
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let chunks =
                stream::iter((0..mebibytes * 16).map(move |_| Ok(Frame::data(chunk.clone()))));
            Response::builder()
                .header(header::CONTENT_LENGTH, mebibytes * 1024 * 1024)
                .body(BodyExt::boxed(StreamBody::new(chunks)))
                .unwrap()
        }
        _ => apis::answer(request).await,
    }
}

/// Echoes bytes after a 101; what they mean is between the ends.
fn upgrade(mut request: Request<Incoming>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::task::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        let mut source = tokio_util::io::ReaderStream::new(reader);
        let mut sink =
            tokio_util::codec::FramedWrite::new(writer, tokio_util::codec::BytesCodec::new());
        while let Some(Ok(bytes)) = source.next().await {
            if sink.send(bytes).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(101)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "upgrade")
        .body(full(String::new()))
        .unwrap()
}

pub(super) fn full(text: String) -> Body {
    BodyExt::boxed(Full::new(Bytes::from(text)))
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A test certificate authority that has a certificate for every name.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    key: KeyPair,
    known: Mutex<std::collections::HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Upstream Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&ca_key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, ca_key),
            pem,
            key: KeyPair::generate().unwrap(),
            known: Mutex::default(),
        }
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("localhost").to_owned();
        let mut known = self.known.lock().unwrap();
        let certified = known.entry(name).or_insert_with_key(|name| {
            let params = CertificateParams::new(vec![name.clone()]).unwrap();
            let certificate = params.signed_by(&self.key, &self.issuer).unwrap();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
            Arc::new(CertifiedKey::new(
                vec![CertificateDer::from(certificate)],
                rustls::crypto::ring::sign::any_supported_type(&key).unwrap(),
            ))
        });
        Some(Arc::clone(certified))
    }
}
