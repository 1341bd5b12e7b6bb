//! Values as people read them, and as links carry them.

use jiff::Timestamp;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded in a path's segment and in a query's value: all but RFC 3986's unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of these segments, each encoded.
pub(in crate::dashboard) fn path(segments: &[&str]) -> String {
    segments.iter().flat_map(|segment| ["/".to_owned(), encode(segment)]).collect()
}

/// A value in a path's segment or in a query.
pub(in crate::dashboard) fn encode(text: &str) -> String {
    // Browsers take these two for the directory and the one above.
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, ENCODED).to_string(),
    }
}

/// A link out, or only its text if it is not one a browser should follow: definitions and servers
/// say what they like.
pub(in crate::dashboard) fn outward(url: &str, text: &str) -> Markup {
    html! {
        @if is_web(url) {
            a href=(url) rel="noopener noreferrer" target="_blank" {
                (text) span.sr { " (opens in a new tab)" }
            }
        } @else {
            (text)
        }
    }
}

/// A hint with its addresses as links.
pub(in crate::dashboard) fn linked(hint: &str) -> Markup {
    html! {
        @for (at, word) in hint.split(' ').enumerate() {
            @if at > 0 { " " }
            @let url = word.trim_end_matches(['.', ',', ';', ')']);
            @if is_web(url) {
                (outward(url, url)) (word.strip_prefix(url).unwrap_or_default())
            } @else { (word) }
        }
    }
}

/// Is it a link to the web, and not a script?
pub(in crate::dashboard) fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("https" | "http"))
}

/// A moment. What is no RFC 3339 timestamp is shown as it is.
pub(in crate::dashboard) fn time(text: &str) -> Markup {
    html! {
        @match text.parse::<Timestamp>() {
            Ok(time) => time datetime=(text) { (moment(time)) },
            Err(_) => (text),
        }
    }
}

/// A moment as plain text, to the minute.
fn moment(time: Timestamp) -> String {
    time.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// A moment as plain text, to the second, in UTC: the column says so.
pub(in crate::dashboard) fn exactly(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.strftime("%-d %b %Y, %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Has this moment passed?
pub(in crate::dashboard) fn is_past(text: &str, now: Timestamp) -> bool {
    text.parse::<Timestamp>().is_ok_and(|time| time <= now)
}

/// A length of time in its two largest units.
pub(in crate::dashboard) fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// An error's text or a hint as a sentence: our errors begin lower case and have no full stop. A name
/// at the beginning stays as it is.
pub(in crate::dashboard) fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', '!', '?', ':']) { "" } else { "." };
    let word = text.split_whitespace().next().unwrap_or_default();
    if word.trim_end_matches(['.', ',', ':', ';']).chars().all(char::is_alphabetic) {
        return format!("{}{stop}", capital(text));
    }
    format!("{text}{stop}")
}

/// The same with a capital letter first.
pub(in crate::dashboard) fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(rest.as_str().chars()).collect()
}

/// `1 run`, `2 runs`.
pub(in crate::dashboard) fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded() {
        assert_eq!(
            path(&["connections", "a/b", "..", "x y@z"]),
            "/connections/a%2Fb/%2E%2E/x%20y%40z"
        );
    }

    #[test]
    fn only_the_web_is_linked() {
        assert!(is_web("https://example.com") && is_web("HTTP://127.0.0.1:1/"));
        for url in ["javascript:alert(1)", "javascript://x", "data:text/html,x", "/x", "//x"] {
            assert!(!is_web(url), "{url}");
        }
    }

    #[test]
    fn durations_have_two_units() {
        let texts = [59, 61, 3_661, 90_000].map(duration);
        assert_eq!(texts, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn times_are_readable_and_exact() {
        let shown = time("2026-03-01T09:05:07Z").into_string();
        assert_eq!(shown, r#"<time datetime="2026-03-01T09:05:07Z">1 Mar 2026, 09:05 UTC</time>"#);
        assert_eq!(time("<soon>").into_string(), "&lt;soon&gt;");
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("the vault is locked"), "The vault is locked.");
        assert_eq!(sentence("Run it again."), "Run it again.");
        assert_eq!(sentence("github/work is there"), "github/work is there.");
    }

    #[test]
    fn addresses_in_hints_are_links_and_the_rest_is_text() {
        let shown = linked("Go to https://example.com/a, <b>").into_string();
        assert!(shown.contains(r#"<a href="https://example.com/a""#), "{shown}");
        assert!(shown.ends_with("</a>, &lt;b&gt;"), "{shown}");
    }
}
