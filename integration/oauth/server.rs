//! `oauth/server.mjs`, started and commanded.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    packages::{node, packages},
    write,
};

/// A running server; it ends with this.
pub(super) struct Server {
    /// Where it serves HTTPS, whatever the name.
    pub(super) port: u16,
    /// The authority of its certificate, PEM.
    pub(super) ca_pem: String,
    admin: u16,
    clients: Value,
    child: Child,
    _directory: TempDir,
}

impl Server {
    /// With `config` for a beginning: see `server/state.mjs`.
    pub(super) fn start(config: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca_pem = certificates(directory.path());
        let issuers = ["auth", "one", "two"].map(|name| format!("https://{name}.example.test"));
        let mut child = Command::new(node())
            .arg(script("server.mjs"))
            .arg("--clients")
            .arg(packages())
            .arg("--cert")
            .arg(directory.path().join("cert.pem"))
            .arg("--key")
            .arg(directory.path().join("key.pem"))
            .args(["--config", &config.to_string()])
            .args(issuers.iter().flat_map(|issuer| ["--issuer", issuer]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with('{'));
        // Nobody reads on; the server says nothing more.
        let facts: Value = serde_json::from_str(&line.expect("the server to listen")).unwrap();
        let port = |name: &str| u16::try_from(facts[name].as_u64().unwrap()).unwrap();
        Self {
            port: port("port"),
            ca_pem,
            admin: port("admin"),
            clients: facts["clients"].clone(),
            child,
            _directory: directory,
        }
    }

    /// Id and secret of the client that authenticates like this: `public`, `basic`, `post` or `jwt`.
    pub(super) fn client(&self, name: &str) -> (String, String) {
        let text =
            |member: &str| self.clients[name][member].as_str().unwrap_or_default().to_owned();
        (text("id"), text("secret"))
    }

    /// Sets members of its configuration.
    pub(super) fn config(&self, members: &Value) {
        self.command("config", members);
    }

    /// Spoils what comes next: see `server/exchange.mjs`.
    pub(super) fn faults(&self, faults: &Value) {
        self.command("faults", faults);
    }

    /// Forgets what was asked, and the faults.
    pub(super) fn reset(&self) {
        self.command("reset", &json!({}));
    }

    /// Makes all tokens of a kind worthless: `AccessToken` or `RefreshToken`.
    pub(super) fn revoke(&self, model: &str) {
        self.command("revoke", &json!({ "model": model }));
    }

    /// Is this token worth something?
    pub(super) fn active(&self, token: &str) -> bool {
        self.command("active", &json!({ "token": token }))["active"].as_bool().unwrap()
    }

    /// Someone says yes or no to the code on a device.
    pub(super) fn device(&self, user_code: &str, approve: bool) {
        let found = self.command("device", &json!({ "user_code": user_code, "approve": approve }));
        assert_eq!(found["found"], true, "{user_code}");
    }

    /// How often each thing happened.
    pub(super) fn stats(&self) -> Value {
        self.command("stats", &json!({}))
    }

    /// How many token requests there were with this grant.
    pub(super) fn grants(&self, grant: &str) -> u64 {
        self.stats()["grants"][grant].as_u64().unwrap_or(0)
    }

    /// How many requests there were to this endpoint.
    pub(super) fn asked(&self, endpoint: &str) -> u64 {
        self.stats()["endpoints"][endpoint].as_u64().unwrap_or(0)
    }

    /// How many requests the API answered like this: `/api/me 200`.
    pub(super) fn answered(&self, what: &str) -> u64 {
        self.stats()["requests"][what].as_u64().unwrap_or(0)
    }

    /// Every secret that was given away or used, and its kind.
    pub(super) fn secrets(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.command("secrets", &json!({}))).unwrap()
    }

    /// Secrets of one kind.
    pub(super) fn secrets_of(&self, kind: &str) -> Vec<String> {
        let all = self.secrets().into_iter();
        all.filter(|(_, what)| what == kind).map(|(secret, _)| secret).collect()
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        write!(stream, "POST /_test/{name} HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{name}: {answer}");
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A script beside this file.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/oauth").join(name)
}

/// Writes `cert.pem` and `key.pem` for the server's names; the authority's certificate.
fn certificates(directory: &Path) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Login Test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["*.example.test".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    write(&directory.join("cert.pem"), certificate.pem().as_bytes());
    write(&directory.join("key.pem"), key.serialize_pem().as_bytes());
    ca_pem
}
