//! Host patterns: which names a provider claims.
//!
//! Names are compared label by label, in lower case, without the root's dot; internationalised names
//! are compared in their ASCII form. A pattern never matches a name that merely contains it.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr};

use regex::{Regex, RegexBuilder};
use serde::{Serialize, Serializer};

use super::{Template, base::BASE_HOST, template::Part};

/// One entry of a definition's `hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name: `api.openai.com`.
    Exact(String),
    /// Every name below this one, at any depth, not the name itself: `*.pinecone.io`.
    Suffix(String),
    /// A regular expression for the whole name: `regex:^eu-[0-9]+\.example\.com$`.
    Regex(String),
    /// A name with labels that a connection's settings fill: `{shop}.myshopify.com`. Or just
    /// `{host}`: the whole name is a setting.
    Tenant(Template),
}

/// A pattern whose settings are filled in: what routes are made of.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    Exact(String),
    Suffix(String),
    Regex(Box<Regex>, String),
}

const REGEX: &str = "regex:";
/// Bytes a compiled host expression may take.
const REGEX_SIZE: usize = 256 * 1024;

impl HostPattern {
    /// Parses a pattern; on failure says what is wrong and what would mend it.
    pub(super) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        if let Some(expression) = text.strip_prefix(REGEX) {
            compile(expression)
                .map_err(|error| (format!("has an invalid expression: {error}"), None))?;
            return Ok(Self::Regex(expression.to_owned()));
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return Ok(Self::Suffix(name(suffix)?));
        }
        if text.contains(['{', '}']) {
            return Self::tenant(text);
        }
        Ok(Self::Exact(name(text)?))
    }

    fn tenant(text: &str) -> Result<Self, (String, Option<String>)> {
        let template =
            Template::parse(text).map_err(|problem| (format!("{problem} in `{text}`"), None))?;
        let whole_labels = text.split('.').all(|label| {
            !label.contains(['{', '}'])
                || (label.starts_with('{')
                    && label.ends_with('}')
                    && label.matches('{').count() == 1)
        });
        if !whole_labels {
            let hint = "a field takes the place of a whole label: `{shop}.example.com`".to_owned();
            return Err((format!("has `{text}`, where a field is a part of a label"), Some(hint)));
        }
        let mut sample = String::new();
        if template.render(&mut sample, |_| Some("x")).is_ok() && sample != "x" {
            name(&sample)?;
        }
        Ok(Self::Tenant(template))
    }

    /// Names of the settings it needs.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        let template = match self {
            Self::Tenant(template) => Some(template),
            Self::Exact(_) | Self::Suffix(_) | Self::Regex(_) => None,
        };
        template.into_iter().flat_map(Template::fields)
    }

    /// Fills the settings in. On failure: the field and what is wrong with its value.
    pub(super) fn resolve(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Resolved, (String, &'static str)> {
        Ok(match self {
            Self::Exact(host) => Resolved::Exact(host.clone()),
            Self::Suffix(host) => Resolved::Suffix(host.clone()),
            Self::Regex(text) => match compile(text) {
                Ok(regex) => Resolved::Regex(Box::new(regex), text.clone()),
                Err(_) => return Err((String::new(), "has an invalid expression")),
            },
            Self::Tenant(template) => Resolved::Exact(fill(template, settings)?),
        })
    }
}

fn fill(
    template: &Template,
    settings: &BTreeMap<String, String>,
) -> Result<String, (String, &'static str)> {
    let whole = matches!(template.parts(), [Part::Field(_)]);
    for field in template.fields() {
        let Some(value) = settings.get(field) else {
            return Err((field.to_owned(), "is missing"));
        };
        let value = value.to_ascii_lowercase();
        if whole && (!is_name(&value) || !value.contains('.') || value.parse::<IpAddr>().is_ok()) {
            return Err((field.to_owned(), "must be a host name, such as `git.example.com`"));
        }
        // The host of a base URL is a name that has been checked.
        if !whole && field != BASE_HOST && !is_label(&value) {
            return Err((
                field.to_owned(),
                "must be one label of a host name: no dot, no `https://`",
            ));
        }
    }
    let mut host = String::new();
    template
        .render(&mut host, |field| settings.get(field).map(String::as_str))
        .map_err(|field| (field.to_owned(), "is missing"))?;
    Ok(host.to_ascii_lowercase())
}

/// Compiles a host expression. Always anchored, whatever it says itself.
pub(super) fn compile(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"\A(?:{expression})\z"))
        .case_insensitive(true)
        .size_limit(REGEX_SIZE)
        .build()
}

/// The form in which names are compared: lower case, without the root's dot. None if it is no name
/// (IPv6 literals included).
pub(super) fn canonical(host: &str) -> Option<Cow<'_, str>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    is_name(&host).then_some(host)
}

/// Lower-case DNS name (RFC 1123, and underscores, which some services have).
fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(inner)
}

fn name(text: &str) -> Result<String, (String, Option<String>)> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    let (_, after_scheme) = text.split_once("://").unwrap_or(("", text));
    let (authority, _) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, _) = host.split_once(':').unwrap_or((host, ""));
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let hint = if is_name(&host) {
        Some(format!("write `{host}`: no scheme, user, port or path, in lower case"))
    } else if !text.is_ascii() {
        Some("write its ASCII form, `xn--…`".to_owned())
    } else if text.contains('*') {
        Some("`*` stands only at the start, as in `*.example.com`".to_owned())
    } else {
        None
    };
    Err((format!("has `{text}`, which is no host name"), hint))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(host) => write!(f, "*.{host}"),
            Self::Regex(expression) => write!(f, "{REGEX}{expression}"),
            Self::Tenant(template) => template.fmt(f),
        }
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("shop".to_owned(), value.to_owned())])
    }

    #[test]
    fn what_is_no_host_name_is_refused_with_the_mend() {
        for text in [
            "https://api.openai.com",
            "https://user:pw@api.openai.com/v1",
            "api.openai.com:443",
            "API.openai.com",
            "api.openai.com.",
            "api.openai.com/v1",
        ] {
            let (_, hint) = HostPattern::parse(text).unwrap_err();
            assert!(hint.unwrap().contains("`api.openai.com`"), "{text}");
        }
        for text in
            ["", ".", "a..b", "-a.com", "a.*.com", "*", "*a.com", "bücher.example", "a b.com"]
        {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_print_as_they_are_written() {
        for text in ["api.openai.com", "*.pinecone.io", "{shop}.myshopify.com", r"regex:^a\.b\.c$"]
        {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_setting_fills_one_label_and_no_more() {
        let pattern = HostPattern::parse("{shop}.myshopify.com").unwrap();
        let Ok(Resolved::Exact(host)) = pattern.resolve(&settings("My-Shop")) else { panic!() };
        assert_eq!(host, "my-shop.myshopify.com");
        for value in ["evil.com/x", "a.b", "", "evil.com#", "-a", "a@b", "ä", "x y"] {
            assert!(pattern.resolve(&settings(value)).is_err(), "{value}");
        }
        assert!(pattern.resolve(&BTreeMap::new()).is_err());
    }

    #[test]
    fn a_setting_that_is_the_whole_host_is_a_name_with_a_dot() {
        let pattern = HostPattern::parse("{shop}").unwrap();
        assert!(pattern.resolve(&settings("git.example.com")).is_ok());
        for value in ["localhost", "127.0.0.1", "a b.com", "*.com"] {
            assert!(pattern.resolve(&settings(value)).is_err(), "{value}");
        }
    }

    #[test]
    fn a_field_takes_a_whole_label() {
        assert!(HostPattern::parse("x{shop}.myshopify.com").is_err());
        assert!(HostPattern::parse("{a}{b}.myshopify.com").is_err());
    }

    #[test]
    fn expressions_are_anchored_even_if_they_do_not_say_so() {
        let regex = compile(r"a\.example\.com|b\.example\.com").unwrap();
        assert!(regex.is_match("b.example.com"));
        assert!(!regex.is_match("b.example.com.evil.io"));
        assert!(!regex.is_match("evila.example.com"));
    }

    #[test]
    fn names_are_made_canonical() {
        assert_eq!(canonical("API.OpenAI.com.").as_deref(), Some("api.openai.com"));
        assert_eq!(canonical("xn--bcher-kva.example").as_deref(), Some("xn--bcher-kva.example"));
        for host in ["", ".", "a..", ".a.com", "::1", "a b", "a/b"] {
            assert_eq!(canonical(host), None, "{host}");
        }
    }
}
