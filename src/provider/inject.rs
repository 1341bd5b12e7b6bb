//! Where a credential goes in a request, and the changes that put it there.
//!
//! One of the few places that look at a secret's value. What is written out on the way is zeroed; what
//! is handed on is a sensitive header value or a [`SecretString`].

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{Definition, Error, PathPrefix, Template, Values};
use crate::gate::Change;

/// One way in which a provider wants a credential.
#[derive(Clone, Debug, Serialize)]
pub struct Inject {
    /// The part of the request it goes to.
    #[serde(flatten)]
    pub slot: Slot,
    /// Further headers in which the agent may have put its own value.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "header_names")]
    pub also_remove: Vec<HeaderName>,
}

/// The part of a request that carries a credential.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Slot {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// The field.
        field: String,
    },
    /// A header of any name.
    Header {
        /// The header.
        #[serde(serialize_with = "header_name")]
        name: HeaderName,
        /// Its value.
        template: Template,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// User name.
        username: Template,
        /// Password.
        password: Template,
    },
    /// A query parameter.
    Query {
        /// The parameter.
        name: String,
        /// The field.
        field: String,
    },
    /// A cookie.
    Cookie {
        /// The cookie.
        name: String,
        /// The field.
        field: String,
    },
    /// What follows a prefix in the path, up to the next `/`.
    Path {
        /// The prefix.
        prefix: String,
        /// The field.
        field: String,
    },
}

impl Slot {
    /// Names of the fields it needs.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Bearer { field }
            | Self::Query { field, .. }
            | Self::Cookie { field, .. }
            | Self::Path { field, .. } => vec![field],
            Self::Header { template, .. } => template.fields().collect(),
            Self::Basic { username, password } => {
                username.fields().chain(password.fields()).collect()
            }
        }
    }

    /// The header it sets, if it sets one.
    pub(super) fn header(&self) -> Option<HeaderName> {
        match self {
            Self::Bearer { .. } | Self::Basic { .. } => Some(header::AUTHORIZATION),
            Self::Header { name, .. } => Some(name.clone()),
            Self::Query { .. } | Self::Cookie { .. } | Self::Path { .. } => None,
        }
    }
}

impl Definition {
    /// The changes that put a connection's values into a request: removals of the agent's own values
    /// first. What needs an optional field that has no value is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if a field that is not optional is missing, if a value does not fit where it
    /// goes (a line break in a header, a `/` in a path segment), or if nothing would be injected.
    pub fn changes(&self, values: &Values) -> Result<Vec<Change>, Error> {
        let mut removals: Vec<HeaderName> = Vec::new();
        let mut sets = Vec::new();
        for inject in &self.inject {
            let set = self.set(&inject.slot, values)?;
            for name in inject.slot.header().iter().chain(&inject.also_remove) {
                if !removals.contains(name) {
                    removals.push(name.clone());
                }
            }
            sets.extend(set);
        }
        if sets.is_empty() {
            return Err(self.value_error(&self.main_field().name, "is missing", None));
        }
        Ok(removals.into_iter().map(Change::RemoveHeader).chain(sets).collect())
    }

    /// What to look for in a response, with what to put there: each secret, and each form of it that
    /// the request carried and that does not contain the secret itself. Both sides of a pair have the
    /// same length.
    ///
    /// # Errors
    ///
    /// As [`Self::changes`].
    pub fn scrub_pairs(
        &self,
        values: &Values,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<Vec<(SecretString, String)>, Error> {
        let mut stand_ins = BTreeMap::new();
        let mut pairs = Vec::new();
        for field in self.fields.iter().filter(|field| field.secret) {
            let Some(secret) = values.get(&field.name) else { continue };
            let placeholder = placeholders.get(&field.name).map_or("", String::as_str);
            let stand_in = fit(placeholder, secret.expose_secret().len());
            if !stand_in.is_empty() {
                pairs.push((secret.clone(), stand_in.clone()));
            }
            stand_ins.insert(field.name.as_str(), stand_in);
        }
        for inject in &self.inject {
            let Slot::Basic { username, password } = &inject.slot else { continue };
            if !self.available(&inject.slot, values)? {
                continue;
            }
            let real = self.basic(username, password, |name| exposed(values, name))?;
            let fake = self.basic(username, password, |name| {
                stand_ins.get(name).map(String::as_str).or_else(|| exposed(values, name))
            })?;
            pairs.push((SecretString::from(real.as_str()), fake.to_string()));
        }
        Ok(pairs)
    }

    fn set(&self, slot: &Slot, values: &Values) -> Result<Option<Change>, Error> {
        if !self.available(slot, values)? {
            return Ok(None);
        }
        let value = |name: &str| exposed(values, name);
        let change = match slot {
            Slot::Bearer { field } => {
                let token = value(field).unwrap_or_default();
                let text = Zeroizing::new(format!("Bearer {token}"));
                Change::SetHeader(header::AUTHORIZATION, self.sensitive(slot, &text)?)
            }
            Slot::Header { name, template } => {
                let text = self.render(template, value)?;
                Change::SetHeader(name.clone(), self.sensitive(slot, &text)?)
            }
            Slot::Basic { username, password } => {
                let encoded = self.basic(username, password, value)?;
                let text = Zeroizing::new(format!("Basic {}", encoded.as_str()));
                Change::SetHeader(header::AUTHORIZATION, self.sensitive(slot, &text)?)
            }
            Slot::Query { name, field } => {
                Change::SetQuery { name: name.clone(), value: self.secret(field, values)? }
            }
            Slot::Cookie { name, field } => {
                let value = self.secret(field, values)?;
                if !value.expose_secret().bytes().all(is_cookie_octet) {
                    return Err(self.value_error(
                        field,
                        "has a character no cookie may have",
                        None,
                    ));
                }
                Change::SetCookie { name: name.clone(), value }
            }
            Slot::Path { prefix, field } => {
                let value = self.secret(field, values)?;
                if !value.expose_secret().bytes().all(is_segment_octet) {
                    let problem = "has a character no path segment may have";
                    return Err(self.value_error(field, problem, None));
                }
                Change::SetPathSegment { prefix: prefix.clone(), value }
            }
        };
        Ok(Some(change))
    }

    /// Are all the fields there? A missing one that is not optional is an error.
    fn available(&self, slot: &Slot, values: &Values) -> Result<bool, Error> {
        for name in slot.fields() {
            if exposed(values, name).is_some_and(|value| !value.is_empty()) {
                continue;
            }
            if self.field(name).is_some_and(|field| field.optional) {
                return Ok(false);
            }
            return Err(self.value_error(name, "is missing", None));
        }
        Ok(true)
    }

    fn secret(&self, field: &str, values: &Values) -> Result<SecretString, Error> {
        values.get(field).cloned().ok_or_else(|| self.value_error(field, "is missing", None))
    }

    fn render<'v>(
        &self,
        template: &Template,
        value: impl FnMut(&str) -> Option<&'v str>,
    ) -> Result<Zeroizing<String>, Error> {
        let mut text = Zeroizing::new(String::new());
        template
            .render(&mut text, value)
            .map_err(|field| self.value_error(field, "is missing", None))?;
        Ok(text)
    }

    /// `user:password` in base64. A colon in the user name would move the border between the two.
    fn basic<'v>(
        &self,
        username: &Template,
        password: &Template,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<Zeroizing<String>, Error> {
        let mut text = self.render(username, &value)?;
        if text.contains(':') {
            let field = username.fields().next().unwrap_or("username");
            return Err(self.value_error(field, "has a `:`, which no user name may have", None));
        }
        text.push(':');
        text.push_str(&self.render(password, &value)?);
        Ok(Zeroizing::new(STANDARD.encode(text.as_bytes())))
    }

    fn sensitive(&self, slot: &Slot, text: &str) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            let hint = "enter it again, without line breaks".to_owned();
            let field = slot.fields().first().copied().unwrap_or_default().to_owned();
            self.value_error(&field, "has a character no header may have", Some(hint))
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn exposed<'v>(values: &'v Values, name: &str) -> Option<&'v str> {
    values.get(name).map(ExposeSecret::expose_secret)
}

/// The placeholder, cut or filled up to `length` bytes.
fn fit(placeholder: &str, length: usize) -> String {
    let ascii = placeholder.chars().filter(char::is_ascii);
    ascii.chain(std::iter::repeat('x')).take(length).collect()
}

/// RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// What a path segment has unescaped (RFC 3986 §3.3).
fn is_segment_octet(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// Checks the prefix of a path slot; on failure says what is wrong with it.
pub(super) fn check_path_slot(prefix: &str) -> Result<(), &'static str> {
    match PathPrefix::parse(prefix)? {
        Some(_) => Ok(()),
        None => Err("must name what precedes the value, such as `/bot`"),
    }
}

fn header_name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn header_names<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(inject: &str) -> Definition {
        let text = format!(
            "name = \"x\"\ndisplay_name = \"X\"\nauth_type = \"api_key\"\nhosts = [\"api.x.com\"]\n\
             [[fields]]\nname = \"user\"\nsecret = false\n[[fields]]\nname = \"api_key\"\n{inject}"
        );
        Definition::parse_toml(&text, "x.toml").unwrap()
    }

    fn values(key: &str) -> Values {
        let pairs = [("user", "me"), ("api_key", key)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    fn header_of(change: &Change) -> (String, String) {
        let Change::SetHeader(name, value) = change else { panic!("{change:?}") };
        assert!(value.is_sensitive());
        (name.to_string(), value.to_str().unwrap().to_owned())
    }

    #[test]
    fn removals_come_first_and_once() {
        let definition = definition(
            "[[inject]]\nkind = \"header\"\nname = \"x-api-key\"\nalso_remove = [\"authorization\"]\n\
             [[inject]]\nkind = \"bearer\"\n",
        );
        let changes = definition.changes(&values("k")).unwrap();
        let shown: Vec<String> = changes.iter().map(|change| format!("{change:?}")).collect();
        let expected = [
            "RemoveHeader(x-api-key)",
            "RemoveHeader(authorization)",
            "SetHeader(x-api-key)",
            "SetHeader(authorization)",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn basic_encodes_user_and_password() {
        let definition = definition(
            "[[inject]]\nkind = \"basic\"\nusername = \"{user}\"\npassword = \"{api_key}\"\n",
        );
        let changes = definition.changes(&values("secret")).unwrap();
        let (name, value) = header_of(changes.last().unwrap());
        assert_eq!((name.as_str(), value.as_str()), ("authorization", "Basic bWU6c2VjcmV0"));
    }

    #[test]
    fn a_colon_in_a_user_name_is_refused() {
        let definition =
            definition("[[inject]]\nkind = \"basic\"\nusername = \"{api_key}\"\npassword = \"\"\n");
        assert!(definition.changes(&values("a:b")).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_a_header_is_refused_without_showing_it() {
        let definition = definition("[[inject]]\nkind = \"bearer\"\n");
        let error = definition.changes(&values("hush\r\nHost: evil.io")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"));
    }

    #[test]
    fn a_value_that_would_change_the_path_is_refused() {
        let definition = definition("[[inject]]\nkind = \"path\"\nprefix = \"/bot\"\n");
        for value in ["a/../b", "a?b", "a#b", "a%2f", "a b"] {
            assert!(definition.changes(&values(value)).is_err(), "{value}");
        }
        assert!(definition.changes(&values("123:AAE-x_y")).is_ok());
    }

    #[test]
    fn a_missing_value_is_an_error_and_never_an_empty_header() {
        let definition = definition("[[inject]]\nkind = \"bearer\"\n");
        assert!(definition.changes(&Values::new()).is_err());
        assert!(definition.changes(&values("")).is_err());
    }

    #[test]
    fn scrub_pairs_keep_the_length_of_every_form() {
        let definition = definition(
            "[[inject]]\nkind = \"basic\"\nusername = \"{user}\"\npassword = \"{api_key}\"\n",
        );
        let placeholders =
            BTreeMap::from([("api_key".to_owned(), "authsome-placeholder".to_owned())]);
        for key in ["short", "a-key-that-is-longer-than-its-placeholder"] {
            let pairs = definition.scrub_pairs(&values(key), &placeholders).unwrap();
            assert_eq!(pairs.len(), 2);
            for (secret, stand_in) in &pairs {
                assert_eq!(secret.expose_secret().len(), stand_in.len());
                assert_ne!(secret.expose_secret(), stand_in);
            }
            assert_eq!(pairs[1].0.expose_secret(), STANDARD.encode(format!("me:{key}")));
        }
    }
}
