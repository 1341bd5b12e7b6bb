//! Bytes that may be a value.

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Error, MAX_VALUE, Result, Source};

/// The text without one line break at its end.
pub(super) fn text(source: &Source, bytes: Zeroizing<Vec<u8>>) -> Result<SecretString> {
    let no = |what| Error::NoValue { place: source.to_string(), what };
    if bytes.len() > MAX_VALUE {
        return Err(no("more than 64 KiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| no("bytes that are no text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(no("nothing"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn of(bytes: &[u8]) -> Result<SecretString> {
        text(&Source::parse("env:KEY")?, bytes.to_vec().into())
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_it() {
        for (bytes, value) in
            [("key", "key"), ("key\n", "key"), ("key\r\n", "key"), ("key\n\n", "key\n")]
        {
            assert_eq!(of(bytes.as_bytes()).unwrap().expose_secret(), value);
        }
    }

    #[test]
    fn nothing_is_no_value() {
        for bytes in ["", "\n", " \r\n"] {
            assert!(of(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_value_has_64_kib_at_most() {
        assert!(of(&vec![b'x'; MAX_VALUE]).is_ok());
        assert!(of(&vec![b'x'; MAX_VALUE + 1]).is_err());
    }

    #[test]
    fn what_is_no_text_is_not_repeated() {
        let error = of(b"hunter2\xff").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
