//! A request to an endpoint: its parameters, how they are written, and what of it is secret.

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, LOCATION},
};
use oauth2::url::{Url, form_urlencoded};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{Endpoint, Error, Http, HttpRequest, HttpResponse, address, answer::Answer, refusal};
use crate::provider::RevocationBody;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// A request in the making.
pub(super) struct Request {
    endpoint: Endpoint,
    method: Method,
    url: String,
    headers: HeaderMap,
    params: Vec<(String, SecretString)>,
    body: Body,
    /// What no error may quote, should the answer echo it.
    sent: Vec<SecretString>,
}

/// How a body is written.
pub(super) enum Body {
    /// The parameters as a form.
    Form,
    /// The parameters as members of a JSON object.
    Json,
    /// This, and no parameters.
    Document(Value),
    /// There is none.
    None,
}

impl From<RevocationBody> for Body {
    fn from(body: RevocationBody) -> Self {
        match body {
            RevocationBody::Form => Self::Form,
            RevocationBody::Json => Self::Json,
            RevocationBody::None => Self::None,
        }
    }
}

impl Request {
    /// A request to read something; the answer is to be JSON.
    pub(super) fn get(endpoint: Endpoint, url: &str) -> Self {
        let headers = HeaderMap::from_iter([(ACCEPT, JSON)]);
        let (params, sent) = (Vec::new(), Vec::new());
        let url = url.to_owned();
        Self { endpoint, method: Method::GET, url, headers, params, body: Body::None, sent }
    }

    /// A request with parameters.
    pub(super) fn post(endpoint: Endpoint, url: &str, body: Body) -> Self {
        Self { method: Method::POST, body, ..Self::get(endpoint, url) }
    }

    pub(super) fn method(&mut self, method: Method) {
        self.method = method;
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sets a header, in place of one of that name.
    pub(super) fn header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Adds a parameter.
    pub(super) fn param(&mut self, name: &str, value: &str) {
        self.params.push((name.to_owned(), SecretString::from(value)));
    }

    /// Adds a parameter that the flow does not have already.
    pub(super) fn extra(&mut self, name: &str, value: &str) {
        if !self.params.iter().any(|(present, _)| present == name) {
            self.param(name, value);
        }
    }

    /// Adds a parameter that no error may quote.
    pub(super) fn secret(&mut self, name: &str, value: &SecretString) {
        self.params.push((name.to_owned(), value.clone()));
        self.hide(value);
    }

    /// Keeps `value` out of errors.
    pub(super) fn hide(&mut self, value: &SecretString) {
        self.sent.push(value.clone());
    }

    /// Sends it. An answer of any status is an answer, but for a redirect.
    pub(super) async fn send(self, http: &dyn Http) -> Result<Answer, Error> {
        let host = address::host(&self.url);
        let request = self.write()?;
        let (endpoint, sent) = (self.endpoint, self.sent);
        let response = match http.send(request).await {
            Ok(response) => response,
            Err(cause) => return Err(Error::Network { endpoint, host, cause }),
        };
        if let Some(target) = redirect(&response, &self.url) {
            let target = refusal::clean(&target, &sent, 255);
            return Err(Error::Redirect { endpoint, host, target });
        }
        Ok(Answer::new(endpoint, host, response, sent))
    }

    fn write(&self) -> Result<HttpRequest, Error> {
        let pairs = self.params.iter().map(|(name, value)| (name, value.expose_secret()));
        let (body, content_type) = match &self.body {
            Body::None => (Vec::new(), None),
            Body::Form => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                (form.extend_pairs(pairs).finish().into_bytes(), Some(FORM))
            }
            Body::Json => {
                let members: Map<String, Value> =
                    pairs.map(|(name, value)| (name.clone(), Value::from(value))).collect();
                (Value::Object(members).to_string().into_bytes(), Some(JSON))
            }
            Body::Document(document) => (document.to_string().into_bytes(), Some(JSON)),
        };
        let uri = Uri::try_from(self.url.as_str())
            .map_err(|_| Error::Url { name: "endpoint", problem: "cannot be requested" })?;
        let mut request = HttpRequest::new(body);
        *request.uri_mut() = uri;
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        Ok(request)
    }
}

/// The host that an answer redirects to.
fn redirect(response: &HttpResponse, from: &str) -> Option<String> {
    let statuses = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !statuses.contains(&response.status()) {
        return None;
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| Url::parse(from).ok()?.join(location).ok());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("an address that is not readable");
    Some(host.to_owned())
}
