//! Rules about dependencies that must hold on every machine, also where cargo-deny is not installed.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// One TLS stack, one crypto provider, one HTTP client, one runtime.
const BANNED: [&str; 8] = [
    "openssl-sys",
    "native-tls",
    "aws-lc-sys",
    "aws-lc-rs",
    "reqwest",
    "async-std",
    "serde_yaml",
    "rustables",
];

/// Licences that let the product be MIT OR Apache-2.0.
const LICENCES: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unlicense",
    "0BSD",
    "CC0-1.0",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

#[test]
fn nothing_banned_is_in_the_lock_file() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let found: Vec<_> =
        BANNED.iter().filter(|banned| lock.contains(&format!("name = \"{banned}\""))).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let foreign: Vec<_> = packages()
        .iter()
        .filter(|package| {
            package["source"].as_str().is_some_and(|source| !source.starts_with("registry+"))
        })
        .map(|package| name(package).to_owned())
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn every_licence_allows_ours() {
    let mut refused = BTreeMap::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        let allowed = licence.split(" OR ").any(|choice| {
            choice
                .split(" AND ")
                .map(|part| part.trim_matches(['(', ')', ' ']))
                .all(|part| LICENCES.contains(&part))
        });
        if !allowed {
            refused.insert(name(&package).to_owned(), licence);
        }
    }
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn the_list_of_dependencies_is_not_growing_unseen() {
    let names: BTreeSet<_> = packages().iter().map(|package| name(package).to_owned()).collect();
    // Every target's, tests' included. Raise it in the commit that adds one, and say what for.
    assert!(names.len() <= 420, "{} packages", names.len());
}
