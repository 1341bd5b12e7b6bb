//! Real clients: each must trust the run and have its credential put in, with no help from proxies.
//!
//! Those in the files named after their kind are rows of a table; `scripts/matrix` runs them and prints
//! it. A row that is not what it should be is a failing test.

mod account;
mod agents;
mod browsers;
mod distributions;
mod javascript;
mod languages;
mod packages;
mod protocols;
mod python;
mod row;
mod sdks;
mod tools;
mod variants;

use crate::support::packages::packages;

/// Where `scripts/test-setup` puts the clients.
fn client(path: &str) -> String {
    let client = packages().join(path);
    assert!(client.exists(), "{} is not there: scripts/test-setup installs it", client.display());
    client.to_string_lossy().into_owned()
}

/// The Python that has the packages.
fn python() -> String {
    client("python/bin/python3")
}

/// The Node.js of the project that makes it, which brings its own roots; a distribution's may not.
fn node() -> String {
    crate::support::packages::node().to_string_lossy().into_owned()
}
