//! Who may know whom, and who may open a secret. A new edge is a visible change to one table.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Each module, and which of the crate's modules it may name.
const EDGES: &[(&str, &[&str])] = &[
    ("audit", &["paths"]),
    ("auth", &["provider"]),
    ("dashboard", &["paths", "protocol", "provider"]),
    ("vault", &["paths"]),
    ("limits", &["paths"]),
    ("scrub", &[]),
    ("source", &[]),
    ("paths", &[]),
    ("policy", &["request_path"]),
    ("import", &["paths", "provider"]),
    ("protocol", &[]),
    ("process", &[]),
    ("request_path", &[]),
    ("doctor", &["interceptor", "paths"]),
    ("gate", &["process", "request_path", "scrub"]),
    ("identity", &[]),
    ("provider", &["gate"]),
    ("telemetry", &[]),
    ("trust", &["interceptor", "paths"]),
    ("interceptor", &["gate", "process", "request_path", "scrub"]),
    (
        "broker",
        &[
            "audit",
            "auth",
            "gate",
            "identity",
            "interceptor",
            "limits",
            "paths",
            "policy",
            "protocol",
            "provider",
            "request_path",
            "scrub",
            "source",
            "telemetry",
            "vault",
        ],
    ),
    (
        "daemon",
        &[
            "audit",
            "broker",
            "dashboard",
            "interceptor",
            "paths",
            "process",
            "protocol",
            "provider",
            "telemetry",
        ],
    ),
    ("sidecar", &["daemon", "gate", "interceptor", "paths", "protocol", "runner", "trust"]),
    ("runner", &["daemon", "interceptor", "paths", "protocol", "trust"]),
];

/// Where `expose_secret` may stand.
const OPENERS: &[&str] = &[
    // Requests that carry them, answers that must not echo them, and the key that signs.
    "src/auth/assertion.rs",
    "src/auth/client.rs",
    "src/auth/refusal.rs",
    "src/auth/request.rs",
    "src/auth/revocation.rs",
    "src/broker/audit_key.rs",
    "src/broker/connections.rs",
    "src/broker/entry.rs",
    "src/broker/identity.rs",
    "src/broker/oauth/",
    "src/broker/snapshot.rs",
    "src/broker/sourced/",
    "src/commands/",
    "src/demo/",
    // The key of a run's own authority, and the password of the user's own proxy.
    "src/interceptor/ca.rs",
    "src/interceptor/dialer/proxy.rs",
    "src/interceptor/inject.rs",
    "src/protocol/",
    "src/provider/",
    "src/scrub",
    "src/vault/",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(at).unwrap() {
        found.extend(sources(&entry.unwrap().path()));
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found
}

/// The product's part of a file: tests may know more.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// The modules named after `crate::`, also in a braced list.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for character in list.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => item.clear(),
                    _ if depth == 0 && !character.is_whitespace() => item.push(character),
                    _ => {}
                }
                let name = item.split(':').next().unwrap_or_default();
                if item.contains(':') && !name.is_empty() {
                    names.insert(name.to_owned());
                }
            }
        } else {
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if rest.strip_prefix(&name).is_some_and(|rest| rest.starts_with("::")) {
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (module, allowed) in EDGES {
        let directory = root().join("src").join(module);
        let at = if directory.is_dir() { directory } else { directory.with_extension("rs") };
        for path in sources(&at) {
            for name in named(&code(&path)) {
                if name != *module && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{} names {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn secrets_are_opened_only_where_they_must_be() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let relative = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if code(&path).contains("expose_secret")
            && !OPENERS.iter().any(|opener| relative.starts_with(opener))
        {
            wrong.push(relative);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn only_netns_may_hold_unsafe_code() {
    for path in sources(&root().join("src")) {
        assert!(!code(&path).contains("unsafe {"), "{}", path.display());
    }
    assert!(code(&root().join("src/lib.rs")).contains("#![forbid(unsafe_code)]"));
}
