//! Sources as people write them.

use std::path::{Component, PathBuf};

use super::{Error, Result, Source};

/// Longest text of a source.
const MAX_TEXT: usize = 4096;

impl Source {
    /// Reads `env:NAME`, `file:PATH`, `command:PROGRAM ARGUMENT…` (split into words as a shell would,
    /// with nothing expanded and no shell at work) or `keyring:SERVICE/USER`.
    ///
    /// # Errors
    /// [`Error::Syntax`], which does not repeat the text.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what| Err(Error::Syntax(what));
        if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return wrong("too long, or not one line");
        }
        let Some((kind, rest)) = text.split_once(':') else { return wrong("there is no colon") };
        match kind {
            "env" if is_variable(rest) => Ok(Self::Env(rest.to_owned())),
            "env" => wrong("no variable has such a name"),
            "file" => {
                let path = PathBuf::from(rest);
                let last = path.components().next_back();
                if matches!(last, Some(Component::Normal(_))) && !rest.ends_with('/') {
                    Ok(Self::File(path))
                } else {
                    wrong("no file has such a path")
                }
            }
            "command" => match shlex::split(rest) {
                Some(words) if words.first().is_some_and(|word| !word.is_empty()) => {
                    Ok(Self::Command(words))
                }
                Some(_) => wrong("there is no program"),
                None => wrong("a quote is not closed"),
            },
            "keyring" => match rest.split_once('/') {
                Some((service, user)) if !service.is_empty() && !user.is_empty() => {
                    Ok(Self::Keyring { service: service.to_owned(), user: user.to_owned() })
                }
                Some(_) | None => wrong("a service and a user are missing"),
            },
            _ => wrong("there is no such kind"),
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Words so quoted that [`Source::parse`] finds them again.
pub(super) fn joined(words: &[String]) -> String {
    // Only a NUL cannot be quoted, and no word that was parsed has one.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_written_alike() {
        for text in [
            "env:OPENAI_API_KEY",
            "file:/run/secrets/key",
            "file:key",
            "command:op read 'op://vault/my item/key'",
            "command:sh -c 'echo \"$HOME\"'",
            "command:gh auth token",
            "keyring:openai/me@example.com",
            "keyring:a/b/c",
        ] {
            let source = Source::parse(text).unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(Source::parse(&source.to_string()).unwrap(), source);
        }
    }

    #[test]
    fn what_is_no_source_is_refused_and_not_repeated() {
        for text in [
            "",
            "sk-hunter2",
            "env:",
            "env:1A",
            "env:hunter2-",
            "file:",
            "file:/",
            "file:/run/hunter2/",
            "file:..",
            "command:",
            "command:''",
            "command:'hunter2",
            "keyring:hunter2",
            "keyring:/hunter2",
            "keyring:hunter2/",
            "vault:hunter2",
            "env:A\nhunter2",
        ] {
            let error = Source::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn words_are_split_as_a_shell_does_and_nothing_is_expanded() {
        let source = Source::parse(r#"command:op read "a b" 'c d' $HOME *"#).unwrap();
        let words = ["op", "read", "a b", "c d", "$HOME", "*"].map(str::to_owned);
        assert_eq!(source, Source::Command(words.into()));
    }

    #[test]
    fn serde_writes_the_text_and_reads_only_what_parses() {
        let source = Source::parse("keyring:a/b").unwrap();
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(json, "\"keyring:a/b\"");
        assert_eq!(serde_json::from_str::<Source>(&json).unwrap(), source);
        assert!(serde_json::from_str::<Source>("\"hunter2\"").is_err());
    }
}
