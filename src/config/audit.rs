//! `[audit]`: how the audit log is kept. The daemon reads it when it starts.

use super::{Error, Key, Reader, Value};
use crate::audit::{Settings, WhenUnwritable};

use toml::de::DeValue;

const KEYS: &[&str] = &["max_size", "keep", "when_unwritable"];

/// A smaller file would be little but its own beginning and end.
const SMALLEST: u64 = 4096;

impl Reader<'_> {
    pub(super) fn audit(&self, key: &Key<'_>, value: &Value<'_>) -> Result<Settings, Error> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong(key, value, "expected a table: [audit]"));
        };
        let mut audit = Settings::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "max_size" => audit.max_size = self.one(key, value, size)?,
                "keep" => audit.keep = self.one(key, value, keep)?,
                "when_unwritable" => {
                    audit.when_unwritable = self.one(key, value, when_unwritable)?;
                }
                _ => return Err(self.unknown(key, "audit.", KEYS)),
            }
        }
        Ok(audit)
    }
}

/// Bytes, with `KB`, `MB` or `GB` for 1024 of the one before.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as `64MB`, at least `4KB`".to_owned();
    let text = text.trim();
    let (number, shift) = [("KB", 10), ("MB", 20), ("GB", 30)]
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    let number: u64 = number.trim_end().parse().map_err(|_| expected())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes >= SMALLEST);
    bytes.ok_or_else(expected)
}

/// How many full files; none: all.
fn keep(text: &str) -> Result<Option<usize>, String> {
    if text == "all" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "expected a number of files, or `all`".to_owned())
}

fn when_unwritable(text: &str) -> Result<WhenUnwritable, String> {
    match text {
        "deny" => Ok(WhenUnwritable::Deny),
        "allow" => Ok(WhenUnwritable::Allow),
        _ => Err("expected `deny` or `allow`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Settings, Error> {
        Config::parse(Path::new("/h/config.toml"), text, None).map(|config| config.audit)
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(parse("").unwrap(), Settings::default());
        assert_eq!(parse("[audit]").unwrap(), Settings::default());
    }

    #[test]
    fn every_key_is_read() {
        let audit = parse("[audit]\nmax_size = \"2MB\"\nkeep = 3\nwhen_unwritable = \"allow\"\n");
        let expected =
            Settings { max_size: 2 << 20, keep: Some(3), when_unwritable: WhenUnwritable::Allow };
        assert_eq!(audit.unwrap(), expected);
        assert_eq!(parse("[audit]\nkeep = \"all\"").unwrap().keep, None);
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("64 MB"), Ok(64 << 20));
        for text in ["", "MB", "1KB", "64mb", "-1", "99999999999GB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_named_with_its_line() {
        for text in
            ["[audit]\nkeep = \"some\"", "[audit]\nwhen_unwritable = \"drop\"", "[audit]\nx = 1"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("/h/config.toml:2: "), "{error}");
        }
    }
}
