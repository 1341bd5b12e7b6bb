//! What a collector of OpenTelemetry's gets of a real request through the daemon, and what it does not.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::support::{KEY, Scene, eventually, write};

/// A collector on this machine; it ends with the test's process.
struct Collector {
    address: SocketAddr,
    /// Request line with headers, and body, of each request.
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&got);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
                });
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                record.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                reader.into_inner().write_all(answer).unwrap();
            }
        });
        Self { address, got }
    }

    /// Documents of a signal.
    fn documents(&self, signal: &str) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        let wanted = got.iter().filter(|(head, _)| head.starts_with(&format!("POST {signal} ")));
        wanted.map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    }
}

/// Connected to OpenAI, with this in its configuration.
fn scene(telemetry: &str) -> Scene {
    let scene = Scene::new();
    scene.authsome(["init"]).success();
    scene.authsome(["daemon", "stop"]).success();
    write(&scene.home().join("config.toml"), format!("[telemetry]\n{telemetry}\n").as_bytes());
    scene.login("openai", KEY);
    scene
}

/// The daemon's log, once every daemon that wrote to it has ended.
fn final_log(scene: &Scene) -> String {
    let log = || scene.authsome(["daemon", "logs", "-n", "1000"]).success();
    let count = |log: &str, word| log.matches(word).count();
    eventually("the end", || {
        let log = log();
        count(&log, "server: serving") == count(&log, "server: stopped")
    });
    log()
}

fn attribute<'a>(item: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = item["attributes"].as_array()?;
    let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
    found["value"].as_object()?.values().next()?.as_str()
}

#[test]
fn a_collector_gets_spans_and_metrics_and_no_secret() {
    let collector = Collector::start();
    let scene = scene(&format!("endpoint = \"http://{}\"", collector.address));
    let script = "echo $OPENAI_API_KEY; curl -sS 'https://api.openai.com/v1/models?q=hush' && \
                  curl -sS https://other.example/";
    let output = scene.run(["sh", "-c", script]).run();
    scene.authsome(["daemon", "stop"]).success();
    // It has left its socket, and sends what is left.
    eventually("metrics", || !collector.documents("/v1/metrics").is_empty());

    let spans: Vec<Value> = collector
        .documents("/v1/traces")
        .iter()
        .flat_map(|document| {
            document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
        })
        .collect();
    let span = spans.iter().find(|span| span["name"] == "GET").expect("a span");
    for (key, value) in [
        ("server.address", "api.openai.com"),
        ("url.path", "/v1/models"),
        ("http.response.status_code", "200"),
        ("authsome.connection", "openai/default"),
        ("authsome.decision", "inject"),
    ] {
        assert_eq!(attribute(span, key), Some(value), "{span}");
    }
    assert!(
        attribute(span, "authsome.agent").is_some() && attribute(span, "authsome.run").is_some()
    );
    assert!(spans.iter().any(|span| attribute(span, "server.address") == Some("other.example")));
    let metrics = collector.documents("/v1/metrics");
    let last = metrics.last().expect("metrics").to_string();
    for name in ["authsome.requests", "authsome.request.duration", "authsome.runs", "authsome.io"] {
        assert!(last.contains(name), "{last}");
    }
    let everything = format!("{:?}", collector.got.lock().unwrap());
    let placeholder = String::from_utf8_lossy(&output.stdout).lines().next().unwrap().to_owned();
    for hidden in [KEY, &placeholder, "hush"] {
        assert!(!everything.contains(hidden), "{hidden}");
    }
}

#[test]
fn a_collector_that_is_down_is_said_once_and_costs_no_request() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scene = scene(&format!("endpoint = \"http://{closed}\""));
    for _ in 0..3 {
        scene.run(["curl", "-sSf", "https://api.openai.com/v1/models"]).success();
    }
    scene.authsome(["daemon", "stop"]).success();

    assert_eq!(scene.upstream.seen().len(), 3);
    let log = final_log(&scene);
    assert_eq!(log.matches("telemetry is not delivered").count(), 1, "{log}");
}

#[test]
fn headers_come_from_a_private_file_or_nothing_is_sent() {
    use std::os::unix::fs::PermissionsExt as _;

    // The daemon that the login started had no file at all.
    for (mode, sent, complaints) in [(0o600, true, 1), (0o644, false, 2)] {
        let collector = Collector::start();
        let endpoint = format!("endpoint = \"http://{}\"", collector.address);
        let scene = scene(&format!("{endpoint}\nheaders_file = \"~/headers\""));
        scene.authsome(["daemon", "stop"]).success();
        let file = scene.user_home().join("headers");
        write(&file, b"Authorization: Bearer collectors-own\n");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let owner =
            std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(scene.user_home()).unwrap());
        std::os::unix::fs::chown(&file, Some(owner), None).unwrap();
        scene.run(["curl", "-sSf", "https://api.openai.com/v1/models"]).success();
        scene.authsome(["daemon", "stop"]).success();
        let log = final_log(&scene);

        let got = collector.got.lock().unwrap();
        assert_eq!(!got.is_empty(), sent);
        assert!(got.iter().all(|(head, _)| head.to_lowercase().contains("bearer collectors-own")));
        assert_eq!(log.matches("no telemetry is exported").count(), complaints, "{log}");
        assert!(!log.contains("collectors-own"));
    }
}

#[test]
fn an_endpoint_that_is_none_is_an_error_with_its_line() {
    let scene = Scene::new();
    scene.authsome(["init"]).success();
    let config = scene.home().join("config.toml");
    write(&config, b"[telemetry]\nendpoint = \"collector:4318\"\n");
    let output = scene.authsome(["run", "--", "true"]).run();

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("config.toml:2: bad value for `endpoint`"), "{said}");
    assert!(said.contains("authsome: hint: expected the collector's address"), "{said}");
}
