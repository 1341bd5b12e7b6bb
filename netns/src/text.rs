//! Words of the operating system, which need not be UTF-8, in messages.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use serde::{Deserialize, Serialize};

/// A string of the operating system in JSON: text where it is UTF-8, else its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Raw(Vec<u8>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Utf8(String::new())
    }
}

impl From<&OsStr> for Text {
    fn from(value: &OsStr) -> Self {
        value
            .to_str()
            .map_or_else(|| Self::Raw(value.as_bytes().to_vec()), |text| Self::Utf8(text.into()))
    }
}

impl From<Text> for OsString {
    fn from(value: Text) -> Self {
        match value {
            Text::Utf8(text) => text.into(),
            Text::Raw(bytes) => Self::from_vec(bytes),
        }
    }
}

#[cfg(target_os = "linux")]
impl From<Text> for std::path::PathBuf {
    fn from(value: Text) -> Self {
        OsString::from(value).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_is_not_utf8_survives_json() {
        let name = OsString::from_vec(vec![b'a', 0xff, b'b']);
        let json = serde_json::to_string(&Text::from(name.as_os_str())).unwrap();
        let back: Text = serde_json::from_str(&json).unwrap();
        assert_eq!(OsString::from(back), name);
    }
}
