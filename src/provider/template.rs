//! Text with field names in it: `Token {api_key}`.

use std::fmt;

use serde::{Serialize, Serializer};

/// Literal text and references to fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Field(String),
}

impl Template {
    /// Parses `text`; on failure says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (field, tail) = after.split_once('}').ok_or("has a `{` without its `}`")?;
            let valid =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if field.is_empty() || !field.bytes().all(valid) {
                return Err("has braces around something that is no field name");
            }
            push_literal(&mut parts, literal)?;
            parts.push(Part::Field(field.to_owned()));
            rest = tail;
        }
        push_literal(&mut parts, rest)?;
        Ok(Self { parts })
    }

    /// The value of one field and nothing else.
    pub(super) fn field(name: &str) -> Self {
        Self { parts: vec![Part::Field(name.to_owned())] }
    }

    /// Names of the fields it refers to.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Writes it out into `out`; on failure says which field has no value. `out` may be a buffer
    /// that is zeroed on drop.
    pub(super) fn render<'a, 'v>(
        &'a self,
        out: &mut String,
        mut value: impl FnMut(&str) -> Option<&'v str>,
    ) -> Result<(), &'a str> {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(name) => out.push_str(value(name).ok_or(name.as_str())?),
            }
        }
        Ok(())
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) -> Result<(), &'static str> {
    if literal.contains('}') {
        return Err("has a `}` without its `{`");
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.to_owned()));
    }
    Ok(())
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Field(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_literals_and_fields_in_order() {
        let template = Template::parse("Token token={api_key};{user}").unwrap();
        let mut out = String::new();
        let value = |name: &str| Some(if name == "user" { "me" } else { "k" });
        template.render(&mut out, value).unwrap();
        assert_eq!(out, "Token token=k;me");
        assert_eq!(template.to_string(), "Token token={api_key};{user}");
    }

    #[test]
    fn names_the_field_that_has_no_value() {
        let template = Template::parse("{api_key}").unwrap();
        assert_eq!(template.render(&mut String::new(), |_| None), Err("api_key"));
    }

    #[test]
    fn refuses_unbalanced_braces_and_odd_names() {
        for text in ["{api_key", "api_key}", "{}", "{a b}", "{API}", "{{x}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
