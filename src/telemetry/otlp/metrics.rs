//! Counters since the daemon started, and their document.
//!
//! All are cumulative: a collector that missed some knows the sums from the next.

use std::{borrow::Cow, collections::BTreeMap, time::SystemTime};

use serde_json::{Value, json};

use super::{Activity, Happened, activity::provider, json as otlp};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;
/// Upper bounds of a duration's buckets, in seconds (semantic conventions for
/// `http.client.request.duration`).
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// What was decided, and the provider, if there is one.
type Key = (Cow<'static, str>, Option<String>);

/// Requests of one key.
#[derive(Debug, Default)]
struct Requests {
    count: u64,
    seconds: f64,
    /// One for each bound, and one for what is longer.
    buckets: [u64; BOUNDS.len() + 1],
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Metrics {
    started: SystemTime,
    requests: BTreeMap<Key, Requests>,
    sent: u64,
    received: u64,
    runs: u64,
    /// By provider, and whether they were renewed.
    renewals: BTreeMap<(String, bool), u64>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            started: SystemTime::now(),
            requests: BTreeMap::new(),
            sent: 0,
            received: 0,
            runs: 0,
            renewals: BTreeMap::new(),
        }
    }

    pub(super) fn count(&mut self, happened: &Happened) {
        match happened {
            Happened::Activity(activity) => self.activity(activity),
            Happened::RunOpened => self.runs += 1,
            Happened::RunClosed => self.runs = self.runs.saturating_sub(1),
            Happened::Renewal { connection, renewed } => {
                *self.renewals.entry((provider(connection).to_owned(), *renewed)).or_default() += 1;
            }
        }
    }

    fn activity(&mut self, activity: &Activity) {
        let decision = activity.decision.clone().unwrap_or_default();
        let provider = activity.connection.as_deref().map(|name| provider(name).to_owned());
        let requests = self.requests.entry((decision, provider)).or_default();
        let seconds = activity.duration.as_secs_f64();
        requests.count += 1;
        requests.seconds += seconds;
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = requests.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sent = self.sent.saturating_add(activity.bytes_sent);
        self.received = self.received.saturating_add(activity.bytes_received);
    }

    /// The document that tells of all of it, and of what was `dropped` on the way.
    pub(super) fn document(&self, dropped: u64, resource: &Value) -> Vec<u8> {
        let now = SystemTime::now();
        let times = json!({
            "startTimeUnixNano": otlp::nanos(self.started),
            "timeUnixNano": otlp::nanos(now),
        });
        let point = |attributes: Vec<Value>, value: u64| {
            with(&times, json!({ "attributes": attributes, "asInt": value.to_string() }))
        };
        let requests = self.requests.iter();
        let counts = requests.clone().map(|(key, r)| point(labels(key), r.count)).collect();
        let durations = requests.map(|(key, r)| with(&times, histogram(key, r))).collect();
        let io = [("transmit", self.sent), ("receive", self.received)];
        let io = io.map(|(way, bytes)| point(vec![otlp::text("network.io.direction", way)], bytes));
        let renewals = self.renewals.iter().map(|((provider, renewed), count)| {
            let outcome = if *renewed { "renewed" } else { "login-needed" };
            let labels = [("authsome.provider", provider.as_str()), ("authsome.outcome", outcome)];
            point(labels.map(|(key, value)| otlp::text(key, value)).to_vec(), *count)
        });
        let mut metrics = vec![
            sum("authsome.requests", "{request}", "Requests and connections", counts),
            sum("authsome.io", "By", "Bytes from and to agents", io.to_vec()),
            json!({
                "name": "authsome.request.duration",
                "unit": "s",
                "description": "Time until the last byte",
                "histogram": { "aggregationTemporality": CUMULATIVE, "dataPoints": array(durations) },
            }),
            json!({
                "name": "authsome.runs",
                "unit": "{run}",
                "description": "Open runs",
                "gauge": { "dataPoints": [point(Vec::new(), self.runs)] },
            }),
            sum("authsome.token.renewals", "{renewal}", "Renewals of tokens", renewals.collect()),
        ];
        let lost = vec![point(Vec::new(), dropped)];
        metrics.push(sum("authsome.telemetry.dropped", "{item}", "Telemetry not delivered", lost));
        otlp::document("resourceMetrics", "scopeMetrics", "metrics", resource, metrics)
    }
}

fn array(items: Vec<Value>) -> Value {
    Value::Array(items)
}

fn sum(name: &str, unit: &str, description: &str, points: Vec<Value>) -> Value {
    json!({
        "name": name,
        "unit": unit,
        "description": description,
        "sum": {
            "aggregationTemporality": CUMULATIVE,
            "isMonotonic": true,
            "dataPoints": array(points),
        },
    })
}

fn histogram(key: &Key, requests: &Requests) -> Value {
    let buckets: Vec<String> = requests.buckets.iter().map(u64::to_string).collect();
    json!({
        "attributes": labels(key),
        "count": requests.count.to_string(),
        "sum": requests.seconds,
        "bucketCounts": buckets,
        "explicitBounds": BOUNDS,
    })
}

fn labels((decision, provider): &Key) -> Vec<Value> {
    let decision = [otlp::text("authsome.decision", decision)];
    let provider = provider.iter().map(|name| otlp::text("authsome.provider", name));
    decision.into_iter().chain(provider).collect()
}

/// `point` with the members of `times`.
fn with(times: &Value, mut point: Value) -> Value {
    if let (Some(members), Some(times)) = (point.as_object_mut(), times.as_object()) {
        members.extend(times.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    point
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::trace::tests::activity, *};

    fn metric(metrics: &Metrics, name: &str) -> Value {
        let document = metrics.document(7, &otlp::resource("i"));
        let document: Value = serde_json::from_slice(&document).unwrap();
        let all = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        all.iter().find(|metric| metric["name"] == name).unwrap().clone()
    }

    fn counted(activities: impl IntoIterator<Item = Activity>) -> Metrics {
        let mut metrics = Metrics::new();
        for activity in activities {
            metrics.count(&Happened::Activity(Box::new(activity)));
        }
        metrics
    }

    #[test]
    fn requests_are_counted_by_decision_and_provider() {
        let denied = Activity { decision: Some("deny".into()), connection: None, ..activity() };
        let requests = metric(&counted([activity(), denied, activity()]), "authsome.requests");

        let points = requests["sum"]["dataPoints"].as_array().unwrap();
        let seen: Vec<_> =
            points.iter().map(|p| (&p["asInt"], p["attributes"].to_string())).collect();
        assert_eq!(seen.len(), 2);
        assert!(seen[0].0 == "1" && seen[0].1.contains("deny"), "{seen:?}");
        assert!(seen[1].0 == "2" && seen[1].1.contains("\"github\""), "{seen:?}");
        assert_eq!(requests["sum"]["aggregationTemporality"], 2);
    }

    #[test]
    fn a_duration_falls_into_the_bucket_that_reaches_up_to_it() {
        let lasting = |ms| Activity { duration: Duration::from_millis(ms), ..activity() };
        let durations = metric(&counted([5, 6, 20_000].map(lasting)), "authsome.request.duration");

        let point = &durations["histogram"]["dataPoints"][0];
        let buckets = point["bucketCounts"].as_array().unwrap();
        assert_eq!(buckets.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
        assert!(buckets[0] == "1" && buckets[1] == "1" && buckets.last().unwrap() == "1");
        assert_eq!(point["count"], "3");
    }

    #[test]
    fn runs_renewals_bytes_and_losses_are_told() {
        let mut metrics = counted([activity()]);
        metrics.count(&Happened::RunOpened);
        metrics.count(&Happened::RunOpened);
        metrics.count(&Happened::RunClosed);
        metrics.count(&Happened::Renewal { connection: "google/a".into(), renewed: true });

        let point = |name, kind: &str| metric(&metrics, name)[kind]["dataPoints"][0].clone();
        assert_eq!(point("authsome.runs", "gauge")["asInt"], "1");
        assert_eq!(point("authsome.telemetry.dropped", "sum")["asInt"], "7");
        assert_eq!(point("authsome.io", "sum")["asInt"], "10");
        let renewal = point("authsome.token.renewals", "sum");
        assert!(renewal["asInt"] == "1" && renewal["attributes"].to_string().contains("google"));
    }
}
