//! A server that writes down exactly what reaches it: the bytes of a request's target are compared, so
//! nothing here parses them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::interceptor::upstream::certificate;

/// What its certificate is for.
const NAMES: &str = "*.acme.test";
/// What it says to whoever comes without TLS.
pub(crate) const GREETING: &str = "hello\n";
/// A path that begins so is answered with as many bytes as it ends with.
const BYTES: &str = "/bytes/";

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap().split(' ');
        let (method, target) = (words.next().unwrap().into(), words.next().unwrap().into());
        assert_eq!((words.next(), words.next()), (Some("HTTP/1.1"), None), "{head}");
        let fields =
            lines.filter(|line| !line.is_empty()).map(|line| line.split_once(':').unwrap());
        let headers = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Self { method, target, headers: headers.collect() }
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} came twice");
        value
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").map(|length| length.parse().unwrap())
    }

    fn answer(&self) -> Vec<u8> {
        let count = self.target.strip_prefix(BYTES).and_then(|count| count.parse().ok());
        let body = "x".repeat(if self.method == "HEAD" { 0 } else { count.unwrap_or(2) });
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }
}

/// The server, which ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) tls: SocketAddr,
    /// Where it greets without TLS.
    pub(crate) plain: SocketAddr,
    /// What its certificate is signed by.
    pub(crate) root: CertificateDer<'static>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (root, config) = certificate(NAMES);
        let acceptor = TlsAcceptor::from(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let greeter = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (tls, plain) = (listener.local_addr().unwrap(), greeter.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    serve(stream, &log).await;
                });
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = greeter.accept().await {
                drop(stream.write_all(GREETING.as_bytes()).await);
            }
        });
        Self { tls, plain, root, seen }
    }

    /// What has come since one last looked.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: &Mutex<Vec<Seen>>) {
    let mut held = Vec::new();
    while let Some(head) = until(&mut stream, &mut held, b"\r\n\r\n").await {
        let seen = Seen::parse(&String::from_utf8(head).unwrap());
        let answer = seen.answer();
        if seen.header("transfer-encoding").is_some() {
            until(&mut stream, &mut held, b"0\r\n\r\n").await;
        }
        let length = seen.length().unwrap_or(0);
        while held.len() < length {
            if stream.read_buf(&mut held).await.unwrap_or(0) == 0 {
                return;
            }
        }
        held.drain(..length);
        log.lock().unwrap().push(seen);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// What comes until `end`, with it; none where the connection ends before.
async fn until(
    stream: &mut (impl AsyncRead + Unpin),
    held: &mut Vec<u8>,
    end: &[u8],
) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = held.windows(end.len()).position(|window| window == end) {
            return Some(held.drain(..at + end.len()).collect());
        }
        if stream.read_buf(held).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
