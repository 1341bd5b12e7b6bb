//! The server that stands for an API: TLS with an authority of its own, HTTP/1.1, blocking, one
//! request a connection. It echoes the credential it was sent, as a careless API would.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::interceptor::RunCa;

/// A client that is slower is not served.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; its threads end with the process.
pub(super) struct Upstream {
    /// Port on 127.0.0.1.
    pub(super) port: u16,
    /// Its authority's certificate, PEM.
    pub(super) ca: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(super) fn start() -> io::Result<Self> {
        let (ca, key) = RunCa::generate().map_err(io::Error::other)?;
        let authority = RunCa::from_pem(&ca, &key).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(authority));
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        std::thread::Builder::new().name("upstream".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // One client at a time is all there is; what it does wrong ends its connection.
                let _ = serve(stream, &config, &record);
            }
        })?;
        Ok(Self { port, ca, received })
    }

    /// The credentials it was sent so far.
    pub(super) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    stream: TcpStream,
    config: &Arc<rustls::ServerConfig>,
    record: &Mutex<Vec<String>>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let connection = rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
    let mut credential = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            value.trim().clone_into(&mut credential);
        }
    }
    record.lock().unwrap_or_else(PoisonError::into_inner).push(credential.clone());
    let body = format!("{{\"you_sent\":\"{credential}\"}}\n");
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
