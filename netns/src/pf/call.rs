//! The only ways in which pfctl(8) is called.
//!
//! Each is a value of a closed type, so that nothing else can be said: whatever changes something names our
//! own anchor, or is one counted reference to the filter being enabled.

use std::io;

/// A child of an anchor that Apple's own rule set evaluates; a wildcard goes one level deep.
pub(crate) const ANCHOR: &str = "com.apple/authsome";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The main rule set's translation rules.
    MainTranslations,
    /// The main rule set's filter rules.
    MainFilters,
    /// The interfaces, with their flags.
    Interfaces,
    /// Is the filter enabled?
    Info,
    /// Who wants it to be enabled.
    References,
    /// Our anchor's translation rules.
    AnchorTranslations,
    /// Our anchor's filter rules.
    AnchorFilters,
    /// Puts this text in our anchor.
    Load(String),
    /// Wants the filter enabled, and is given a token for that.
    Enable,
    /// Gives the token back.
    Release(u64),
    /// Empties our anchor of filter rules.
    FlushFilters,
    /// Empties our anchor of translation rules.
    FlushTranslations,
}

impl Call {
    /// Its arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::MainTranslations => &["-s", "nat"],
            Self::MainFilters => &["-s", "rules"],
            Self::Interfaces => &["-v", "-s", "Interfaces"],
            Self::Info => &["-s", "info"],
            Self::References => &["-s", "References"],
            Self::AnchorTranslations => &["-a", ANCHOR, "-s", "nat"],
            Self::AnchorFilters => &["-a", ANCHOR, "-s", "rules"],
            Self::Load(_) => &["-a", ANCHOR, "-f", "-"],
            Self::Enable => &["-E"],
            Self::Release(token) => return vec!["-X".to_owned(), token.to_string()],
            Self::FlushFilters => &["-a", ANCHOR, "-F", "rules"],
            Self::FlushTranslations => &["-a", ANCHOR, "-F", "nat"],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// What it reads.
    pub(crate) fn input(&self) -> &str {
        match self {
            Self::Load(rules) => rules,
            Self::MainTranslations
            | Self::MainFilters
            | Self::Interfaces
            | Self::Info
            | Self::References
            | Self::AnchorTranslations
            | Self::AnchorFilters
            | Self::Enable
            | Self::Release(_)
            | Self::FlushFilters
            | Self::FlushTranslations => "",
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// Did it exit with 0? What is on standard error says nothing: there is noise in every call.
    pub(crate) success: bool,
    /// Standard output, then standard error.
    pub(crate) text: String,
}

/// The packet filter.
pub(crate) trait Filter {
    /// Calls pfctl(8).
    fn call(&mut self, call: &Call) -> io::Result<Output>;

    /// Has the filter look away from `lo0`, or not.
    fn set_loopback_skip(&mut self, skip: bool) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Call> {
        vec![
            Call::MainTranslations,
            Call::MainFilters,
            Call::Interfaces,
            Call::Info,
            Call::References,
            Call::AnchorTranslations,
            Call::AnchorFilters,
            Call::Load("pass".to_owned()),
            Call::Enable,
            Call::Release(u64::MAX),
            Call::FlushFilters,
            Call::FlushTranslations,
        ]
    }

    #[test]
    fn what_changes_rules_names_our_anchor_and_no_flush_is_a_full_one() {
        for call in all() {
            let arguments = call.arguments();
            let has = |word: &str| arguments.iter().any(|argument| argument == word);
            if has("-f") || has("-F") {
                assert_eq!(arguments[..2], ["-a".to_owned(), ANCHOR.to_owned()], "{call:?}");
            }
            assert!(!has("all") && !has("states") && !has("-d") && !has("-e"), "{call:?}");
        }
    }

    #[test]
    fn only_a_load_reads_anything() {
        for call in all() {
            assert_eq!(call.input().is_empty(), !matches!(call, Call::Load(_)), "{call:?}");
        }
    }

    #[test]
    fn our_anchor_is_a_child_of_apples() {
        assert_eq!(ANCHOR.split('/').collect::<Vec<_>>(), ["com.apple", "authsome"]);
    }
}
