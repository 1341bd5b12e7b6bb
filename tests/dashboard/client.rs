//! A dashboard on a port of its own, and a client that sends exactly what it is told.

use std::{path::PathBuf, sync::Arc, time::Duration};

use authsome::dashboard::Dashboard;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::backend::Fake;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    pub(super) dashboard: Arc<Dashboard>,
    pub(super) backend: Arc<Fake>,
    pub(super) port: u16,
    pub(super) sessions: PathBuf,
    directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::on(0, tempfile::tempdir().unwrap()).await
    }

    async fn on(port: u16, directory: tempfile::TempDir) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let backend = Arc::new(Fake::default());
        let sessions = directory.path().join("sessions");
        let dashboard = Arc::new(Dashboard::new(Arc::clone(&backend) as _, sessions.clone(), port));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(Arc::clone(&dashboard).serve(listener, async {
            // Dropped is stopped too.
            let _ = stopped.await;
        }));
        Self { dashboard, backend, port, sessions, directory, stop: Some(stop), serving }
    }

    /// Stops serving and waits until that is done.
    pub(super) async fn stop(mut self) -> (u16, tempfile::TempDir) {
        drop(self.stop.take());
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
        (self.port, self.directory)
    }

    /// Another dashboard with the same port and files.
    pub(super) async fn restart(self) -> Self {
        let (port, directory) = self.stop().await;
        Self::on(port, directory).await
    }

    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// A signed-in browser.
    pub(super) async fn browser(&self) -> Browser<'_> {
        let link = self.dashboard.link("default", None);
        let opened = self.get(path_of(&link)).await;
        assert_eq!(opened.status, 200, "{}", opened.text);
        let cookie = opened.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let mut browser = Browser { server: self, cookie, csrf: String::new() };
        let page = browser.get("/").await;
        browser.csrf = between(&page.text, "name=\"csrf\" value=\"", "\"").to_owned();
        // What the overview asked for is nobody's concern.
        self.backend.take_done();
        browser
    }

    /// A GET of somebody unknown.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.host()), "").await
    }

    /// Sends a head (without its last line) and a body, and reads the answer.
    pub(super) async fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = self.connect().await;
        let request = format!("{head}Connection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer::read(stream).await
    }
}

pub(super) struct Browser<'a> {
    pub(super) server: &'a Server,
    pub(super) cookie: String,
    pub(super) csrf: String,
}

impl Browser<'_> {
    /// The head of a request with the session's cookie, to be continued.
    pub(super) fn head(&self, method: &str, path: &str) -> String {
        let (host, cookie) = (self.server.host(), &self.cookie);
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n")
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.server.send(&self.head("GET", path), "").await
    }

    /// A page that is there.
    pub(super) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Posts a form of our own page, with its token.
    pub(super) async fn post(&self, path: &str, form: &str) -> Answer {
        let body = format!("csrf={}&{form}", self.csrf);
        let origin = format!("Origin: http://{}\r\n", self.server.host());
        self.post_raw(path, &origin, &body).await
    }

    /// Posts with these headers and this body.
    pub(super) async fn post_raw(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!(
            "{}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: \
             {length}\r\n{headers}",
            self.head("POST", path)
        );
        self.server.send(&head, body).await
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) text: String,
}

impl Answer {
    /// Reads to the end of the connection.
    pub(super) async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer").unwrap();
        let all = String::from_utf8(bytes).unwrap();
        let (head, text) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), text: text.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (of, value) = line.split_once(": ")?;
            of.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.header("location").unwrap()
    }
}

/// What follows the host in a link.
pub(super) fn path_of(link: &str) -> &str {
    let (_, path) = link.split_once("/open/").unwrap();
    link.get(link.len() - path.len() - "/open/".len()..).unwrap()
}

/// The text between two others.
pub(super) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
    rest.split_once(after).unwrap().0
}
