//! Finds credentials that lie about: in `.env` files and in an environment.
//!
//! Pure: it is given text and variables, and what is stored already only as fingerprints. Values are
//! [`SecretString`]s from the first moment; nothing here prints one.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{MARKER, Registry};

/// A variable that was met somewhere.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretString,
    /// Where it was met: a file name, or `environment`.
    pub source: String,
}

/// What a stored value is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// SHA-256 of a salt and the value. The salt is random and lives no longer than one scan, so that
    /// the fingerprint of a weak value is of no use to anybody.
    #[must_use]
    pub fn of(salt: &[u8; 32], value: &SecretString) -> Self {
        let hash = Sha256::new().chain_update(salt).chain_update(value.expose_secret().trim());
        Self(hash.finalize().into())
    }
}

/// Fingerprints of stored values, by provider and field name.
pub type Stored = BTreeMap<(String, String), BTreeSet<Fingerprint>>;

/// What a found value is to the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The provider has no connection.
    Found,
    /// A connection holds this value.
    Stored,
    /// The provider's connections hold others.
    Different,
}

/// A variable that holds a provider's credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Provider name.
    pub provider: String,
    /// Field name.
    pub field: String,
    /// Variable name.
    pub variable: String,
    /// Where it was met.
    pub source: String,
    /// What it is to the vault.
    pub state: State,
    /// Does the value look like what the provider takes?
    pub plausible: bool,
}

/// The secret fields of known providers among the variables. Empty values, placeholders and examples
/// (`your-key-here`, `<key>`, `${KEY}`) are passed over.
#[must_use]
pub fn scan(
    variables: &[Variable],
    registry: &Registry,
    stored: &Stored,
    salt: &[u8; 32],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for variable in variables.iter().filter(|variable| !is_example(variable.value.expose_secret()))
    {
        for definition in registry.iter() {
            for field in definition.fields.iter().filter(|field| field.secret) {
                if !field.env.contains(&variable.name) {
                    continue;
                }
                let value = variable.value.expose_secret().trim();
                let known = stored.get(&(definition.name.clone(), field.name.clone()));
                findings.push(Finding {
                    provider: definition.name.clone(),
                    field: field.name.clone(),
                    variable: variable.name.clone(),
                    source: variable.source.clone(),
                    state: match known {
                        None => State::Found,
                        Some(known) if known.contains(&Fingerprint::of(salt, &variable.value)) => {
                            State::Stored
                        }
                        Some(_) => State::Different,
                    },
                    plausible: field.pattern.as_ref().is_none_or(|pattern| pattern.matches(value)),
                });
            }
        }
    }
    findings
}

/// Variables of a text in the manner of `.env` files: `NAME=value`, with or without `export`, quotes,
/// comments, and quoted values that go over several lines. What is none of that is passed over.
#[must_use]
pub fn parse_env(text: &str) -> Vec<(String, SecretString)> {
    let mut variables = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let Some((name, value)) = assignment(line) else { continue };
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                let body = value.strip_prefix(quote).unwrap_or_default();
                match unquote(body, quote) {
                    Some((value, _)) => value,
                    None => {
                        // Over several lines, if the quote ends anywhere at all.
                        let whole = format!("{body}\n{rest}");
                        match unquote(&whole, quote) {
                            Some((value, used)) => {
                                let used = used.saturating_sub(body.len() + 1);
                                let tail = rest.get(used..).unwrap_or_default();
                                rest = tail.split_once('\n').map_or("", |(_, after)| after);
                                value
                            }
                            None => body.to_owned(),
                        }
                    }
                }
            }
            None => without_comment(value).to_owned(),
        };
        variables.push((name.to_owned(), SecretString::from(value)));
    }
    variables
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    super::is_variable(name).then(|| (name, value.trim()))
}

fn without_comment(value: &str) -> &str {
    let comment = value.match_indices('#').map(|(at, _)| at).find(|at| {
        *at == 0 || value.get(..*at).is_some_and(|before| before.ends_with([' ', '\t']))
    });
    comment.and_then(|at| value.get(..at)).unwrap_or(value).trim_end()
}

/// The text up to the closing quote, and how many bytes that took, the quote included.
fn unquote(body: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((value, at + quote.len_utf8())),
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, next @ ('"' | '\\' | '$'))) => value.push(next),
                Some((_, next)) => value.extend(['\\', next]),
                None => return None,
            },
            _ => value.push(character),
        }
    }
    None
}

fn is_example(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let wrapped = [('<', '>'), ('[', ']'), ('{', '}')];
    value.len() < 4
        || value.contains(MARKER)
        || value.starts_with("${")
        || value.starts_with("$(")
        || wrapped.iter().any(|(open, close)| value.starts_with(*open) && value.ends_with(*close))
        || value.contains("your-") && value.len() < 48
        || value.contains("your_") && value.len() < 48
        || value.contains("changeme")
        || value.contains("xxxx")
        || value.contains("...")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let variables = parse_env(text);
        variables
            .into_iter()
            .map(|(name, value)| (name, value.expose_secret().to_owned()))
            .collect()
    }

    #[test]
    fn reads_what_dotenv_files_have() {
        let text = "\u{feff}# comment\nA=1\n export B = two words  # why\r\nC='s # \\n'\nD=\"a\\\"b\\nc\" # x\n\
                    E=\nF=a#b\nnot a line\n1X=2\nG=\"first\nsecond\" # end\nH=last";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "s # \\n"),
            ("D", "a\"b\nc"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "first\nsecond"),
            ("H", "last"),
        ];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(parsed(text), expected);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_file() {
        assert_eq!(
            parsed("A=\"open\nB=2\n"),
            [("A".to_owned(), "open".to_owned()), ("B".to_owned(), "2".to_owned())]
        );
    }

    #[test]
    fn tells_new_stored_and_different_values_apart() {
        let (registry, _) = Registry::load(None);
        let salt = [7; 32];
        let key = |letter: &str| SecretString::from(format!("sk-{}", letter.repeat(40)));
        let variable = |name: &str, value: SecretString| Variable {
            name: name.to_owned(),
            value,
            source: ".env".to_owned(),
        };
        let variables = [
            variable("OPENAI_API_KEY", key("a")),
            variable("CODEX_API_KEY", key("b")),
            variable("TAVILY_API_KEY", SecretString::from("tvly-0123456789abcdef")),
            variable("PATH", SecretString::from("/usr/bin")),
        ];
        let stored = Stored::from([(
            ("openai".to_owned(), "api_key".to_owned()),
            BTreeSet::from([Fingerprint::of(&salt, &key("a"))]),
        )]);
        let findings = scan(&variables, &registry, &stored, &salt);
        let states: Vec<_> = findings.iter().map(|f| (f.provider.as_str(), f.state)).collect();
        let expected =
            [("openai", State::Stored), ("openai", State::Different), ("tavily", State::Found)];
        assert_eq!(states, expected);
        assert!(!format!("{variables:?}{findings:?}").contains("aaaa"));
    }

    #[test]
    fn examples_and_placeholders_are_passed_over() {
        for value in
            ["", "your-api-key", "<key>", "${KEY}", "sk-xxxxxxxx", "sk-authsomeAbCdEf", "sk-..."]
        {
            assert!(is_example(value), "{value}");
        }
        assert!(!is_example("sk-proj-0123456789abcdefghij"));
    }
}
