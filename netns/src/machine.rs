//! What this machine says of itself, as far as it can keep namespaces from being made.
//!
//! Everything is read from `/proc` and `/sys` without a right. What cannot be read counts as not being
//! so: nothing here decides whether a namespace is safe, only what is said where there is none.

#![cfg(target_os = "linux")]

use std::{collections::BTreeMap, fs, path::Path};

use nix::unistd::{geteuid, getuid};

/// Settings of the kernel that can forbid namespaces (namespaces(7), and two of distributions' own).
const SETTINGS: [&str; 7] = [
    "user.max_user_namespaces",
    "user.max_net_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
    "user.max_ipc_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
];

/// Containers, by a word in `/proc/1/cgroup` or `/proc/self/mountinfo`, or in the variable that LXC
/// and Podman set for pid 1.
const ENGINES: [(&str, &str); 6] = [
    ("kubepods", "Kubernetes"),
    ("docker", "Docker"),
    ("libpod", "Podman"),
    ("containerd", "containerd"),
    ("lxc", "LXC"),
    ("garden", "Garden"),
];

/// Windows Subsystem for Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wsl {
    /// A translation of system calls: it has no namespaces.
    One,
    /// A virtual machine with a kernel of its own.
    Two,
}

/// What is known of this process's surroundings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// Of [`SETTINGS`], those that exist.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// Is the process root, whatever that is worth?
    pub(crate) root: bool,
    /// Does a seccomp filter judge its system calls?
    pub(crate) filtered: bool,
    /// Does a user id of its user namespace stand for it?
    pub(crate) mapped: bool,
    /// Which engine's container it is in.
    pub(crate) container: Option<String>,
    /// Is it in WSL?
    pub(crate) wsl: Option<Wsl>,
    /// `uname -r`.
    pub(crate) release: String,
    /// Does SELinux enforce its policy?
    pub(crate) selinux: bool,
    /// Does an AppArmor profile of its own confine it, which then may allow `userns`?
    pub(crate) profiled: bool,
    /// Is `/` known not to be where a file system begins, as in most `chroot`s?
    pub(crate) chrooted: bool,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let settings =
            SETTINGS.into_iter().filter_map(|name| Some((name, setting(name)?))).collect();
        let profile = text("/proc/self/attr/apparmor/current");
        let release = text("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            settings,
            root: geteuid().is_root(),
            filtered: text("/proc/self/status")
                .lines()
                .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2")),
            mapped: is_mapped(&text("/proc/self/uid_map"), getuid().as_raw()),
            container: container(),
            wsl: wsl(&release),
            release,
            selinux: text("/sys/fs/selinux/enforce").trim() == "1",
            profiled: !matches!(profile.trim(), "" | "unconfined"),
            chrooted: is_chrooted(&text("/proc/self/mountinfo")),
        }
    }

    /// Is this setting one of those, and 0?
    pub(crate) fn is_zero(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|value| value == "0")
    }

    /// Does Debian's old switch keep this process from a user namespace?
    pub(crate) fn forbids_clone(&self) -> bool {
        !self.root && self.is_zero("kernel.unprivileged_userns_clone")
    }

    /// Does Ubuntu's restriction take every right from the user namespaces of this process?
    pub(crate) fn restricted_by_apparmor(&self) -> bool {
        let value = self.settings.get("kernel.apparmor_restrict_unprivileged_userns");
        !self.root && !self.profiled && value.is_some_and(|value| value != "0")
    }
}

/// The name of the container engine whose container this process is in, if it is in one.
#[must_use]
pub fn container() -> Option<String> {
    let cgroup = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // Only where the root is mounted from: a host that runs containers has their mounts as well.
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    let exists = |path: &str| Path::new(path).exists();
    let named = ENGINES
        .iter()
        .find(|(word, _)| cgroup.contains(word) || root.contains(word))
        .map(|(_, name)| *name);
    let marked = if exists("/.dockerenv") {
        Some("Docker")
    } else if exists("/run/.containerenv") {
        Some("Podman")
    } else if exists("/var/run/secrets/kubernetes.io/serviceaccount") {
        Some("Kubernetes")
    } else if exists("/run/systemd/container") {
        Some("systemd-nspawn or LXC")
    } else {
        None
    };
    // "kubepods" says more than that Docker's tools made the image.
    named.or(marked).map(str::to_owned)
}

/// A sysctl's value; none if the kernel does not have it, or it is hidden.
pub(crate) fn setting(name: &str) -> Option<String> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// `4.4.0-19041-Microsoft` is the first, `5.15.90.1-microsoft-standard-WSL2` the second.
fn wsl(release: &str) -> Option<Wsl> {
    let lower = release.to_ascii_lowercase();
    if lower.contains("wsl2") || lower.contains("microsoft-standard") {
        Some(Wsl::Two)
    } else if lower.ends_with("-microsoft") {
        Some(Wsl::One)
    } else {
        None
    }
}

/// Is `uid` in one of the ranges of a `uid_map` (user_namespaces(7))? An empty map has not been
/// written yet: then nobody is.
fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut fields =
            line.split_ascii_whitespace().filter_map(|field| field.parse::<u64>().ok());
        match (fields.next(), fields.next(), fields.next()) {
            (Some(first), Some(_), Some(count)) => {
                (first..first.saturating_add(count)).contains(&u64::from(uid))
            }
            _ => false,
        }
    })
}

/// The kernel lists what is mounted below a process's root. Where nothing is mounted at the root itself,
/// that is a directory inside a file system.
fn is_chrooted(mountinfo: &str) -> bool {
    !mountinfo.is_empty() && !mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_of_wsl_are_told_apart_and_other_kernels_are_none() {
        assert_eq!(wsl("4.4.0-19041-Microsoft"), Some(Wsl::One));
        assert_eq!(wsl("5.15.90.1-microsoft-standard-WSL2"), Some(Wsl::Two));
        assert_eq!(wsl("6.8.0-1018-azure"), None);
    }

    #[test]
    fn a_uid_is_mapped_if_a_range_holds_it() {
        let map = "         0       1000          1\n      5000     100000       1000\n";
        assert!(is_mapped(map, 0) && is_mapped(map, 5999));
        assert!(!is_mapped(map, 1000) && !is_mapped(map, 6000) && !is_mapped("", 0));
    }

    #[test]
    fn a_root_without_a_mount_of_its_own_is_a_chroot() {
        let mounted = "21 1 254:0 / / rw - ext4 /dev/vda rw\n22 21 0:5 / /proc rw - proc proc rw\n";
        assert!(!is_chrooted(mounted) && !is_chrooted(""));
        assert!(is_chrooted("22 21 0:5 / /proc rw - proc proc rw\n"));
    }
}
