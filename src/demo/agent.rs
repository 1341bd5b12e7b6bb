//! The demo's agent: an ordinary program inside the namespace. It calls an API with what its
//! environment gives it, and then looks for the secret wherever a nosy agent would.
//!
//! It knows no secret to look for; it reports everything it could read, and the judge outside looks.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

/// More than any answer here.
const MAX_READ: u64 = 1024 * 1024;
/// An answer that takes longer does not come.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the agent saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Observation {
    /// What its variable held.
    pub placeholder: String,
    /// Which client made the request.
    pub client: String,
    /// What the server answered.
    pub response: String,
    /// Proxy variables it found.
    pub proxy_variables: Vec<String>,
    /// Network interfaces it found.
    pub interfaces: Vec<String>,
    /// Connecting to the server's own address: why it failed; none: it did not.
    pub direct: Option<String>,
    /// How many places it looked at.
    pub looked_at: usize,
    /// Everything that it found there.
    pub found: BTreeMap<PathBuf, String>,
}

impl Observation {
    fn read(&mut self, path: &Path) {
        let Ok(file) = std::fs::File::open(path) else { return };
        let mut bytes = Vec::new();
        let _ = file.take(MAX_READ).read_to_end(&mut bytes);
        self.looked_at += 1;
        self.found.insert(path.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
    }

    fn read_tree(&mut self, directory: &Path) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.read_tree(&entry.path()),
                Ok(_) => self.read(&entry.path()),
                Err(_) => {}
            }
        }
    }
}

/// Looks around and reports on standard output.
pub fn main(args: &[OsString]) -> ExitCode {
    let word = |index: usize| args.get(index).and_then(|word| word.to_str()).unwrap_or_default();
    let (url, port) = (word(2), word(3));
    let mut observation = Observation {
        placeholder: std::env::var("OPENAI_API_KEY").unwrap_or_default(),
        proxy_variables: std::env::vars()
            .map(|(name, _)| name)
            .filter(|name| name.to_ascii_lowercase().ends_with("_proxy"))
            .collect(),
        interfaces: interfaces(),
        direct: direct(port),
        ..Observation::default()
    };
    match request(url, &observation.placeholder) {
        Ok((client, response)) => {
            observation.client = client;
            observation.response = response;
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the demo's agent: {error}");
            return ExitCode::FAILURE;
        }
    }
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            for file in ["environ", "cmdline"] {
                observation.read(&entry.path().join(file));
            }
        }
    }
    if let Some(home) = std::env::var_os("AUTHSOME_HOME") {
        observation.read_tree(Path::new(&home));
        if let Some(parent) = Path::new(&home).parent() {
            observation.read_tree(parent);
        }
    }
    match serde_json::to_vec(&observation) {
        Ok(report) if std::io::stdout().write_all(&report).is_ok() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    }
}

/// `/proc/net/dev` has two lines of headings and then one an interface (proc_pid_net(5)).
fn interfaces() -> Vec<String> {
    std::fs::read_to_string("/proc/net/dev")
        .unwrap_or_default()
        .lines()
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

fn direct(port: &str) -> Option<String> {
    let address = (Ipv4Addr::LOCALHOST, port.parse::<u16>().ok()?).into();
    TcpStream::connect_timeout(&address, TIMEOUT).err().map(|error| error.to_string())
}

/// With curl, as people have it; else with a client of our own.
fn request(url: &str, key: &str) -> Result<(String, String), String> {
    let header = format!("Authorization: Bearer {key}");
    let curl = Command::new("curl")
        .args(["-sS", "--fail-with-body", "--max-time", "20", "-H", &header, url])
        .stderr(std::process::Stdio::inherit())
        .output();
    match curl {
        Ok(output) if output.status.success() => {
            Ok(("curl".to_owned(), String::from_utf8_lossy(&output.stdout).into_owned()))
        }
        Ok(output) => Err(format!("curl: {}", output.status)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            own_request(url, &header).map(|response| ("own client".to_owned(), response))
        }
        Err(error) => Err(format!("curl: {error}")),
    }
}

fn own_request(url: &str, header: &str) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (host, path) = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| format!("{url} is no URL for this client"))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| text(&error))?;
    let connection =
        rustls::ClientConnection::new(Arc::new(config), name).map_err(|error| text(&error))?;
    let socket = TcpStream::connect((host, 443)).map_err(|error| text(&error))?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(|error| text(&error))?;
    let mut stream = rustls::StreamOwned::new(connection, socket);
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n")
        .map_err(|error| text(&error))?;
    let mut response = Vec::new();
    stream.take(MAX_READ).read_to_end(&mut response).map_err(|error| text(&error))?;
    let response = String::from_utf8_lossy(&response).into_owned();
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no response")?;
    if head.starts_with("HTTP/1.1 200") {
        Ok(body.to_owned())
    } else {
        Err(head.lines().next().unwrap_or_default().to_owned())
    }
}
