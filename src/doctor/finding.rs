//! How a check came out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How a check came out, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Works, with less than there could be.
    Warn,
    /// Does not work, or does not protect.
    Fail,
}

impl State {
    /// As it is printed for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked.
    pub name: Cow<'static, str>,
    /// How it came out.
    #[serde(rename = "status")]
    pub state: State,
    /// What was found.
    #[serde(rename = "message")]
    pub detail: String,
    /// What would mend it: a command to type, or a sentence.
    #[serde(rename = "hint")]
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, detail: detail.into(), mend: None }
    }

    /// Works, with less than there could be.
    pub fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into());
        Self { name: name.into(), state: State::Warn, detail: detail.into(), mend }
    }

    /// Does not work, or does not protect.
    pub fn fail(name: &'static str, detail: impl Into<String>, mend: Option<String>) -> Self {
        Self { name: name.into(), state: State::Fail, detail: detail.into(), mend }
    }

    /// [`Self::ok`] with `good` if nothing is `wrong`, else [`Self::fail`] with all of it.
    pub fn unless(
        name: &'static str,
        wrong: &[String],
        good: impl Into<String>,
        mend: &str,
    ) -> Self {
        if wrong.is_empty() {
            Self::ok(name, good)
        } else {
            Self::fail(name, wrong.join("; "), Some(mend.to_owned()))
        }
    }
}
