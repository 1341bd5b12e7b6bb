//! Sending one document, and what is done where it does not arrive.
//!
//! As OTLP/HTTP has it: 429, 502, 503 and 504, and no answer, mean another try, later and later or when
//! the server says; any other refusal is final. What was sent in vain for a while is given up.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, header};
use serde_json::Value;
use tokio::{sync::watch, time::sleep};

use super::{Endpoint, Options, Transport};

/// Tries of one document.
const TRIES: u32 = 5;
/// Wait before the second try; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Sends documents to one collector.
#[derive(Debug)]
pub(super) struct Sender {
    options: Options,
    transport: Arc<dyn Transport>,
    /// True once the daemon stops: then nothing is tried again.
    pub(super) closing: watch::Receiver<bool>,
    /// Has it been said that documents do not arrive?
    told: bool,
}

/// What became of one try.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It arrived; so many items of it were refused.
    Taken(u64),
    /// It may be tried again, after this time if one was named.
    Again(String, Option<Duration>),
    /// It is not taken.
    Refused(String),
}

impl Sender {
    pub(super) fn new(
        options: Options,
        transport: Arc<dyn Transport>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { options, transport, closing, told: false }
    }

    /// Sends `document`, with `items` in it. Returns how many of them were lost.
    pub(super) async fn send(&mut self, signal: &str, document: Vec<u8>, items: u64) -> u64 {
        let mut wait = FIRST_WAIT;
        for _ in 0..TRIES {
            let (why, asked) = match self.attempt(signal, document.clone()).await {
                Outcome::Taken(0) => {
                    self.mended();
                    return 0;
                }
                Outcome::Taken(lost) => {
                    self.tell(&format!("the collector refused {lost} of {items} items"));
                    return lost.min(items);
                }
                Outcome::Refused(why) => {
                    self.tell(&why);
                    return items;
                }
                Outcome::Again(why, asked) => (why, asked),
            };
            self.tell(&why);
            if *self.closing.borrow() {
                break;
            }
            let pause = asked.unwrap_or(wait).min(LONGEST_WAIT) + jitter();
            wait *= 2;
            tokio::select! {
                () = sleep(pause) => {}
                // Once more, now or never. A sender that is gone stops nothing.
                Ok(()) = self.closing.changed() => {}
            }
        }
        items
    }

    async fn attempt(&self, signal: &str, document: Vec<u8>) -> Outcome {
        let Options { endpoint, headers } = &self.options;
        let mut request =
            Request::post(endpoint.of(signal)).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.body(document) {
            Ok(request) => match self.transport.send(request).await {
                Ok(answer) => judge(answer.status().as_u16(), answer.headers(), answer.body()),
                Err(why) => Outcome::Again(why, None),
            },
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// Says why nothing arrives, the first time.
    fn tell(&mut self, why: &str) {
        if !std::mem::replace(&mut self.told, true) {
            let collector = self.collector();
            tracing::warn!(
                collector,
                why,
                "telemetry is not delivered; said once until it is again"
            );
        }
    }

    fn mended(&mut self) {
        if std::mem::take(&mut self.told) {
            tracing::info!(collector = self.collector(), "telemetry is delivered again");
        }
    }

    fn collector(&self) -> String {
        let (host, port) = Endpoint::target(&self.options.endpoint);
        format!("{host}:{port}")
    }
}

fn judge(status: u16, headers: &HeaderMap, body: &[u8]) -> Outcome {
    match status {
        200..=299 => Outcome::Taken(rejected(body)),
        429 | 502 | 503 | 504 => {
            let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let after = after.and_then(|seconds| seconds.trim().parse().ok());
            Outcome::Again(format!("it answers {status}"), after.map(Duration::from_secs))
        }
        _ => Outcome::Refused(format!("it answers {status}")),
    }
}

/// How many items a server that took the rest refused (`partialSuccess`).
fn rejected(body: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = answer.get("partialSuccess").unwrap_or(&Value::Null);
    let count = ["rejectedSpans", "rejectedDataPoints"].into_iter().find_map(|name| {
        let count = partial.get(name)?;
        count.as_u64().or_else(|| count.as_str()?.parse().ok())
    });
    count.unwrap_or(0)
}

/// Up to a quarter of a second, so that many daemons do not come back at once.
fn jitter() -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, and nothing else is lost.
    let _ = getrandom::fill(&mut byte);
    Duration::from_millis(u64::from(byte.first().copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&'static str>, body: &str) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        }
        judge(status, &headers, body.as_bytes())
    }

    #[test]
    fn only_what_the_specification_lists_is_tried_again() {
        for status in [429, 502, 503, 504] {
            assert!(matches!(judged(status, None, ""), Outcome::Again(_, None)), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert!(matches!(judged(status, None, ""), Outcome::Refused(_)), "{status}");
        }
    }

    #[test]
    fn the_server_says_when() {
        let outcome = judged(503, Some("7"), "");
        assert_eq!(outcome, Outcome::Again("it answers 503".into(), Some(Duration::from_secs(7))));
    }

    #[test]
    fn what_was_refused_of_a_success_is_counted() {
        for (body, lost) in [
            ("", 0),
            ("{}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3),
            ("{\"partialSuccess\":{\"rejectedDataPoints\":2,\"errorMessage\":\"x\"}}", 2),
            ("not json", 0),
        ] {
            assert_eq!(judged(200, None, body), Outcome::Taken(lost), "{body}");
        }
    }
}
