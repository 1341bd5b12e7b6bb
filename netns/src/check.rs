//! What this machine allows: a namespace is made, and what keeps it from being made is named.

#![cfg(target_os = "linux")]

use crate::{
    beginning::Beginning,
    cause::Cause,
    error::{Error, Step},
    machine::{Machine, Wsl},
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
    /// Why it failed, if that can be told.
    pub cause: Option<Cause>,
    /// Without it nothing runs; else it is only less good.
    pub required: bool,
}

impl Check {
    fn ok(name: &'static str, said: impl Into<String>, required: bool) -> Self {
        Self { name, outcome: Ok(said.into()), mend: None, cause: None, required }
    }
}

/// Makes a namespace without mounts, with a user namespace unless `as_root`, and says what worked.
#[must_use]
pub fn check(as_root: bool) -> Vec<Check> {
    let machine = Machine::read();
    let mut checks = vec![system(&machine)];
    if as_root {
        checks.extend(restrictions().into_iter().map(|cause| Check {
            name: "without sudo",
            outcome: Err(format!("only root can make namespaces: {cause}")),
            mend: Some(cause.mend()),
            cause: Some(cause),
            required: false,
        }));
    }
    let network =
        Network { as_root, tcp_ports: vec![80, 443], catch_all: true, ..Network::default() };
    let go = Go { command: vec![Text::default()], ..Go::default() };
    let built = Beginning::new(&network)
        .and_then(|begun| begun.complete_with(Mounts::default(), &[], go, String::new()));
    match built {
        Ok((_, prepared)) => {
            let user = if as_root { "" } else { "user, " };
            let can = format!("{user}network, mount, pid and ipc namespaces can be made");
            checks.push(Check::ok("namespaces", can, true));
            let ipv6 = if prepared.ipv6 { "caught" } else { "the kernel has none: IPv4 only" };
            checks.push(Check::ok("ipv6", ipv6, false));
            checks.push(if prepared.catch_all {
                Check::ok("nf_tables", "ports without a listener can be redirected", false)
            } else {
                Check {
                    name: "nf_tables",
                    outcome: Err(prepared.warnings.join("; ")),
                    mend: Some("sudo modprobe -a nf_tables nft_redir nft_chain_nat".to_owned()),
                    cause: None,
                    required: false,
                }
            });
        }
        Err(error) => {
            let cause = if let Error::Setup { step, source, .. } = &error {
                Cause::find(step, source.raw_os_error(), &machine)
            } else {
                None
            };
            let mut said = with_sources(&error);
            if let Some(cause) = &cause {
                said.push_str(&format!(": {cause}"));
            }
            checks.push(Check {
                name: "namespaces",
                outcome: Err(said),
                mend: cause.as_ref().map(Cause::mend).or_else(|| error.hint()),
                cause,
                required: true,
            });
        }
    }
    checks
}

/// What the settings of this machine alone keep from an ordinary user.
#[must_use]
pub fn restrictions() -> Vec<Cause> {
    let machine = Machine { root: false, ..Machine::read() };
    let limits = machine.settings.iter().filter(|(name, value)| {
        name.starts_with("user.max_") && name.ends_with("_namespaces") && *value == "0"
    });
    let mut causes: Vec<Cause> = limits.map(|(setting, _)| Cause::Limit { setting }).collect();
    causes.extend(machine.forbids_clone().then_some(Cause::CloneSwitch));
    causes.extend(machine.restricted_by_apparmor().then_some(Cause::AppArmor));
    causes
}

/// The kernel, and what is special about where it runs.
fn system(machine: &Machine) -> Check {
    let mut said = format!("Linux {}", machine.release);
    match machine.wsl {
        Some(Wsl::One) => said.push_str(", WSL 1"),
        Some(Wsl::Two) => said.push_str(", WSL 2"),
        None => {}
    }
    if let Some(engine) = &machine.container {
        said.push_str(&format!(", in a container ({engine})"));
    }
    if machine.selinux {
        said.push_str(", SELinux enforces");
    }
    if machine.profiled {
        said.push_str(", confined by an AppArmor profile");
    }
    if machine.filtered {
        said.push_str(", under a seccomp filter");
    }
    Check::ok("system", said, false)
}

/// What would make `step` work, if this machine explains why it did not: the cause, and its mend.
pub(crate) fn hint(step: &Step, errno: Option<i32>) -> Option<String> {
    let own = match step {
        Step::Listen { port } => &format!("leave port {port} out, or name it only once"),
        Step::Landlock => {
            "start Linux 5.13 or later with landlock in its lsm= parameter; \
             /sys/kernel/security/lsm lists what is on"
        }
        Step::Filter => {
            "this needs Linux 5.19 or later on x86_64 or aarch64, with no other program that answers \
             system calls above it"
        }
        Step::Mediate => {
            "this container, or kernel.yama.ptrace_scope, forbids to look into processes: start it with \
             --cap-add SYS_PTRACE or --security-opt seccomp=unconfined (docker), or use the sidecar"
        }
        Step::UserNamespace
        | Step::IdMap
        | Step::Namespaces
        | Step::Link
        | Step::Proc
        | Step::Cover { .. }
        | Step::Write { .. }
        | Step::Hide { .. }
        | Step::Guard
        | Step::Propagation
        | Step::Init
        | Step::Privileges
        | Step::Control => {
            let cause = Cause::find(step, errno, &Machine::read())?;
            return Some(format!("{cause}: {}", cause.mend()));
        }
    };
    Some(own.to_owned())
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
