//! Patterns for names: `*` stands for any characters, everything else for itself. What Cedar's `like`
//! does, so that the two can take each other's place.

/// A pattern for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, if it stands for one only.
    pub(super) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// Does it match everything?
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        like(&self.0, text)
    }

    /// The condition in Cedar's language.
    pub(super) fn cedar(&self, operand: &str) -> String {
        let operator = if self.exact().is_some() { "==" } else { "like" };
        format!("{operand} {operator} {}", quoted(&self.0))
    }
}

/// Do any of these match, or are there none, so that nothing is asked?
pub(super) fn any(globs: &[Glob], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
}

/// Matches from the left; on a failure the last `*` takes one byte more.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(wanted) if wanted == byte => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

/// A string literal of Cedar's language; a `*` in it is a wildcard after `like`.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            _ if character.is_control() => literal.extend(character.escape_unicode()),
            _ => literal.push(character),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_or_none() {
        for (pattern, text, expected) in [
            ("codex", "codex", true),
            ("codex", "codex2", false),
            ("codex*", "codex", true),
            ("*dex", "codex", true),
            ("c*d*x", "codex", true),
            ("c*d*x", "codexy", false),
            ("*.internal.example", "a.b.internal.example", true),
            ("*.internal.example", "internal.example", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*a", "aa", true),
            ("*a*a*a", "aa", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_literal_cannot_be_ended_from_inside() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u{a}""#);
    }
}
