//! What this machine allows, and which setting says no.

use std::{ffi::OsStr, fs, io, path::Path};

use nix::{
    libc,
    unistd::{geteuid, getuid},
};

use crate::{
    beginning::Beginning,
    error::{Error, Step},
    message::{Go, Mounts, Text},
    spec::Network,
};

/// One thing that must work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What was found: `Ok` in words, or what is wrong.
    pub outcome: Result<String, String>,
    /// What would mend it: a command to type, or a sentence.
    pub mend: Option<String>,
    /// Without it nothing runs; else it is only less good.
    pub required: bool,
}

/// Makes a namespace without mounts, and says what worked.
#[must_use]
pub fn check() -> Vec<Check> {
    let network = Network { tcp_ports: vec![80, 443], catch_all: true, ..Network::default() };
    let mut checks: Vec<Check> = settings().into_iter().map(Setting::check).collect();
    let go = Go { command: vec![Text::default()], ..Go::default() };
    let built = Beginning::new(&network)
        .and_then(|begun| begun.complete_with(Mounts::default(), &[], go, String::new()));
    match built {
        Ok((_, prepared)) => {
            checks.push(Check {
                name: "namespaces",
                outcome: Ok("user, network, mount, pid and ipc namespaces can be made".to_owned()),
                mend: None,
                required: true,
            });
            checks.push(Check {
                name: "ipv6",
                outcome: Ok(if prepared.ipv6 { "caught" } else { "the kernel has none" }.to_owned()),
                mend: None,
                required: false,
            });
            checks.push(Check {
                name: "nf_tables",
                outcome: if prepared.catch_all {
                    Ok("ports without a listener can be redirected".to_owned())
                } else {
                    Err(prepared.warnings.join("; "))
                },
                mend: (!prepared.catch_all)
                    .then(|| "sudo modprobe nf_tables nft_redir nft_chain_nat".to_owned()),
                required: false,
            });
        }
        Err(error) => checks.push(Check {
            name: "namespaces",
            outcome: Err(with_sources(&error)),
            mend: error.hint(),
            required: true,
        }),
    }
    checks
}

/// What would make `step` work, if this machine's settings explain why it did not.
pub(crate) fn hint(step: &Step, errno: Option<i32>) -> Option<String> {
    match step {
        Step::UserNamespace | Step::IdMap | Step::Namespaces | Step::Link => settings()
            .into_iter()
            .find(|setting| setting.forbids)
            .map(|setting| setting.mend)
            .or_else(|| refused(errno)),
        Step::Proc => Some(
            "this container masks parts of /proc: start it with --security-opt systempaths=unconfined \
             (docker) or procMount: Unmasked (Kubernetes), or use the sidecar"
                .to_owned(),
        ),
        Step::Listen { port } => Some(format!("leave port {port} out, or name it only once")),
        Step::Cover { .. } | Step::Write { .. } | Step::Hide { .. } => None,
        Step::Guard | Step::Propagation | Step::Init | Step::Privileges | Step::Control => None,
    }
}

/// No setting says no, but the kernel did: a container's seccomp filter or LSM.
fn refused(errno: Option<i32>) -> Option<String> {
    let denied = matches!(errno, Some(libc::EPERM | libc::EACCES));
    match (denied, container()) {
        (true, true) => Some(
            "this container forbids namespaces: start it with --security-opt seccomp=unconfined \
             --security-opt apparmor=unconfined, or use the sidecar"
                .to_owned(),
        ),
        (true, false) if !geteuid().is_root() => Some("run it with sudo".to_owned()),
        _ => None,
    }
}

fn container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists())
        || fs::read_to_string("/proc/1/cgroup").is_ok_and(|cgroup| {
            ["docker", "kubepods", "containerd", "libpod"].iter().any(|word| cgroup.contains(word))
        })
}

/// A sysctl that can forbid user namespaces.
struct Setting {
    name: &'static str,
    value: String,
    forbids: bool,
    mend: String,
}

impl Setting {
    fn check(self) -> Check {
        let said = format!("{} = {}", self.name, self.value);
        Check {
            name: self.name,
            outcome: if self.forbids { Err(said) } else { Ok(said) },
            mend: self.forbids.then_some(self.mend),
            required: true,
        }
    }
}

/// A sysctl, the values that forbid namespaces to this process, and what changes it.
type Known = (&'static str, fn(&str) -> bool, &'static str);

const KNOWN: [Known; 4] = [
    (
        "user.max_user_namespaces",
        |value| value == "0",
        "sudo sysctl -w user.max_user_namespaces=15000",
    ),
    (
        "user.max_net_namespaces",
        |value| value == "0",
        "sudo sysctl -w user.max_net_namespaces=15000",
    ),
    (
        "kernel.unprivileged_userns_clone",
        |value| value == "0" && !getuid().is_root(),
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        |value| value == "1" && !getuid().is_root() && !profiled(),
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give the program an \
         AppArmor profile with `userns,`",
    ),
];

/// The settings that exist on this machine.
fn settings() -> Vec<Setting> {
    KNOWN
        .into_iter()
        .filter_map(|(name, forbids, mend)| {
            let value = sysctl(name).ok()?;
            let forbids = forbids(&value);
            Some(Setting { name, value, forbids, mend: mend.to_owned() })
        })
        .collect()
}

/// Does a profile of its own confine this program, which then may allow `userns`?
fn profiled() -> bool {
    fs::read_to_string("/proc/self/attr/apparmor/current")
        .is_ok_and(|profile| !profile.trim().is_empty() && profile.trim() != "unconfined")
}

fn sysctl(name: &str) -> io::Result<String> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    Ok(fs::read_to_string(AsRef::<OsStr>::as_ref(&path))?.trim().to_owned())
}

fn with_sources(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
