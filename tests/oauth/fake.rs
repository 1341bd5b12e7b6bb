//! A provider that answers as it was told to, and remembers what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Mutex,
};

use authsome::{
    auth::{Client, Error, Http, HttpError, HttpRequest, HttpResponse, Server},
    provider::{ClientAuthentication, OAuth},
};
use futures_util::FutureExt;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// One answer: status, headers, body.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    echo: bool,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), echo: false }
            .with("content-type", content_type)
    }

    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json;charset=UTF-8", body)
    }

    /// An error that says what was sent.
    pub(super) fn echo() -> Self {
        Self { echo: true, ..Self::json(400, "") }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The usual token response.
pub(super) fn tokens() -> Reply {
    Reply::json(
        200,
        r#"{"access_token":"at-1","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-1"}"#,
    )
}

/// The provider. A request for an address with an answer of its own gets that, any other the next one
/// of the script, and 404 when that is used up.
#[derive(Debug, Default)]
pub(super) struct Fake {
    script: Mutex<VecDeque<Option<Reply>>>,
    routes: BTreeMap<String, Reply>,
    requests: Mutex<Vec<String>>,
}

impl Fake {
    pub(super) fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Mutex::new(replies.into_iter().map(Some).collect());
        Self { script, ..Self::default() }
    }

    /// Does not answer, which its first request finds out.
    pub(super) fn silent() -> Self {
        Self { script: Mutex::new([None].into()), ..Self::default() }
    }

    pub(super) fn routes<'a>(routes: impl IntoIterator<Item = (&'a str, Reply)>) -> Self {
        let routes = routes.into_iter().map(|(url, reply)| (url.to_owned(), reply)).collect();
        Self { routes, ..Self::default() }
    }

    /// Each request: method and address, headers sorted, an empty line, the body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request.
    pub(super) fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    /// The body of the only request.
    pub(super) fn body(&self) -> String {
        self.request().split_once("\n\n").unwrap().1.to_owned()
    }

    /// Method and address of each request.
    pub(super) fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect()
    }

    fn record(&self, request: &HttpRequest) {
        let mut headers: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        headers.sort();
        let body = std::str::from_utf8(request.body()).unwrap();
        let text = format!("{} {}\n{}\n{body}", request.method(), request.uri(), headers.concat());
        self.requests.lock().unwrap().push(text);
    }
}

impl Http for Fake {
    fn send<'a>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>> {
        self.record(&request);
        let host = request.uri().host().unwrap().to_owned();
        let reply = match self.routes.get(&request.uri().to_string()) {
            Some(reply) => Some(reply.clone()),
            None => match self.script.lock().unwrap().pop_front() {
                Some(reply) => reply,
                None => Some(Reply::new(404, "text/html", "<!doctype html><title>no</title>")),
            },
        };
        let answer = reply.map(|reply| {
            let mut response = http::Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            let sent = String::from_utf8_lossy(request.body());
            let echo = json!({ "error": "invalid_client", "error_description": sent });
            let body = if reply.echo { echo.to_string().into_bytes() } else { reply.body };
            response.body(body).unwrap()
        });
        let answer = answer.ok_or_else(|| HttpError(format!("{host} did not answer in 30 s")));
        Box::pin(std::future::ready(answer))
    }
}

/// Runs a flow, which must not wait for anything else than an answer.
pub(super) fn run<T>(flow: impl Future<Output = T> + Send) -> T {
    flow.now_or_never().expect("it waits")
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A definition with all endpoints and nothing peculiar.
pub(super) fn oauth() -> OAuth {
    let url = |path: &str| Some(format!("https://id.example/{path}"));
    OAuth {
        authorization_url: url("authorize"),
        token_url: url("token"),
        revocation_url: url("revoke"),
        device_authorization_url: url("device"),
        registration_endpoint: url("register"),
        scope_separator: " ".to_owned(),
        scope_param: "scope".to_owned(),
        pkce: true,
        supports_device_code: true,
        supports_dcr: true,
        ..OAuth::default()
    }
}

pub(super) fn server() -> Server {
    Server::new(&oauth(), None).unwrap()
}

/// The server of [`oauth()`], changed.
pub(super) fn peculiar(change: impl FnOnce(&mut OAuth)) -> Server {
    let mut oauth = oauth();
    change(&mut oauth);
    Server::new(&oauth, None).unwrap()
}

/// A public client.
pub(super) fn public() -> Client {
    client(None, ClientAuthentication::None)
}

pub(super) fn client(secret: Option<&str>, method: ClientAuthentication) -> Client {
    Client { id: "app".to_owned(), secret: secret.map(SecretString::from), method }
}

pub(super) fn scopes(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|scope| (*scope).to_owned()).collect()
}

pub(super) fn secret(text: &SecretString) -> &str {
    text.expose_secret()
}

/// An error with its causes.
pub(super) fn text(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
