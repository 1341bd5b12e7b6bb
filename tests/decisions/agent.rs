//! An agent in a run of its own, which can send whatever bytes it likes.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authsome::{
    broker::{LiveEvent, Notice, RunGate},
    interceptor::{
        DialConfig, Dialer, Inside, Listener, NameTable, ResolveRule, Run, RunCa, RunHandle,
    },
    process::Callers,
    protocol::{Egress, EnvFrom, HostPort, OpenRun, RunCaKey, RunOptions, Secret, asks::AskView},
};
use http::Request;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::broadcast::Receiver,
    time::timeout,
};

use super::stage::Stage;
use crate::interceptor::harness::{Body, connect, empty};

/// The port of a database, where nothing is looked into.
pub(crate) const DATABASE: u16 = 5432;
/// Nothing here takes as long.
const LIMIT: Duration = Duration::from_secs(20);

/// What a run is asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// Of `acme`.
    pub(crate) connection: Option<&'static str>,
    pub(crate) profile: Option<&'static str>,
    pub(crate) providers_only: bool,
    pub(crate) allow: Vec<HostPort>,
}

/// Counts what it is told.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Notice for Told {
    fn named(&self, _: &str, _: SocketAddr) {}

    fn asked(&self, _: &AskView) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One run.
pub(crate) struct Agent {
    pub(crate) run: String,
    pub(crate) gate: Arc<RunGate>,
    ca: CertificateDer<'static>,
    https: SocketAddr,
    database: SocketAddr,
    /// By connection: the fake value that stands for it.
    placeholders: BTreeMap<String, String>,
    told: Arc<Told>,
    handle: Option<RunHandle>,
}

/// What an agent was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}

impl Answer {
    /// The code of a problem document; `-`: it is none.
    pub(crate) fn code(&self) -> String {
        let document = serde_json::from_str::<serde_json::Value>(&self.body).unwrap_or_default();
        document["code"].as_str().unwrap_or("-").to_owned()
    }

    /// Its sentence.
    pub(crate) fn detail(&self) -> String {
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        document["detail"].as_str().unwrap().to_owned()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let after = head.to_lowercase();
        let after = after.split_once("retry-after: ").and_then(|(_, rest)| rest.lines().next());
        let retry_after = after.map(|seconds| seconds.parse().unwrap());
        Some(Self { status, retry_after, body: body.to_owned() })
    }
}

impl Agent {
    pub(super) fn begin(stage: &Stage, name: &str, run: &str, options: Options) -> Self {
        let (certificate, key) = RunCa::generate().unwrap();
        let ca = RunCa::from_pem(&certificate, &key).unwrap();
        let broker = options.profile.map_or_else(|| stage.broker(), |name| stage.broker_of(name));
        let connections = broker.connections(None).unwrap();
        let variable = |name: &str| format!("MARK_{}", name.replace(['/', '-'], "_"));
        let full_name = |provider: &str, name: &str| format!("{provider}/{name}");
        let env = connections.iter().map(|view| EnvFrom {
            name: variable(&full_name(&view.provider, &view.connection)),
            provider: view.provider.clone(),
            connection: view.connection.clone(),
            field: None,
        });
        let open = OpenRun {
            id: run.to_owned(),
            command: name.to_owned(),
            agent: name.to_owned(),
            ca: RunCaKey { certificate, key: Secret(key) },
            options: RunOptions {
                connections: options
                    .connection
                    .iter()
                    .map(|name| ("acme".into(), (*name).into()))
                    .collect(),
                env: env.collect(),
                egress: if options.providers_only { Egress::Providers } else { Egress::Open },
                allow: options.allow,
                ..RunOptions::default()
            },
            names: BTreeMap::new(),
            proxy: BTreeMap::new(),
        };
        let told = Arc::new(Told::default());
        let notice = Arc::clone(&told) as Arc<dyn Notice>;
        let (gate, opened) =
            RunGate::open(&broker, &open, None, Arc::new(AtomicU64::new(0)), notice).unwrap();
        let placeholders = connections.iter().map(|view| {
            let name = full_name(&view.provider, &view.connection);
            let placeholder = opened.set_env[&variable(&name)].clone();
            (name, placeholder)
        });
        let placeholders = placeholders.collect();
        let gate = Arc::new(gate);
        let root = ca.certificate().clone();
        let served = Arc::new(Run {
            id: run.to_owned(),
            gate: Arc::clone(&gate) as _,
            ca: Arc::new(ca),
            names: Arc::new(NameTable::new(BTreeMap::new())),
            dialer: Arc::new(Dialer::new(way_out(stage)).unwrap()),
            callers: Callers::default(),
            inside: Inside::default(),
        });
        let https = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Any address of the loopback is the name of a database of its own.
        let database = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let addresses = (https.local_addr().unwrap(), database.local_addr().unwrap());
        let listeners = vec![
            (Listener::Tcp(443), OwnedFd::from(https)),
            (Listener::Tcp(DATABASE), OwnedFd::from(database)),
        ];
        let handle = stage.workers.serve(&served, listeners).unwrap();
        Self {
            run: run.to_owned(),
            gate,
            ca: root,
            https: addresses.0,
            database: addresses.1,
            placeholders,
            told,
            handle: Some(handle),
        }
    }

    /// Ends the run as the daemon does.
    pub(crate) fn end(&mut self) {
        self.handle = None;
        self.gate.close();
    }

    /// The fake value that stands for a connection.
    pub(crate) fn placeholder(&self, connection: &str) -> &str {
        &self.placeholders[connection]
    }

    /// How often the run was told that something waits.
    pub(crate) fn told(&self) -> u64 {
        self.told.0.load(Ordering::Relaxed)
    }

    /// A GET of `path` at the service with two accounts.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    /// A request to the service with two accounts; `fields` are whole lines.
    pub(crate) async fn send(&self, method: &str, path: &str, fields: &str) -> Answer {
        self.send_to("api.acme.test", method, path, fields).await
    }

    pub(crate) async fn send_to(
        &self,
        host: &'static str,
        method: &str,
        path: &str,
        fields: &str,
    ) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}");
        let head = format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n");
        self.raw(host, head.as_bytes()).await.unwrap_or_else(|| panic!("no answer to {head}"))
    }

    /// These bytes, on a connection to `host` of their own; none where there is no answer.
    pub(crate) async fn raw(&self, host: &'static str, bytes: &[u8]) -> Option<Answer> {
        let mut stream = connect(self.https, &self.ca, host, "http/1.1").await.unwrap();
        let answered = async {
            // A server may refuse before all is written.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            Answer::parse(&answer)
        };
        timeout(LIMIT, answered).await.expect("an answer in time")
    }

    /// An HTTP/2 connection to `host`.
    pub(crate) async fn http2(&self, host: &'static str) -> SendRequest<Body> {
        let stream = connect(self.https, &self.ca, host, "h2").await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        sender
    }

    /// An end-to-end TLS connection to a host that is none of the user's services; does it come
    /// about?
    pub(crate) async fn reaches(&self, stage: &Stage, host: &'static str) -> bool {
        let connected = connect(self.https, &stage.server.root, host, "http/1.1");
        timeout(LIMIT, connected).await.expect("an end in time").is_ok()
    }

    /// What the database at an address of the loopback says first.
    pub(crate) async fn database(&self, address: Ipv4Addr) -> String {
        let mut stream = TcpStream::connect((address, self.database.port())).await.unwrap();
        let mut said = String::new();
        let reading = stream.read_to_string(&mut said);
        let _ = timeout(LIMIT, reading).await.expect("an end in time");
        said
    }

    /// Asks on HTTP/2, with a whole URI.
    pub(crate) async fn get2(sender: &mut SendRequest<Body>, uri: http::Uri) -> Option<Answer> {
        let request = Request::get(uri).body(empty()).unwrap();
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = crate::interceptor::harness::text(response).await;
        Some(Answer { status, retry_after: None, body })
    }

    /// What is put on record next about this run.
    pub(crate) async fn record(&self, live: &mut Receiver<Arc<LiveEvent>>) -> Arc<LiveEvent> {
        let next = async {
            loop {
                let event = live.recv().await.unwrap();
                let kind = event["kind"].as_str().unwrap();
                if event["run"] == self.run && matches!(kind, "request" | "splice" | "connection") {
                    return event;
                }
            }
        };
        timeout(LIMIT, next).await.expect("a record in time")
    }
}

/// Every name is the one server.
fn way_out(stage: &Stage) -> DialConfig {
    let rule = |port, to: SocketAddr| ResolveRule {
        host: "*".into(),
        port,
        address: to.ip(),
        to_port: Some(to.port()),
    };
    DialConfig {
        resolve: vec![rule(443, stage.server.tls), rule(DATABASE, stage.server.plain)],
        extra_roots: vec![stage.server.root.clone()],
        ..DialConfig::default()
    }
}
