//! The export of telemetry, with a collector of the test's own behind its transport.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use authsome::telemetry::otlp::{
    Activity, ActivityKind, Endpoint, Exporter, Feed, Happened, Options, Sending, Transport,
    headers,
};
use http::{Request, Response};
use serde_json::Value;
use tokio::{runtime::Handle, sync::Semaphore};

/// Spans in a batch that is sent at once.
const BATCH: usize = 512;

/// What is sent, and what is answered.
#[derive(Debug)]
struct Collector {
    got: Mutex<Vec<(String, Value)>>,
    /// Statuses to answer first; then 200.
    statuses: Mutex<VecDeque<u16>>,
    /// One for each answer that may be given.
    open: Semaphore,
}

impl Collector {
    fn new(statuses: &[u16], answers: usize) -> Arc<Self> {
        Arc::new(Self {
            got: Mutex::default(),
            statuses: Mutex::new(statuses.iter().copied().collect()),
            open: Semaphore::new(answers),
        })
    }

    fn willing() -> Arc<Self> {
        Self::new(&[], Semaphore::MAX_PERMITS)
    }

    fn export(self: &Arc<Self>, header_file: &str) -> Exporter {
        let options = Options {
            endpoint: Endpoint::parse("http://collector.test:4318").unwrap(),
            headers: headers(header_file).unwrap(),
        };
        Exporter::start(options, Arc::clone(self) as Arc<dyn Transport>, &Handle::current())
    }

    fn got(&self, signal: &str) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        let of_signal = got.iter().filter(|(path, _)| path.ends_with(signal));
        of_signal.map(|(_, document)| document.clone()).collect()
    }

    /// Documents of a signal, once there are so many.
    async fn wait(&self, signal: &str, count: usize) -> Vec<Value> {
        let enough = async {
            loop {
                let got = self.got(signal);
                if got.len() >= count {
                    return got;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough).await.expect("documents in time")
    }
}

impl Transport for Collector {
    fn send(&self, request: Request<Vec<u8>>) -> Sending<'_> {
        Box::pin(async move {
            self.open.acquire().await.unwrap().forget();
            assert_eq!(request.headers()["content-type"], "application/json");
            let mut document: Value = serde_json::from_slice(request.body()).unwrap();
            if let Some(team) = request.headers().get("x-team") {
                document["x-team"] = team.to_str().unwrap().into();
            }
            self.got.lock().unwrap().push((request.uri().path().to_owned(), document));
            let status = self.statuses.lock().unwrap().pop_front().unwrap_or(200);
            let answer = Response::builder().status(status).header("retry-after", "0");
            Ok(answer.body(b"{}".to_vec()).unwrap())
        })
    }
}

fn tell(feed: &Feed, times: usize) {
    for _ in 0..times {
        feed.tell(Happened::Activity(Box::new(Activity {
            kind: ActivityKind::Request,
            started: SystemTime::now(),
            duration: Duration::from_millis(3),
            method: Some("GET".into()),
            host: Some("api.test".into()),
            port: Some(443),
            path: Some("/".into()),
            status: Some(200),
            error: None,
            agent: None,
            run: None,
            connection: Some("test/default".into()),
            decision: Some("inject".into()),
            policy: None,
            bytes_sent: 0,
            bytes_received: 0,
        })));
    }
}

fn spans(document: &Value) -> usize {
    document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len()
}

/// Value of the only point of a metric.
fn point(document: &Value, name: &str) -> u64 {
    let metrics = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
    metric["sum"]["dataPoints"][0]["asInt"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_full_batch_is_sent_at_once_with_the_metrics() {
    let collector = Collector::willing();
    let exporter = collector.export("x-team: a\n");
    tell(&exporter.feed(), BATCH);

    let traces = collector.wait("/v1/traces", 1).await;
    let metrics = collector.wait("/v1/metrics", 1).await;

    assert_eq!((spans(&traces[0]), &traces[0]["x-team"]), (BATCH, &"a".into()));
    assert_eq!(point(&metrics[0], "authsome.requests"), BATCH as u64);
    assert_eq!(point(&metrics[0], "authsome.telemetry.dropped"), 0);
}

#[tokio::test]
async fn what_a_collector_puts_off_is_sent_again_and_not_lost() {
    let collector = Collector::new(&[503, 429], Semaphore::MAX_PERMITS);
    let exporter = collector.export("");
    tell(&exporter.feed(), BATCH);

    let traces = collector.wait("/v1/traces", 3).await;
    let metrics = collector.wait("/v1/metrics", 1).await;

    assert!(traces[0] == traces[1] && traces[1] == traces[2]);
    assert_eq!(point(&metrics[0], "authsome.telemetry.dropped"), 0);
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let collector = Collector::new(&[400], Semaphore::MAX_PERMITS);
    let exporter = collector.export("");
    tell(&exporter.feed(), BATCH);

    let metrics = collector.wait("/v1/metrics", 1).await;

    assert_eq!(collector.got("/v1/traces").len(), 1);
    assert_eq!(point(&metrics[0], "authsome.telemetry.dropped"), BATCH as u64);
}

#[tokio::test]
async fn what_is_too_much_is_dropped_and_counted_and_nobody_waits() {
    let collector = Collector::new(&[], 0);
    let exporter = collector.export("");
    let told = 20 * BATCH;
    // Nothing is answered while this goes on.
    tell(&exporter.feed(), told);
    collector.open.add_permits(1000);
    exporter.close().await;

    let sent: usize = collector.got("/v1/traces").iter().map(spans).sum();
    let metrics = collector.got("/v1/metrics");
    let dropped = point(metrics.last().unwrap(), "authsome.telemetry.dropped");
    assert!(dropped > 0);
    assert_eq!(sent as u64 + dropped, told as u64);
}

#[tokio::test]
async fn what_is_left_is_sent_when_the_daemon_stops() {
    let collector = Collector::willing();
    let exporter = collector.export("");
    tell(&exporter.feed(), 3);
    exporter.close().await;

    assert_eq!(collector.got("/v1/traces").iter().map(spans).sum::<usize>(), 3);
    assert_eq!(collector.got("/v1/metrics").len(), 1);
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_keep_the_daemon() {
    let collector = Collector::new(&[], 0);
    let exporter = collector.export("");
    tell(&exporter.feed(), 3);

    let closed = tokio::time::timeout(Duration::from_secs(20), exporter.close()).await;

    assert!(closed.is_ok());
    assert!(collector.got("/v1/traces").is_empty());
}
