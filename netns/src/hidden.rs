//! Sockets and directories that lead out of a namespace, or to secrets, by the file system.

#![cfg(target_os = "linux")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Of the system, wherever they exist: container engines and service managers start processes
/// outside; name services and network managers carry names and data out.
const SYSTEM: [&str; 29] = [
    "/run/docker.sock",
    "/run/docker",
    "/run/podman",
    "/run/containerd",
    "/run/k3s",
    "/run/crio",
    "/run/buildkit",
    "/run/libvirt",
    "/run/lxd.socket",
    "/run/incus",
    "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/run/snapd.socket",
    "/run/snapd-snap.socket",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/io.systemd.ManagedOOM",
    "/run/nscd",
    "/run/avahi-daemon",
    "/run/cups",
    "/run/tailscale",
    "/run/NetworkManager",
    "/run/wpa_supplicant",
    "/run/gssproxy",
    "/run/keyrings",
    "/run/screen",
    "/run/host",
    // Whoever may speak to an X server may type into its other windows.
    "/tmp/.X11-unix",
];

/// Of one user, in their `$XDG_RUNTIME_DIR`: the same, and agents that hold keys.
const USER: [&str; 17] = [
    "bus",
    "dbus-1",
    "systemd",
    "docker.sock",
    "docker",
    "dockerd-rootless",
    "podman",
    "containerd",
    "containerd-rootless",
    "buildkit",
    "libvirt",
    "keyring",
    "gnupg",
    "gcr",
    "p11-kit",
    "doc",
    "at-spi",
];

/// Name prefixes in `$XDG_RUNTIME_DIR`: editors, terminals and wallets that listen there, and window
/// managers, which start programs for whoever asks.
const USER_PREFIXES: [&str; 14] = [
    "vscode-",
    "kwallet",
    "kdeinit",
    "kde",
    "nvim.",
    "emacs",
    "wezterm",
    "kitty",
    "zellij",
    "sway-ipc.",
    "i3",
    "hypr",
    "niri.",
    "screen",
];

/// What is hidden from a command unless the user gives it back: paths that exist and should go into
/// [`crate::Spec::hide`]. `uid` is the command's user, `runtime_dir` their `$XDG_RUNTIME_DIR`
/// (`/run/user/<uid>` if there is none). What `$SSH_AUTH_SOCK` names is the caller's choice.
#[must_use]
pub fn default_hidden(uid: u32, runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let runtime_dir =
        runtime_dir.map_or_else(|| PathBuf::from(format!("/run/user/{uid}")), Path::to_owned);
    let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    paths.extend(USER.iter().map(|name| runtime_dir.join(name)));
    paths.extend(starting_with(&runtime_dir, &USER_PREFIXES));
    // Not the directory: what /etc/resolv.conf points to lies beside the sockets.
    paths.extend(starting_with(Path::new("/run/systemd/resolve"), &["io.systemd.Resolve"]));
    // A terminal multiplexer types into shells outside.
    for name in ["tmux-", "emacs", "zellij-"] {
        paths.push(format!("/tmp/{name}{uid}").into());
    }
    paths.retain(|path| path.exists());
    paths
}

fn starting_with(directory: &Path, prefixes: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            prefixes.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
        })
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_in_the_runtime_directory_is_hidden_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["bus", "sway-ipc.1.sock", "vscode-git-1.sock", "pipewire-0"] {
            fs::File::create(directory.path().join(name)).unwrap();
        }
        let hidden = default_hidden(u32::MAX, Some(directory.path()));
        let mut ours: Vec<_> =
            hidden.iter().filter_map(|path| path.strip_prefix(directory.path()).ok()).collect();
        ours.sort_unstable();
        assert_eq!(ours, ["bus", "sway-ipc.1.sock", "vscode-git-1.sock"].map(Path::new));
    }
}
