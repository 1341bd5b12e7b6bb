//! Activities as spans: one each, named and described as OpenTelemetry's conventions for HTTP clients
//! say (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use serde_json::{Value, json};

use super::{Activity, ActivityKind, json as otlp};

/// `SPAN_KIND_CLIENT`: what is measured is a request to a server.
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// Methods that are named as they are; others could be of any number (semantic conventions).
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The document that tells of `activities`.
pub(super) fn document(activities: &[Activity], resource: &Value) -> Vec<u8> {
    let spans = activities.iter().filter_map(span).collect();
    otlp::document("resourceSpans", "scopeSpans", "spans", resource, spans)
}

/// None if there is no randomness for its ids.
fn span(activity: &Activity) -> Option<Value> {
    let mut ids = [0; 24];
    getrandom::fill(&mut ids).ok()?;
    let (trace, span) = ids.split_at(16);
    let end = activity.started.checked_add(activity.duration).unwrap_or(activity.started);
    let mut span = json!({
        "traceId": hex::encode(trace),
        "spanId": hex::encode(span),
        "name": name(activity),
        "kind": CLIENT,
        "startTimeUnixNano": otlp::nanos(activity.started),
        "endTimeUnixNano": otlp::nanos(end),
        "attributes": attributes(activity),
    });
    if error_type(activity).is_some()
        && let Some(members) = span.as_object_mut()
    {
        members.insert("status".to_owned(), json!({ "code": ERROR }));
    }
    Some(span)
}

fn name(activity: &Activity) -> &str {
    match activity.kind {
        ActivityKind::Request => known_method(activity).unwrap_or("HTTP"),
        ActivityKind::Splice => "splice",
        ActivityKind::Connection => "connection",
    }
}

fn known_method(activity: &Activity) -> Option<&str> {
    activity.method.as_deref().filter(|method| METHODS.contains(method))
}

/// What went wrong: a code of ours, else a status that says so.
fn error_type(activity: &Activity) -> Option<String> {
    let status = activity.status.filter(|status| *status >= 400);
    let code = activity.error.as_deref().map(str::to_owned);
    code.or_else(|| status.map(|status| status.to_string()))
}

fn attributes(activity: &Activity) -> Vec<Value> {
    let mut attributes = Vec::new();
    let mut text = |key, value: Option<&str>| {
        attributes.extend(value.map(|value| otlp::text(key, value)));
    };
    match activity.kind {
        ActivityKind::Request => {
            let original = activity.method.as_deref();
            text("http.request.method", Some(known_method(activity).unwrap_or("_OTHER")));
            let unknown = original.filter(|_| known_method(activity).is_none());
            text("http.request.method_original", unknown);
            text("url.scheme", Some("https"));
        }
        ActivityKind::Splice | ActivityKind::Connection => text("network.transport", Some("tcp")),
    }
    text("server.address", activity.host.as_deref());
    let path = activity.path.as_deref();
    text("url.path", path.map(|path| path.split('?').next().unwrap_or_default()));
    text("error.type", error_type(activity).as_deref());
    text("authsome.agent", activity.agent.as_deref());
    text("authsome.run", activity.run.as_deref());
    text("authsome.connection", activity.connection.as_deref());
    text("authsome.decision", activity.decision.as_deref());
    text("authsome.policy", activity.policy.as_deref());
    let numbers = [
        ("server.port", activity.port.map(u64::from)),
        ("http.response.status_code", activity.status.map(u64::from)),
    ];
    attributes.extend(numbers.into_iter().filter_map(|(k, v)| Some(otlp::number(k, v?))));
    attributes
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    pub(in super::super) fn activity() -> Activity {
        Activity {
            kind: ActivityKind::Request,
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            duration: Duration::from_millis(40),
            method: Some("GET".into()),
            host: Some("api.github.com".into()),
            port: Some(443),
            path: Some("/user".into()),
            status: Some(200),
            error: None,
            agent: Some("coder".into()),
            run: Some("0123456789abcdef".into()),
            connection: Some("github/work".into()),
            decision: Some("inject".into()),
            policy: None,
            bytes_sent: 10,
            bytes_received: 20,
        }
    }

    /// The only span of the document for `activity`.
    fn span_of(activity: Activity) -> Value {
        let document = document(&[activity], &otlp::resource("i"));
        let document: Value = serde_json::from_slice(&document).unwrap();
        document["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone()
    }

    fn attribute(span: &Value, key: &str) -> Option<String> {
        let attributes = span["attributes"].as_array()?;
        let found = attributes.iter().find(|attribute| attribute["key"] == key)?;
        let value = found["value"].as_object()?.values().next()?;
        value.as_str().map(str::to_owned)
    }

    #[test]
    fn a_request_is_a_client_span_with_its_times_and_attributes() {
        let span = span_of(activity());

        assert_eq!((&span["name"], &span["kind"]), (&"GET".into(), &3.into()));
        assert_eq!(span["startTimeUnixNano"], "1700000000123000000");
        assert_eq!(span["endTimeUnixNano"], "1700000000163000000");
        for (key, value) in [
            ("http.request.method", "GET"),
            ("server.address", "api.github.com"),
            ("server.port", "443"),
            ("url.path", "/user"),
            ("http.response.status_code", "200"),
            ("authsome.connection", "github/work"),
            ("authsome.decision", "inject"),
        ] {
            assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(attribute(&span, "error.type"), None);
        assert!(span.get("status").is_none());
    }

    #[test]
    fn ids_have_their_length_and_differ() {
        let (one, other) = (span_of(activity()), span_of(activity()));
        assert_eq!(one["traceId"].as_str().unwrap().len(), 32);
        assert_eq!(one["spanId"].as_str().unwrap().len(), 16);
        assert_ne!(one["traceId"], other["traceId"]);
    }

    #[test]
    fn a_failure_has_a_type_and_an_error_status() {
        let denied =
            Activity { status: Some(403), error: Some("policy-denied".into()), ..activity() };
        for (activity, expected) in
            [(denied, "policy-denied"), (Activity { status: Some(500), ..activity() }, "500")]
        {
            let span = span_of(activity);
            assert_eq!(attribute(&span, "error.type").as_deref(), Some(expected));
            assert_eq!(span["status"]["code"], 2);
        }
    }

    #[test]
    fn a_method_of_the_agents_invention_makes_no_name() {
        let span = span_of(Activity { method: Some("BREW".into()), ..activity() });
        assert_eq!(span["name"], "HTTP");
        assert_eq!(attribute(&span, "http.request.method").as_deref(), Some("_OTHER"));
        assert_eq!(attribute(&span, "http.request.method_original").as_deref(), Some("BREW"));
    }

    #[test]
    fn a_query_is_never_sent() {
        let span = span_of(Activity { path: Some("/a?token=hush".into()), ..activity() });
        assert_eq!(attribute(&span, "url.path").as_deref(), Some("/a"));
        assert!(!span.to_string().contains("hush"));
    }

    #[test]
    fn a_splice_is_no_http() {
        let kind = ActivityKind::Splice;
        let span = span_of(Activity { kind, method: None, path: None, status: None, ..activity() });
        assert_eq!(span["name"], "splice");
        assert_eq!(attribute(&span, "http.request.method"), None);
        assert_eq!(attribute(&span, "network.transport").as_deref(), Some("tcp"));
    }
}
