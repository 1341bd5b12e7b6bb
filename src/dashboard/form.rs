//! A form that a browser posted.
//!
//! Values of inputs whose name begins with [`SECRET`] become secrets as they are read and cannot be
//! had in any other way; all others are plain text. The buffer is overwritten when it has been read.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::protocol::Secret;

/// What the names of inputs for secrets begin with.
pub(super) const SECRET: &str = "secret.";
/// Largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Most inputs.
const MAX_INPUTS: usize = 256;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What a form is sent as (HTML §4.10.21.7).
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// What was filled in. Inputs left empty are absent.
#[derive(Clone, Default)]
pub(super) struct Form(Arc<Inputs>);

#[derive(Default)]
struct Inputs {
    plain: BTreeMap<String, String>,
    secret: Vec<(String, Secret)>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").finish_non_exhaustive()
    }
}

impl Form {
    /// Reads a request's body.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE)) {
            return Err(Refusal::BadForm);
        }
        let bytes = timeout(BODY_TIMEOUT, whole(body)).await.map_err(|_| Refusal::TooSlow)??;
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut inputs = Inputs::default();
        for (at, (name, value)) in form_urlencoded::parse(bytes).enumerate() {
            // What was no UTF-8 became U+FFFD, and a changed secret is a wrong one.
            if at >= MAX_INPUTS || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Refusal::BadForm);
            }
            if value.is_empty() {
                continue;
            }
            if let Some(name) = name.strip_prefix(SECRET) {
                let value = Secret(SecretString::from(value.into_owned()));
                inputs.secret.push((name.to_owned(), value));
            } else {
                inputs.plain.insert(name.into_owned(), value.trim().to_owned());
            }
        }
        Ok(Self(Arc::new(inputs)))
    }

    /// What was filled in as plain text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.plain.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// All plain inputs whose names begin so, by the rest of their names.
    pub(super) fn texts<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let plain = self.0.plain.iter().filter(|(_, text)| !text.is_empty());
        plain.filter_map(move |(name, text)| Some((name.strip_prefix(prefix)?, text.as_str())))
    }

    /// What was filled in as a secret.
    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.0.secret.iter().find(|(of, _)| of == name).map(|(_, secret)| secret.clone())
    }

    /// Is a box ticked?
    pub(super) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }
}

/// The body, if it is not too large. The buffer never grows, so no copy of a part is left behind.
async fn whole(mut body: Body) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BODY));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BadForm)?.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_name_and_empty_inputs_are_absent() {
        let form = Form::parse(b"name=+work+&secret.api_key=sk%2D1&secret.other=&none=").unwrap();
        assert_eq!(form.text("name"), Some("work"));
        assert_eq!(form.text("secret.api_key"), None);
        assert!(form.secret("api_key").is_some());
        assert!(form.secret("other").is_none());
        assert!(!form.has("none"));
    }

    #[test]
    fn a_form_never_shows_what_it_holds() {
        let form = Form::parse(b"a=plain-value&secret.b=secret-value").unwrap();
        assert!(!format!("{form:?}").contains("value"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(matches!(Form::parse(b"secret.key=%ff%fe"), Err(Refusal::BadForm)));
    }

    #[test]
    fn too_many_inputs_are_refused() {
        let text = "a=1&".repeat(MAX_INPUTS + 1);
        assert!(matches!(Form::parse(text.as_bytes()), Err(Refusal::BadForm)));
    }
}
