//! What came back: which form it has, and whether it is an error.

use std::collections::HashSet;

use ::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use oauth2::url::form_urlencoded;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Endpoint, Error, HttpResponse, refusal};

/// Members of an answer.
pub(super) type Members = Map<String, Value>;

/// An answer, with what it takes to say what is wrong with it.
pub(super) struct Answer {
    endpoint: Endpoint,
    host: String,
    response: HttpResponse,
    sent: Vec<SecretString>,
}

impl Answer {
    pub(super) fn new(
        endpoint: Endpoint,
        host: String,
        response: HttpResponse,
        sent: Vec<SecretString>,
    ) -> Self {
        Self { endpoint, host, response, sent }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The members of an answer that says neither by its status nor by its members that it is an
    /// error.
    pub(super) fn members(&self) -> Result<Members, Error> {
        let members = self.read();
        if let Some(error) = members.as_ref().ok().and_then(|members| self.refusal(members)) {
            return Err(error);
        }
        if !self.status().is_success() {
            return Err(self.status_error());
        }
        members.map_err(|problem| self.problem(problem))
    }

    /// The error that an answer is, where only its status has to tell. A body that is no error
    /// response is not looked at.
    pub(super) fn success(&self) -> Result<(), Error> {
        if let Some(error) = self.read().ok().and_then(|members| self.refusal(&members)) {
            return Err(error);
        }
        if self.status().is_success() { Ok(()) } else { Err(self.status_error()) }
    }

    /// An error: the answer is, or lacks, this.
    pub(super) fn problem(&self, problem: &'static str) -> Error {
        Error::Answer { endpoint: self.endpoint, host: self.host.clone(), problem }
    }

    fn status_error(&self) -> Error {
        Error::Status {
            endpoint: self.endpoint,
            host: self.host.clone(),
            status: self.status().as_u16(),
            retry_after: refusal::retry_after(self.headers()),
        }
    }

    fn refusal(&self, members: &Members) -> Option<Error> {
        let said = refusal::find(members)?;
        Some(refused(
            (self.endpoint, &self.host),
            self.status().as_u16(),
            said,
            refusal::retry_after(self.headers()),
            &self.sent,
        ))
    }

    /// By what the body begins with: content types lie, and an object is told from a page and a form
    /// by its first character.
    fn read(&self) -> Result<Members, &'static str> {
        let body = std::str::from_utf8(self.response.body()).map_err(|_| "something unreadable")?;
        let body = body.trim_start_matches('\u{feff}').trim();
        let kind = self.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let kind = kind.to_ascii_lowercase();
        match body.chars().next() {
            None => Err("nothing"),
            Some('{') => serde_json::from_str(body).map_err(|_| "malformed JSON"),
            Some('<') => Err("a web page"),
            Some(_) if kind.contains("html") => Err("a web page"),
            Some(_) if kind == "application/x-www-form-urlencoded" || kind == "text/plain" => {
                form(body)
            }
            Some(_) => Err("something that is not a JSON object"),
        }
    }
}

/// Members of a form; a name that comes twice is refused (RFC 6749 §3.2).
fn form(body: &str) -> Result<Members, &'static str> {
    let mut names = HashSet::new();
    let mut members = Members::new();
    for (name, value) in form_urlencoded::parse(body.as_bytes()) {
        if !names.insert(name.to_string()) {
            return Err("a form that says something twice");
        }
        members.insert(name.into_owned(), Value::from(value.into_owned()));
    }
    Ok(members)
}

/// The error that `who` said.
pub(super) fn refused(
    who: (Endpoint, &str),
    status: u16,
    said: refusal::Said<'_>,
    retry_after: Option<std::time::Duration>,
    sent: &[SecretString],
) -> Error {
    let (endpoint, host) = (who.0, who.1.to_owned());
    let description = refusal::description(said.description, sent);
    match refusal::code(said.code, sent) {
        Some(code) if code == "access_denied" => Error::Denied { host, description },
        Some(code) => Error::Refused { endpoint, host, status, code, description, retry_after },
        None => Error::Answer { endpoint, host, problem: "an error that is not readable" },
    }
}
