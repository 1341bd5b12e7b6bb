//! Which connected provider a request belongs to.
//!
//! Built once from what is connected, asked for every connection and request. The most specific claim
//! wins: the longest path prefix, then an exact host over a suffix over an expression, then the longer
//! suffix. Two providers with equally good claims are a tie, and a tie gets nobody's credential.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use regex::Regex;

use super::{
    Definition, Error, PathPrefix,
    host::{Resolved, canonical},
};

/// A connection that takes part.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its provider.
    pub definition: Arc<Definition>,
    /// Its name. The provider's default comes before its others.
    pub connection: Arc<str>,
    /// Its values that are no secrets: they may name its host.
    pub settings: BTreeMap<String, String>,
}

/// A provider with those of its connections that may serve a request.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The provider.
    pub definition: Arc<Definition>,
    /// Names of connections, in the order in which they were given.
    pub connections: Vec<Arc<str>>,
}

/// What [`Routes::route`] finds.
#[derive(Clone, Debug)]
pub enum Route<'a> {
    /// One provider.
    Provider(&'a Claim),
    /// Several with equally good claims, by name.
    Ambiguous(Vec<&'a str>),
    /// None.
    None,
}

/// Two or more connected providers that claim the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The host pattern they share.
    pub host: String,
    /// The path prefix they share, if it is not the whole host.
    pub path_prefix: Option<String>,
    /// Their names, sorted.
    pub providers: Vec<String>,
}

/// Routes of the connected providers.
#[derive(Debug, Default)]
pub struct Routes {
    exact: HashMap<String, Vec<Entry>>,
    suffix: HashMap<String, Vec<Entry>>,
    regex: BTreeMap<String, (Box<Regex>, Vec<Entry>)>,
    problems: Vec<Error>,
}

#[derive(Debug)]
struct Entry {
    prefix: Option<PathPrefix>,
    claim: Claim,
}

/// How specific a claim is; greater is more so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    prefix: usize,
    kind: Kind,
    suffix: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Regex,
    Suffix,
    Exact,
}

impl Routes {
    /// Routes of these connections. One whose settings make no host name takes no part:
    /// [`Self::problems`] names it.
    #[must_use]
    pub fn build(members: &[Member]) -> Self {
        let mut routes = Self::default();
        for member in members {
            let claimed = match member.definition.claimed(&member.settings) {
                Ok(claimed) => claimed,
                Err(error) => {
                    routes.problems.push(error);
                    continue;
                }
            };
            for host in claimed.hosts {
                let entries = match host {
                    Resolved::Exact(host) => routes.exact.entry(host).or_default(),
                    Resolved::Suffix(host) => routes.suffix.entry(host).or_default(),
                    Resolved::Regex(regex, text) => {
                        &mut routes.regex.entry(text).or_insert((regex, Vec::new())).1
                    }
                };
                for prefix in &claimed.path_prefixes {
                    add(entries, member, prefix.as_ref());
                }
            }
        }
        routes
    }

    /// Connections that take no part, and why.
    #[must_use]
    pub fn problems(&self) -> &[Error] {
        &self.problems
    }

    /// Does any provider claim a part of this host?
    #[must_use]
    pub fn claims(&self, host: &str) -> bool {
        let Some(host) = canonical(host) else { return false };
        self.entries(&host).next().is_some()
    }

    /// The provider that a request belongs to. `path` is that of the request, as it will be sent.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Route<'_> {
        let Some(host) = canonical(host) else { return Route::None };
        let mut best: Option<(Rank, &Claim)> = None;
        let mut tied: Vec<&str> = Vec::new();
        for (kind, suffix, entry) in self.entries(&host) {
            if entry.prefix.as_ref().is_some_and(|prefix| !prefix.matches(path)) {
                continue;
            }
            let prefix = entry.prefix.as_ref().map_or(0, PathPrefix::len);
            let rank = Rank { prefix, kind, suffix };
            match best {
                Some((other, _)) if rank < other => {}
                Some((other, claim)) if rank == other => {
                    if claim.definition.name != entry.claim.definition.name {
                        tied.push(&entry.claim.definition.name);
                    }
                }
                Some(_) | None => {
                    best = Some((rank, &entry.claim));
                    tied.clear();
                }
            }
        }
        match best {
            None => Route::None,
            Some((_, claim)) if tied.is_empty() => Route::Provider(claim),
            Some((_, claim)) => {
                tied.push(&claim.definition.name);
                tied.sort_unstable();
                tied.dedup();
                Route::Ambiguous(tied)
            }
        }
    }

    /// Which connections of one of several equal providers claim a request: for who has chosen one
    /// where [`Self::route`] finds [`Route::Ambiguous`].
    #[must_use]
    pub fn claim_of(&self, provider: &str, host: &str, path: &str) -> Option<&Claim> {
        let host = canonical(host)?;
        let matches = |entry: &Entry| {
            entry.claim.definition.name == provider
                && entry.prefix.as_ref().is_none_or(|prefix| prefix.matches(path))
        };
        let own = self.entries(&host).filter(|(_, _, entry)| matches(entry));
        let best = own.max_by_key(|(kind, suffix, entry)| {
            let prefix = entry.prefix.as_ref().map_or(0, PathPrefix::len);
            Rank { prefix, kind: *kind, suffix: *suffix }
        });
        best.map(|(_, _, entry)| &entry.claim)
    }

    /// What two providers claim alike, so that it can be said before a request meets it. Expressions
    /// that differ in their text and match the same host are found only by [`Self::route`].
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let exact = self.exact.iter().map(|(host, entries)| (host.clone(), entries));
        let suffix = self.suffix.iter().map(|(host, entries)| (format!("*.{host}"), entries));
        let regex =
            self.regex.iter().map(|(text, (_, entries))| (format!("regex:{text}"), entries));
        let mut conflicts = Vec::new();
        for (host, entries) in exact.chain(suffix).chain(regex) {
            let mut by_prefix: BTreeMap<Option<&PathPrefix>, Vec<String>> = BTreeMap::new();
            for entry in entries {
                let names = by_prefix.entry(entry.prefix.as_ref()).or_default();
                names.push(entry.claim.definition.name.clone());
            }
            for (prefix, mut providers) in by_prefix {
                providers.sort();
                providers.dedup();
                if providers.len() > 1 {
                    let path_prefix = prefix.map(ToString::to_string);
                    conflicts.push(Conflict { host: host.clone(), path_prefix, providers });
                }
            }
        }
        conflicts.sort_by(|a, b| (&a.host, &a.path_prefix).cmp(&(&b.host, &b.path_prefix)));
        conflicts
    }

    /// Every claim on a canonical host, with what decides how specific it is.
    fn entries<'a, 'h>(
        &'a self,
        host: &'h str,
    ) -> impl Iterator<Item = (Kind, usize, &'a Entry)> + use<'a, 'h> {
        let exact = self.exact.get(host).into_iter().flatten().map(|entry| (Kind::Exact, 0, entry));
        let above = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
        let suffix = above.filter_map(|name| Some((name.len(), self.suffix.get(name)?))).flat_map(
            |(length, entries)| entries.iter().map(move |entry| (Kind::Suffix, length, entry)),
        );
        let regex = self
            .regex
            .values()
            .filter(move |(regex, _)| regex.is_match(host))
            .flat_map(|(_, entries)| entries.iter().map(|entry| (Kind::Regex, 0, entry)));
        exact.chain(suffix).chain(regex)
    }
}

/// Adds a connection to its provider's claim, or makes that.
fn add(entries: &mut Vec<Entry>, member: &Member, prefix: Option<&PathPrefix>) {
    let definition = &member.definition;
    let own = entries.iter_mut().find(|entry| {
        entry.claim.definition.name == definition.name && entry.prefix.as_ref() == prefix
    });
    match own {
        Some(entry) if entry.claim.connections.contains(&member.connection) => {}
        Some(entry) => entry.claim.connections.push(Arc::clone(&member.connection)),
        None => entries.push(Entry {
            prefix: prefix.cloned(),
            claim: Claim {
                definition: Arc::clone(definition),
                connections: vec![Arc::clone(&member.connection)],
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, hosts: &str, prefix: &str) -> Member {
        let text = format!(
            "name = \"{name}\"\ndisplay_name = \"x\"\nauth_type = \"api_key\"\nhosts = {hosts}\n\
             path_prefix = \"{prefix}\"\n[[fields]]\n[[fields]]\nname = \"shop\"\nsecret = false\n"
        );
        Member {
            definition: Arc::new(Definition::parse_toml(&text, "test").unwrap()),
            connection: "default".into(),
            settings: BTreeMap::new(),
        }
    }

    fn provider<'a>(routes: &'a Routes, host: &str, path: &str) -> Option<&'a str> {
        match routes.route(host, path) {
            Route::Provider(claim) => Some(&claim.definition.name),
            Route::Ambiguous(_) | Route::None => None,
        }
    }

    #[test]
    fn an_exact_host_is_that_host_and_no_look_alike() {
        let routes = Routes::build(&[member("openai", r#"["api.openai.com"]"#, "")]);
        for host in ["api.openai.com", "API.OpenAI.com", "api.openai.com."] {
            assert_eq!(provider(&routes, host, "/"), Some("openai"), "{host}");
            assert!(routes.claims(host), "{host}");
        }
        for host in [
            "openai.com",
            "xapi.openai.com",
            "x.api.openai.com",
            "api.openai.com.evil.io",
            "api-openai.com",
            "api.openai.com..",
            "xn--pi-fmc.openai.com",
            "аpi.openai.com",
            "api.openai.com\0",
            "",
        ] {
            assert!(!routes.claims(host), "{host}");
            assert_eq!(provider(&routes, host, "/"), None, "{host}");
        }
    }

    #[test]
    fn a_suffix_is_matched_by_label_and_never_bare() {
        let routes = Routes::build(&[member("github", r#"["*.github.com"]"#, "")]);
        assert!(routes.claims("api.github.com"));
        assert!(routes.claims("a.b.github.com"));
        for host in ["github.com", "evilgithub.com", "github.com.evil.io", ".github.com"] {
            assert!(!routes.claims(host), "{host}");
        }
    }

    #[test]
    fn an_expression_is_matched_whole() {
        let hosts = r#"['regex:^eu-[0-9]+\.example\.com$', 'regex:a\.example\.com']"#;
        let routes = Routes::build(&[member("x", hosts, "")]);
        assert!(routes.claims("eu-1.example.com"));
        assert!(routes.claims("a.example.com"));
        for host in ["xa.example.com", "a.example.com.evil.io", "aXexample.com"] {
            assert!(!routes.claims(host), "{host}");
        }
    }

    #[test]
    fn the_most_specific_claim_wins() {
        let routes = Routes::build(&[
            member("regex", r#"['regex:^[a-z.]+\.example\.com$']"#, ""),
            member("short", r#"["*.example.com"]"#, ""),
            member("long", r#"["*.b.example.com"]"#, ""),
            member("exact", r#"["a.b.example.com"]"#, ""),
            member("path", r#"["*.example.com"]"#, "/v1"),
            member("deep", r#"["*.example.com"]"#, "/v1/x"),
        ]);
        assert_eq!(provider(&routes, "q.example.com", "/"), Some("short"));
        assert_eq!(provider(&routes, "q.b.example.com", "/"), Some("long"));
        assert_eq!(provider(&routes, "a.b.example.com", "/"), Some("exact"));
        assert_eq!(provider(&routes, "a.b.example.com", "/v1/y"), Some("path"));
        assert_eq!(provider(&routes, "a.b.example.com", "/v1/x/y"), Some("deep"));
    }

    #[test]
    fn a_tie_is_nobodys_and_is_named_up_front() {
        let routes = Routes::build(&[
            member("b", r#"["api.example.com"]"#, "/v1"),
            member("a", r#"["api.example.com"]"#, "/v1"),
            member("c", r#"["api.example.com"]"#, "/v2"),
        ]);
        let Route::Ambiguous(names) = routes.route("api.example.com", "/v1/x") else { panic!() };
        assert_eq!(names, ["a", "b"]);
        assert_eq!(provider(&routes, "api.example.com", "/v2/x"), Some("c"));
        let expected = Conflict {
            host: "api.example.com".to_owned(),
            path_prefix: Some("/v1".to_owned()),
            providers: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(routes.conflicts(), [expected]);
    }

    #[test]
    fn a_tie_between_less_specific_claims_does_not_matter() {
        let routes = Routes::build(&[
            member("a", r#"["*.example.com"]"#, ""),
            member("b", r#"["*.example.com"]"#, ""),
            member("c", r#"["api.example.com"]"#, ""),
        ]);
        assert_eq!(provider(&routes, "api.example.com", "/"), Some("c"));
    }

    #[test]
    fn a_claimed_host_can_have_paths_that_are_nobodys() {
        let routes = Routes::build(&[member("mcp", r#"["api.example.com"]"#, "/mcp")]);
        assert!(routes.claims("api.example.com"));
        assert!(matches!(routes.route("api.example.com", "/chat"), Route::None));
        assert!(matches!(routes.route("api.example.com", "/mcp/../chat"), Route::None));
    }

    #[test]
    fn each_tenant_has_its_own_connections() {
        let shop = |connection: &str, shop: &str| Member {
            connection: connection.into(),
            settings: BTreeMap::from([("shop".to_owned(), shop.to_owned())]),
            ..member("shopify", r#"["{shop}.myshopify.com"]"#, "")
        };
        let routes = Routes::build(&[shop("one", "a"), shop("two", "b"), shop("three", "a")]);
        let Route::Provider(claim) = routes.route("a.myshopify.com", "/") else { panic!() };
        assert_eq!(claim.connections, ["one".into(), "three".into()]);
        assert!(!routes.claims("evil.myshopify.com"));
    }

    #[test]
    fn a_connection_without_a_valid_host_takes_no_part() {
        let mut bad = member("shopify", r#"["{shop}.myshopify.com"]"#, "");
        bad.settings.insert("shop".to_owned(), "evil.com/".to_owned());
        let routes = Routes::build(&[bad]);
        assert_eq!(routes.problems().len(), 1);
        assert!(!routes.claims("evil.com"));
    }
}
