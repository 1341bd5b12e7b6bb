//! The values a connection of a provider consists of.

use regex::Regex;
use serde::{Serialize, Serializer};

/// One value of a connection: an API key, an account id, the name of a tenant.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Name, by which templates refer to it.
    pub name: String,
    /// What a person is asked for.
    pub label: String,
    /// Must the agent never see it?
    pub secret: bool,
    /// May it be left out?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Variables that hold it for some client: in a run they get the placeholder of a secret, or the
    /// value of what is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Further variables that may hold this secret, or one in place of it. A run removes them and
    /// never sets them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_remove: Vec<String>,
    /// What the whole value looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// The pattern in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern_hint: Option<String>,
    /// Shape of the placeholder: literal text around one `{random}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// It is found in another field, and nobody is asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derive: Option<Derive>,
}

/// How a field is found in another one.
#[derive(Clone, Debug, Serialize)]
pub struct Derive {
    /// The field it is found in.
    pub from: String,
    /// Expression whose first group is the value.
    pub capture: String,
}

impl Derive {
    /// The value, if it is there.
    pub(super) fn find(&self, from: &str) -> Option<String> {
        let regex = Regex::new(&self.capture).ok()?;
        regex.captures(from)?.get(1).map(|group| group.as_str().to_owned())
    }
}

impl Field {
    /// A field of which nothing is known but its name.
    #[must_use]
    pub fn new(name: &str, label: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: label.to_owned(),
            secret: true,
            optional: false,
            env: Vec::new(),
            env_remove: Vec::new(),
            pattern: None,
            pattern_hint: None,
            placeholder: None,
            derive: None,
        }
    }
}

/// A regular expression for a whole value.
///
/// Checked when it is parsed, compiled when it is used: most definitions are read only for their
/// hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Parses an expression; on failure says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        regex_syntax::parse(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|error| error.to_string().lines().last().unwrap_or_default().to_owned())
    }

    /// Does the whole value match? An expression too large to compile matches nothing.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.compile().is_some_and(|regex| regex.is_match(value))
    }

    pub(super) fn compile(&self) -> Option<Regex> {
        Regex::new(&format!(r"\A(?:{})\z", self.0)).ok()
    }

    /// The expression as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
