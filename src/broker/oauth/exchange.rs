//! An agent that does OAuth itself, at the token endpoint of a connected provider.
//!
//! What it holds is placeholders, which mean nothing there: a request with one is answered here, with
//! placeholders. What it obtains by a grant of its own it does not get to see: the tokens in the answer
//! are replaced by placeholders of the connection, which is what its requests will be sent with anyway.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts, response};
use memchr::memmem;
use percent_encoding::percent_decode;
use serde_json::{Map, Value, json};

use super::{super::entry::Entry, store::REFRESH_TOKEN};
use crate::{gate::TokenExchange, interceptor::inject};

/// Life of a placeholder, as the answer says it, in seconds. Asking again costs nothing.
const LIFE: u64 = 3600;
/// Members of an answer that are tokens, by the ends of their names.
const TOKENS: [&str; 3] = ["access_token", "refresh_token", "id_token"];
/// Others.
const SECRETS: [&str; 4] = ["token", "assertion", "client_secret", "device_secret"];

/// One request to a token endpoint.
#[derive(Debug)]
pub(in crate::broker) struct Exchange {
    /// Connections whose provider has this endpoint; at least one, the first stands for all.
    candidates: Vec<Arc<Entry>>,
}

impl Exchange {
    pub(in crate::broker) fn new(candidates: Vec<Arc<Entry>>) -> Option<Self> {
        (!candidates.is_empty()).then_some(Self { candidates })
    }

    /// Whose placeholder is in the request?
    fn owner(&self, head: &Parts, body: &[u8]) -> Option<&Arc<Entry>> {
        let decoded = percent_decode(body).collect::<Vec<u8>>();
        self.candidates.iter().find(|entry| {
            entry.placeholders.values().filter(|fake| !fake.is_empty()).any(|fake| {
                memmem::find(&decoded, fake.as_bytes()).is_some() || inject::contains(head, fake)
            })
        })
    }

    fn fakes(&self) -> Fakes<'_> {
        self.candidates.first().map(Fakes::of).unwrap_or_default()
    }
}

/// What stands for the tokens of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Fakes<'a> {
    access: &'a str,
    refresh: &'a str,
}

impl<'a> Fakes<'a> {
    fn of(entry: &'a Arc<Entry>) -> Self {
        let placeholder =
            |name: &str| entry.placeholders.get(name).map(String::as_str).unwrap_or_default();
        let access = entry.definition.token_field().map(|field| placeholder(&field.name));
        Self { access: access.unwrap_or_default(), refresh: placeholder(REFRESH_TOKEN) }
    }

    /// What stands for the member of this name, if it is a token.
    fn for_member(self, name: &str) -> Option<&'a str> {
        let name = name.to_ascii_lowercase();
        if name.ends_with("refresh_token") {
            Some(self.refresh)
        } else if TOKENS.iter().any(|token| name.ends_with(token)) || SECRETS.contains(&&*name) {
            Some(self.access)
        } else {
            None
        }
    }
}

impl TokenExchange for Exchange {
    fn connection(&self) -> Arc<str> {
        self.candidates.first().map_or_else(|| "".into(), |entry| Arc::clone(&entry.full_name))
    }

    fn answer(&self, head: &Parts, body: &[u8]) -> Option<Response<Bytes>> {
        let entry = self.owner(head, body)?;
        let fakes = Fakes::of(entry);
        let needs_login = entry.grant().and_then(|grant| grant.needs_login.as_ref());
        let (status, document) = if needs_login.is_some() {
            let description = format!("run `{}` outside", entry.login_command());
            let document = json!({"error": "invalid_grant", "error_description": description});
            (StatusCode::BAD_REQUEST, document)
        } else {
            let scope = entry.grant().map(|grant| grant.scopes.join(" ")).unwrap_or_default();
            let document = json!({
                "access_token": fakes.access,
                "token_type": "Bearer",
                "expires_in": LIFE,
                "refresh_token": fakes.refresh,
                "scope": scope,
            });
            (StatusCode::OK, document)
        };
        let mut answer = Response::new(Bytes::from(document.to_string()));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(answer)
    }

    fn redact(&self, head: &response::Parts, body: &[u8]) -> Option<Bytes> {
        let plain = head
            .headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if !plain {
            return None;
        }
        let fakes = self.fakes();
        if let Ok(mut document) = serde_json::from_slice::<Value>(body) {
            redact_json(&mut document, fakes);
            return serde_json::to_vec(&document).ok().map(Bytes::from);
        }
        if is_form(body) {
            return Some(redact_form(body, fakes));
        }
        // An error page holds no token. What calls itself a success and cannot be read might.
        (body.is_empty() || !head.status.is_success()).then(|| Bytes::copy_from_slice(body))
    }
}

fn redact_json(value: &mut Value, fakes: Fakes<'_>) {
    match value {
        Value::Object(members) => redact_members(members, fakes),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_json(item, fakes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn redact_members(members: &mut Map<String, Value>, fakes: Fakes<'_>) {
    for (name, value) in members {
        match (fakes.for_member(name), &value) {
            (Some(fake), Value::String(_) | Value::Number(_)) => *value = fake.into(),
            _ => redact_json(value, fakes),
        }
    }
}

/// GitHub and others answer as a form unless asked otherwise.
fn is_form(body: &[u8]) -> bool {
    let text = |byte: &u8| byte.is_ascii_graphic() && !b"<>\"{}".contains(byte);
    !body.is_empty() && body.contains(&b'=') && body.trim_ascii().iter().all(text)
}

fn redact_form(body: &[u8], fakes: Fakes<'_>) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let pairs = text.trim().split('&').map(|pair| {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = percent_decode(name.as_bytes()).decode_utf8_lossy();
        match fakes.for_member(&plain) {
            // Placeholders are letters, digits and marks that a form may hold as they are.
            Some(fake) => format!("{name}={fake}"),
            None => pair.to_owned(),
        }
    });
    Bytes::from(pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAKES: Fakes<'_> = Fakes { access: "fake-access", refresh: "fake-refresh" };

    #[test]
    fn tokens_are_replaced_wherever_they_are() {
        let mut document = json!({
            "ok": true,
            "access_token": "real-1",
            "authed_user": {"id": "U1", "access_token": "real-2", "refresh_token": "real-3"},
            "more": [{"id_token": "real-4"}],
            "expires_in": 3600,
        });
        redact_json(&mut document, FAKES);
        let text = document.to_string();
        assert!(!text.contains("real-"), "{text}");
        assert_eq!(document["authed_user"]["refresh_token"], "fake-refresh");
        assert_eq!(document["expires_in"], 3600);
    }

    #[test]
    fn a_form_keeps_its_other_members() {
        let body = b"access_token=real&scope=repo%2Cgist&token_type=bearer";
        assert!(is_form(body));
        let clean = redact_form(body, FAKES);
        assert_eq!(&clean[..], b"access_token=fake-access&scope=repo%2Cgist&token_type=bearer");
    }

    #[test]
    fn a_page_is_no_form() {
        assert!(!is_form(b"<html a=b>"));
        assert!(!is_form(b"two words=1"));
    }
}
