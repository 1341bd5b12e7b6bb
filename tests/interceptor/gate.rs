//! A gate of the test's own: it says one thing to everything, and remembers what it was told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use authsome::{
    gate::{
        Admission, BoxFuture, Change, Denial, Gate, Injection, Record, Renewal, RequestFacts,
        Ruling, Target, TokenExchange, Verdict,
    },
    scrub::{Finder, Scrubber},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header, request::Parts, response};
use secrecy::SecretString;
use tokio::sync::Notify;

/// The injected credential.
pub(crate) const SECRET: &str = "sk-live-0123456789abcdefghij";
/// What a credential that can be renewed is renewed to.
pub(crate) const NEWER: &str = "sk-live-9876543210zyxwvutsrq";
/// What the agent has instead.
pub(crate) const PLACEHOLDER: &str = "sk-fake-aaaaaaaaaaaaaaaaaaaa";
/// What the token exchange answers by itself.
pub(crate) const GRANTED: &str = r#"{"access_token":"sk-fake-aaaaaaaaaaaaaaaaaaaa"}"#;

/// What the gate says to everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Say {
    Inject,
    /// Inject what does not fit into a request.
    Misfit,
    /// Inject what can be renewed, and this when it is refused.
    Renew(Refused),
    Exchange,
    Forward,
    Deny,
    Splice,
    Refuse,
    /// Hold `/held` until it is let go, then inject.
    Hold,
    /// Hold the connection until it is let go, then splice it.
    HoldConnection,
    /// Refuse for a second and a half.
    Later,
}

/// What the gate says to a 401.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refused {
    Keep,
    Again,
    /// Again, with what does not fit into a request.
    Misfit,
    Deny,
}

#[derive(Debug)]
pub(crate) struct FakeGate {
    say: Say,
    records: Mutex<Vec<Record>>,
    renewals: Mutex<Vec<String>>,
    /// What is held lives in these.
    held: Arc<()>,
    go: Notify,
}

impl FakeGate {
    pub(crate) fn new(say: Say) -> Self {
        Self {
            say,
            records: Mutex::default(),
            renewals: Mutex::default(),
            held: Arc::default(),
            go: Notify::new(),
        }
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        Arc::strong_count(&self.held) - 1
    }

    /// Lets all go that are held now.
    pub(crate) fn let_go(&self) {
        self.go.notify_waiters();
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// Method, path and issue of each refusal it was asked about.
    pub(crate) fn renewals(&self) -> Vec<String> {
        self.renewals.lock().unwrap().clone()
    }
}

impl Gate for FakeGate {
    fn admit(&self, _target: &Target, _tls: bool) -> Ruling<Admission> {
        let says = match self.say {
            Say::Splice => Admission::Splice,
            Say::Refuse => Admission::Refuse(denial("test-denied", 403)),
            Say::HoldConnection => Admission::Hold,
            Say::Hold
            | Say::Later
            | Say::Inject
            | Say::Misfit
            | Say::Renew(_)
            | Say::Exchange
            | Say::Forward
            | Say::Deny => Admission::Intercept,
        };
        says.into()
    }

    fn hold<'a>(&'a self, _target: &'a Target, _tls: bool) -> BoxFuture<'a, Ruling<Admission>> {
        Box::pin(async move {
            let _held = Arc::clone(&self.held);
            self.go.notified().await;
            Admission::Splice.into()
        })
    }

    fn authorize<'a>(
        &'a self,
        facts: &'a RequestFacts,
        _head: &'a Parts,
    ) -> BoxFuture<'a, Ruling<Verdict>> {
        if self.say == Say::Hold && facts.path.as_str() == "/held" {
            return Box::pin(async move {
                let _held = Arc::clone(&self.held);
                self.go.notified().await;
                Verdict::Inject(injection(SECRET, None)).into()
            });
        }
        let verdict = match self.say {
            Say::Later => Verdict::Later(denial("test-limited", 429), Duration::from_millis(1500)),
            Say::Deny => Verdict::Deny(denial("test-denied", 403)),
            Say::Inject => Verdict::Inject(injection(SECRET, None)),
            Say::Misfit => Verdict::Inject(misfit()),
            Say::Renew(_) => Verdict::Inject(injection(SECRET, Some(1))),
            Say::Exchange => Verdict::Exchange(Arc::new(FakeExchange)),
            Say::Forward | Say::Hold | Say::HoldConnection | Say::Splice | Say::Refuse => {
                Verdict::Forward
            }
        };
        Box::pin(std::future::ready(verdict.into()))
    }

    fn renew<'a>(&'a self, facts: &'a RequestFacts, used: &'a Injection) -> BoxFuture<'a, Renewal> {
        let asked = format!("{} {} {:?}", facts.method, facts.path.as_str(), used.issue);
        self.renewals.lock().unwrap().push(asked);
        let Say::Renew(refused) = self.say else {
            return Box::pin(std::future::ready(Renewal::Keep));
        };
        let renewal = match refused {
            Refused::Keep => Renewal::Keep,
            Refused::Again => Renewal::Again(injection(NEWER, Some(2))),
            Refused::Misfit => Renewal::Again(misfit()),
            Refused::Deny => Renewal::Deny(denial("login-needed", 401)),
        };
        Box::pin(std::future::ready(renewal))
    }

    fn placeholders(&self) -> Option<Arc<Finder>> {
        Some(Arc::new(Finder::new([(PLACEHOLDER, "test/default".into())])))
    }

    fn record(&self, record: Record) {
        self.records.lock().unwrap().push(record);
    }
}

fn denial(code: &'static str, status: u16) -> Denial {
    Denial { code, reason: "not today".into(), hint: None, status }
}

fn injection(secret: &str, issue: Option<u64>) -> Injection {
    let name = HeaderName::from_static("authorization");
    let value = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
    Injection {
        connection: "test/default".into(),
        changes: Arc::new([Change::RemoveHeader(name.clone()), Change::SetHeader(name, value)]),
        scrubber: Arc::new(Scrubber::new(&[(SecretString::from(secret), PLACEHOLDER.into())])),
        issue,
    }
}

/// A cookie that no header can carry.
fn misfit() -> Injection {
    let value = SecretString::from(format!("{NEWER};"));
    let change = Change::SetCookie { name: "session".into(), value };
    Injection { changes: Arc::new([change]), ..injection(NEWER, None) }
}

/// Answers what holds the placeholder; in what the server answers, replaces the secret by `fake`.
#[derive(Debug)]
struct FakeExchange;

impl TokenExchange for FakeExchange {
    fn connection(&self) -> Arc<str> {
        "test/default".into()
    }

    fn answer(&self, _head: &Parts, body: &[u8]) -> Option<Response<Bytes>> {
        String::from_utf8_lossy(body).contains(PLACEHOLDER).then(|| {
            let json = (header::CONTENT_TYPE, "application/json");
            Response::builder().header(json.0, json.1).body(Bytes::from(GRANTED)).unwrap()
        })
    }

    fn redact(&self, head: &response::Parts, body: &[u8]) -> Option<Bytes> {
        let text = std::str::from_utf8(body).ok()?;
        let plain = !head.headers.contains_key(header::CONTENT_ENCODING);
        plain.then(|| text.replace(SECRET, "fake").into())
    }
}
