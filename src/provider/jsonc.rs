//! JSON with comments and trailing commas, as the provider files of the Python product may have them.

/// The same text as plain JSON. Everything that is taken out becomes a space, so lines and columns in
/// the parser's errors are those of the file.
pub(super) fn to_json(text: &str) -> String {
    without_trailing_commas(&without_comments(text.trim_start_matches('\u{feff}')))
}

fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut quoted = false;
    while let Some(character) = rest.next() {
        match (quoted, character, rest.peek()) {
            (true, '\\', Some(_)) => {
                out.push(character);
                out.extend(rest.next());
                continue;
            }
            (_, '"', _) => quoted = !quoted,
            (false, '/', Some('/')) => {
                while rest.next_if(|next| *next != '\n').is_some() {
                    out.push(' ');
                }
                out.push(' ');
                continue;
            }
            (false, '/', Some('*')) => {
                let mut last = ' ';
                out.push_str("  ");
                rest.next();
                for next in rest.by_ref() {
                    out.push(if next == '\n' { '\n' } else { ' ' });
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
                continue;
            }
            _ => {}
        }
        out.push(character);
    }
    out
}

fn without_trailing_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    let mut escaped = false;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if quoted {
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character == '"' {
            quoted = true;
        } else if character == ',' {
            let next = rest.as_str().trim_start().chars().next();
            if matches!(next, Some('}' | ']')) {
                out.push(' ');
                continue;
            }
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_go_and_lines_stay() {
        let text = "{\n  // one\n  \"a\": [1, 2,], /* two\n lines */\n  \"b\": {\"c\": 3,},\n}";
        let plain = to_json(text);
        assert_eq!(plain.lines().count(), text.lines().count());
        let value: serde_json::Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, 2], "b": {"c": 3}}));
    }

    #[test]
    fn strings_are_left_alone() {
        let text = r#"{"url": "https://x/*y*/", "s": "a,]", "q": "\"// no\"", "b": "\\"}"#;
        assert_eq!(to_json(text), text);
    }

    #[test]
    fn an_open_comment_ends_with_the_text() {
        assert_eq!(to_json("{} /* open").trim(), "{}");
    }
}
