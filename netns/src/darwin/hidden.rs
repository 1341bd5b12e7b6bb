//! Sockets through which something is started that is not confined.

use std::path::{Path, PathBuf};

/// Of the system.
const SYSTEM: [&str; 3] =
    ["/var/run/docker.sock", "/var/run/com.docker.vmnetd.sock", "/opt/podman"];

/// Of one user, in their home: container engines, virtual machines, terminals.
const USER: [&str; 9] = [
    ".docker/run",
    ".colima",
    ".lima",
    ".orbstack/run",
    ".rd",
    ".local/share/containers/podman",
    ".gnupg",
    "Library/Containers/com.docker.docker/Data",
    ".config/kitty",
];

/// What is hidden from a command unless the user gives it back: paths that exist, without links.
#[must_use]
pub fn default_hidden(home: Option<&Path>) -> Vec<PathBuf> {
    let own = home.into_iter().flat_map(|home| USER.iter().map(|name| home.join(name)));
    // A link is followed here: a profile knows files by where they are.
    SYSTEM
        .iter()
        .map(PathBuf::from)
        .chain(own)
        .filter_map(|path| path.canonicalize().ok())
        .collect()
}
