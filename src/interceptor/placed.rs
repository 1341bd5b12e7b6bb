//! Placeholders in a request head: whose they are.
//!
//! Looks where client libraries put a credential: every header value (inside Basic credentials too,
//! RFC 7617), cookies, the query and the path, percent-encoded or not. Bodies are not looked into. An
//! agent may print its environment to a model, or write it to a file that it uploads; a placeholder is
//! worth nothing to whoever reads it there, and holding bodies up to look for it would cost every
//! upload. Pure; never fails.

use std::{borrow::Cow, sync::Arc};

use http::{header, request::Parts, uri::PathAndQuery};
use percent_encoding::percent_decode;

use super::inject::basic_credentials;
use crate::scrub::Finder;

/// The owners of the placeholders in `head`, each once. Allocates only where there is one.
#[must_use]
pub fn owners(head: &Parts, finder: &Finder) -> Vec<Arc<str>> {
    let mut found = Vec::new();
    if finder.is_empty() {
        return found;
    }
    for (name, value) in &head.headers {
        let value = value.as_bytes();
        // Most headers of a request are shorter than any placeholder.
        if value.len() < finder.shortest() {
            continue;
        }
        finder.find(value, &mut found);
        if let Some(decoded) = basic_credentials(value) {
            finder.find(&decoded, &mut found);
        }
        if *name == header::COOKIE {
            find_decoded(value, finder, &mut found);
        }
    }
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str).as_bytes();
    if target.len() >= finder.shortest() {
        finder.find(target, &mut found);
        find_decoded(target, finder, &mut found);
    }
    found
}

fn find_decoded(text: &[u8], finder: &Finder, found: &mut Vec<Arc<str>>) {
    if let Cow::Owned(decoded) = Cow::from(percent_decode(text)) {
        finder.find(&decoded, found);
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    const PLACEHOLDER: &str = "ghp_place/holder";

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn owners_of(head: &Parts) -> Vec<Arc<str>> {
        owners(head, &Finder::new([(PLACEHOLDER, "github/work".into())]))
    }

    #[test]
    fn a_placeholder_is_seen_wherever_clients_put_it() {
        let basic = format!("Basic {}", STANDARD.encode(format!("x-token:{PLACEHOLDER}")));
        for parts in [
            head("/", &[("authorization", "Bearer ghp_place/holder")]),
            head("/", &[("authorization", PLACEHOLDER)]),
            head("/", &[("x-api-key", PLACEHOLDER)]),
            head("/", &[("authorization", &basic)]),
            head("/", &[("authorization", &basic.replace("Basic", "bAsIc"))]),
            head("/", &[("authorization", basic.trim_end_matches('='))]),
            head("/", &[("cookie", "a=1; s=ghp_place/holder")]),
            head("/", &[("cookie", "a=1; s=ghp_place%2Fholder")]),
            head("/?key=ghp_place/holder", &[]),
            head("/?key=ghp_place%2fholder", &[]),
            head("/?key=%67hp_place/holder&x", &[]),
            head("/botghp_place%2Fholder/getMe", &[]),
        ] {
            let names: Vec<Arc<str>> = vec!["github/work".into()];
            assert_eq!(owners_of(&parts), names, "{parts:?}");
        }
    }

    #[test]
    fn other_values_are_not_taken_for_a_placeholder() {
        let basic = format!("Basic {}", STANDARD.encode("x-token:ghp_other"));
        let parts = head("/ghp_?a=place", &[("authorization", &basic), ("cookie", "a=ghp_holder")]);
        assert!(owners_of(&parts).is_empty());
    }
}
