//! Patterns for paths: `*` within a segment, `**` across segments.
//!
//! Cedar's `like` knows no segments. What a pattern means is said in Cedar nevertheless wherever that is
//! possible: `*` alone by counting slashes (a path that is `like` the pattern and has as many slashes
//! has none in what a `*` took), a `**` at the end by a prefix. Other patterns are matched here, and
//! the policy asks whether the pattern is among those that did.

use super::{
    facts::Facts,
    glob::{like, quoted},
};
use crate::request_path::canonical;

/// A pattern for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathGlob {
    text: String,
    /// What every path begins with that matches, in bytes: most are told apart by it.
    fixed: usize,
    /// Behind its first slash.
    segments: Vec<String>,
    /// Letters count the same in either case.
    folded: bool,
}

impl PathGlob {
    /// Parses a pattern; on failure says what to write.
    ///
    /// `folded`: in either case, as rules that refuse are matched. Servers that take `/Admin` for
    /// `/admin` are common; one that has both, and means different things, is not.
    pub(super) fn parse(text: &str, folded: bool) -> Result<Self, String> {
        let text = if text == "**" { "/**" } else { text };
        if !text.starts_with('/') {
            return Err("a path begins with `/`".to_owned());
        }
        if text.split('/').any(|segment| segment.contains("**") && segment != "**") {
            return Err("`**` stands alone between slashes; `*` is for a part of a name".to_owned());
        }
        if text.contains('?') {
            return Err("a path has no query; `query` names parameters".to_owned());
        }
        match canonical(text) {
            Ok(path) if path.as_str() == text => {}
            Ok(path) => return Err(format!("write `{}`: so it is sent", path.as_str())),
            Err(error) => return Err(error.to_string()),
        }
        let text = if folded { text.to_ascii_lowercase() } else { text.to_owned() };
        let before = text.split('*').next().unwrap_or_default();
        // `/a/**` matches `/a` too.
        let fixed = if before == text { before } else { before.trim_end_matches('/') }.len();
        let segments = text.split('/').skip(1).map(str::to_owned).collect();
        Ok(Self { text, fixed, segments, folded })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// What the context calls it, if Cedar cannot say what it means.
    pub(super) fn native(&self) -> Option<String> {
        let says = self.literal_prefix().is_some() || !self.text.contains("**");
        (!says).then(|| if self.folded { format!("(?i){}", self.text) } else { self.text.clone() })
    }

    /// The condition in Cedar's language.
    pub(super) fn cedar(&self) -> String {
        if let Some(name) = self.native() {
            return format!("context.globs.contains({})", quoted(&name));
        }
        let path = if self.folded { "context.lower_path" } else { "context.path" };
        if let Some(prefix) = self.literal_prefix() {
            let below = format!("{path} like {}", quoted(&format!("{prefix}/*")));
            if prefix.is_empty() {
                return below;
            }
            return format!("({path} == {} || {below})", quoted(prefix));
        }
        if self.text.contains('*') {
            let depth = self.text.matches('/').count();
            return format!("({path} like {} && context.depth == {depth})", quoted(&self.text));
        }
        format!("{path} == {}", quoted(&self.text))
    }

    /// What stands before a `/**` at the end, if it has no other wildcard.
    fn literal_prefix(&self) -> Option<&str> {
        self.text.strip_suffix("/**").filter(|prefix| !prefix.contains('*'))
    }

    /// Does it stand for one path only?
    pub(super) fn is_exact(&self) -> bool {
        self.fixed == self.text.len()
    }

    /// Does it match the path?
    pub(super) fn matches(&self, facts: &Facts<'_>) -> bool {
        let path = if self.folded { &facts.lower } else { &facts.path };
        if self.is_exact() {
            return path.text == self.text;
        }
        // Without a slash at its beginning a path has no segments, and none is not one of them.
        !path.segments.is_empty()
            && self.text.get(..self.fixed).is_some_and(|fixed| path.text.starts_with(fixed))
            && segments(&self.segments, &path.segments)
    }
}

/// As `like`, with segments for characters: on a failure the last `**` takes one more. At the end it
/// takes any number, none included.
fn segments(pattern: &[String], path: &[&str]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(segment) = path.get(s) {
        match pattern.get(p) {
            Some(wanted) if wanted == "**" => {
                star = Some((p, s));
                p += 1;
            }
            Some(wanted) if like(wanted, segment) => {
                p += 1;
                s += 1;
            }
            Some(_) | None => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                s = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|segment| segment == "**")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{facts, query::Query, tests::query};

    fn matches_path(glob: &PathGlob, path: &str) -> bool {
        let query = Query { path, ..query() };
        glob.matches(&Facts::new(&query, &facts::lower(path)))
    }

    fn matches(pattern: &str, path: &str) -> bool {
        let glob = PathGlob::parse(pattern, false).unwrap();
        matches_path(&glob, path)
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_cross() {
        for (pattern, path, expected) in [
            ("/repos/acme/**", "/repos/acme", true),
            ("/repos/acme/**", "/repos/acme/x/y", true),
            ("/repos/acme/**", "/repos/acme2", false),
            ("/repos/*/issues", "/repos/a/issues", true),
            ("/repos/*/issues", "/repos/a/b/issues", false),
            ("/repos/*/contents/**", "/repos/a/contents/b/c", true),
            ("/repos/*/contents/**", "/repos/a/b/contents/c", false),
            ("/a/**/z", "/a/z", true),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/b/c/zz", false),
            ("/v*/x", "/v1/x", true),
            ("/v*/x", "/v/x", true),
            ("/v*/x", "/w/x", false),
            ("/*", "/", true),
            ("/a/", "/a/", true),
            ("/a/", "/a", false),
            ("/a/*", "/a", false),
            ("/**", "/", true),
            ("/**", "", false),
            ("**", "/a/b", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_folded_pattern_matches_in_either_case() {
        let glob = PathGlob::parse("/Repos/*/X/**", true).unwrap();
        assert!(matches_path(&glob, "/REPOS/a/x"));
    }

    #[test]
    fn a_pattern_that_could_never_match_says_what_to_write() {
        for (pattern, mend) in [
            ("repos", "a path begins with `/`"),
            ("/a b", "write `/a%20b`: so it is sent"),
            ("/a%2fb", "write `/a%2Fb`: so it is sent"),
            ("/a/../b", "write `/b`: so it is sent"),
            ("/a**", "`**` stands alone between slashes; `*` is for a part of a name"),
            ("/a?x=1", "a path has no query; `query` names parameters"),
        ] {
            assert_eq!(PathGlob::parse(pattern, false).unwrap_err(), mend, "{pattern}");
        }
    }
}
