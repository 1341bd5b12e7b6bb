//! `WWW-Authenticate` (RFC 9110 §11.6.1), as far as a bearer challenge goes (RFC 6750 §3, RFC 9728 §5.1).

use ::http::{HeaderMap, header::WWW_AUTHENTICATE};

/// What a resource says of who guards it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `resource_metadata`.
    pub(super) metadata: Option<String>,
    /// `scope`, split.
    pub(super) scopes: Vec<String>,
}

/// The bearer challenges of an answer, the first one's word counting.
pub(super) fn read(headers: &HeaderMap) -> Challenge {
    let mut challenge = Challenge::default();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        if let Ok(text) = value.to_str() {
            read_value(text, &mut challenge);
        }
    }
    challenge
}

/// One header: challenges and their parameters, all of them with commas between.
fn read_value(text: &str, challenge: &mut Challenge) {
    let mut bearer = false;
    for item in items(text) {
        let item = item.trim();
        let before = item.split('=').next().unwrap_or_default();
        let parameter = match before.trim().split_once(char::is_whitespace) {
            // A scheme and its first parameter, or a scheme alone.
            Some((scheme, _)) => {
                bearer = scheme.eq_ignore_ascii_case("bearer");
                item.split_once(char::is_whitespace).map_or("", |(_, parameter)| parameter)
            }
            None if !item.contains('=') => {
                bearer = item.eq_ignore_ascii_case("bearer");
                continue;
            }
            None => item,
        };
        let Some((name, value)) = parameter.split_once('=') else { continue };
        if !bearer {
            continue;
        }
        let value = unquote(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "resource_metadata" => {
                challenge.metadata.get_or_insert(value);
            }
            "scope" if challenge.scopes.is_empty() => {
                challenge.scopes = value.split_whitespace().map(ToOwned::to_owned).collect();
            }
            _ => {}
        }
    }
}

/// The parts between commas that are not in quotes.
fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        match character {
            ',' if !quoted => {
                items.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        if let Some(item) = items.last_mut() {
            item.push(character);
        }
    }
    items
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"') else { return text.to_owned() };
    let mut plain = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Challenge {
        let mut challenge = Challenge::default();
        read_value(text, &mut challenge);
        challenge
    }

    #[test]
    fn metadata_and_scopes_are_found() {
        let text = r#"Bearer realm="a, b", resource_metadata="https://a.example/x", scope="r w""#;
        let challenge = parsed(text);
        assert_eq!(challenge.metadata.as_deref(), Some("https://a.example/x"));
        assert_eq!(challenge.scopes, ["r", "w"]);
    }

    #[test]
    fn parameters_of_other_schemes_are_not_taken() {
        let text = r#"DPoP resource_metadata="https://no.example", bearer resource_metadata=https://yes.example"#;
        assert_eq!(parsed(text).metadata.as_deref(), Some("https://yes.example"));
    }

    #[test]
    fn the_first_word_counts() {
        let text = r#"Bearer resource_metadata="one", resource_metadata="two""#;
        assert_eq!(parsed(text).metadata.as_deref(), Some("one"));
    }

    #[test]
    fn an_equals_sign_in_a_value_stays() {
        let text = r#"Bearer resource_metadata="https://a.example/?a=b, c""#;
        assert_eq!(parsed(text).metadata.as_deref(), Some("https://a.example/?a=b, c"));
    }

    #[test]
    fn nonsense_says_nothing() {
        for text in ["", ",", "=", "Bearer", "Bearer =", "\"", "Basic realm=\"x", "Bearer \\\""] {
            assert_eq!(parsed(text).metadata, None, "{text}");
        }
    }
}
