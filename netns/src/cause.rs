//! Why a namespace cannot be made: from the step that failed, the kernel's error, and what the machine
//! says of itself to one cause with a name and a mend.
//!
//! The kernel has one error for many reasons (`EPERM`), so most causes are told by what else is so. What
//! nothing explains has no cause: better none than a wrong one.

#![cfg(target_os = "linux")]

use std::fmt;

use nix::libc;

use crate::{
    error::Step,
    machine::{Machine, Wsl},
};

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A limit of `user.max_*_namespaces` is 0.
    Limit {
        /// The setting.
        setting: &'static str,
    },
    /// Such a limit of a user namespace around this one, or the depth of 32, is reached.
    OuterLimit,
    /// Debian's old switch.
    CloneSwitch,
    /// Ubuntu's restriction of unprivileged user namespaces.
    AppArmor,
    /// SELinux' policy.
    SeLinux,
    /// A seccomp filter, as container engines put on.
    Seccomp {
        /// The engine, if this is a container.
        container: Option<String>,
    },
    /// The process is in a `chroot`, where the kernel makes no user namespace.
    Chroot,
    /// The process's user has no id in its own user namespace.
    Unmapped,
    /// WSL 1 has no namespaces.
    Wsl1,
    /// The kernel was built without them.
    NotBuilt {
        /// `uname -r`.
        release: String,
    },
    /// Parts of `/proc` are covered, so the kernel mounts no fresh one.
    MaskedProc {
        /// The engine, if this is a container.
        container: Option<String>,
    },
    /// Root without the right to make namespaces, as in a container.
    NoCapability {
        /// The engine, if this is a container.
        container: Option<String>,
    },
}

impl Cause {
    /// What explains that `step` failed with the error `errno` on this machine.
    pub(crate) fn find(step: &Step, errno: Option<i32>, machine: &Machine) -> Option<Self> {
        let denied = matches!(errno, Some(libc::EPERM | libc::EACCES));
        match step {
            Step::UserNamespace | Step::Namespaces => match errno {
                Some(libc::ENOSPC | libc::EUSERS) => Some(Self::limit(step, machine)),
                Some(libc::EINVAL | libc::ENOSYS) => Some(match machine.wsl {
                    Some(Wsl::One) => Self::Wsl1,
                    Some(Wsl::Two) | None => Self::NotBuilt { release: machine.release.clone() },
                }),
                _ if denied => Self::denial(step, machine),
                _ => None,
            },
            Step::IdMap | Step::Link if denied => Self::denial(step, machine),
            Step::Proc if denied => Some(Self::MaskedProc { container: machine.container.clone() }),
            Step::IdMap
            | Step::Link
            | Step::Proc
            | Step::Landlock
            | Step::Filter
            | Step::Mediate
            | Step::Listen { .. }
            | Step::Cover { .. }
            | Step::Write { .. }
            | Step::Hide { .. }
            | Step::Guard
            | Step::Propagation
            | Step::Init
            | Step::Privileges
            | Step::Control => None,
        }
    }

    fn limit(step: &Step, machine: &Machine) -> Self {
        let settings: &[&'static str] = if *step == Step::UserNamespace {
            &["user.max_user_namespaces"]
        } else {
            &[
                "user.max_net_namespaces",
                "user.max_mnt_namespaces",
                "user.max_pid_namespaces",
                "user.max_ipc_namespaces",
            ]
        };
        match settings.iter().find(|name| machine.is_zero(name)) {
            Some(setting) => Self::Limit { setting },
            None => Self::OuterLimit,
        }
    }

    /// Who says no, from the surest to what is left when nobody else can have said it.
    fn denial(step: &Step, machine: &Machine) -> Option<Self> {
        let container = machine.container.clone();
        if machine.wsl == Some(Wsl::One) {
            Some(Self::Wsl1)
        } else if machine.forbids_clone() {
            Some(Self::CloneSwitch)
        } else if machine.restricted_by_apparmor() {
            Some(Self::AppArmor)
        } else if !machine.mapped {
            Some(Self::Unmapped)
        } else if machine.chrooted && *step == Step::UserNamespace {
            Some(Self::Chroot)
        } else if machine.filtered {
            Some(Self::Seccomp { container })
        } else if machine.selinux {
            Some(Self::SeLinux)
        } else if *step == Step::UserNamespace {
            // user_namespaces(7) has no other reason.
            Some(Self::Chroot)
        } else if machine.root {
            Some(Self::NoCapability { container })
        } else {
            None
        }
    }

    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn mend(&self) -> String {
        let options = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
                       --security-opt systempaths=unconfined";
        match self {
            Self::Limit { setting } => {
                format!("sudo sysctl -w {setting}=15000, or run it with sudo")
            }
            Self::OuterLimit => {
                "raise user.max_user_namespaces outside of the container or sandbox this is in"
                    .to_owned()
            }
            Self::CloneSwitch => {
                "sudo sysctl -w kernel.unprivileged_userns_clone=1, or run it with sudo".to_owned()
            }
            Self::AppArmor => "sudo authsome doctor --fix (it gives this program a profile that \
                               allows `userns`), or run it with sudo"
                .to_owned(),
            Self::SeLinux => "see what was refused with `sudo ausearch -m avc -ts recent`, and allow \
                              it with audit2allow"
                .to_owned(),
            Self::Seccomp { container: Some(engine) } if engine == "Kubernetes" => {
                "set securityContext.seccompProfile.type: Unconfined and procMount: Unmasked, or use \
                 the sidecar"
                    .to_owned()
            }
            Self::Seccomp { container: Some(_) } => {
                format!("start the container with {options}, or use the sidecar")
            }
            Self::Seccomp { container: None } => {
                "start it outside of the sandbox that filters its system calls".to_owned()
            }
            Self::Chroot => "leave the chroot, or enter it with a tool that uses pivot_root(2) (bwrap, \
                             systemd-nspawn, a container)"
                .to_owned(),
            Self::Unmapped => {
                "give the enclosing user namespace a uid_map with this user".to_owned()
            }
            Self::Wsl1 => "in Windows: wsl --set-version <distribution> 2".to_owned(),
            Self::NotBuilt { .. } => "use a kernel with CONFIG_USER_NS, CONFIG_NET_NS, CONFIG_PID_NS \
                                      and CONFIG_IPC_NS"
                .to_owned(),
            Self::MaskedProc { container: Some(engine) } if engine == "Kubernetes" => {
                "set securityContext.procMount: Unmasked, or use the sidecar".to_owned()
            }
            Self::MaskedProc { container: Some(_) } => {
                "start the container with --security-opt systempaths=unconfined, or use the sidecar"
                    .to_owned()
            }
            Self::MaskedProc { container: None } => {
                "umount what covers parts of /proc (findmnt -R /proc lists it), or start it outside of \
                 the sandbox that does"
                    .to_owned()
            }
            Self::NoCapability { container: Some(_) } => {
                format!("run it as an ordinary user, or start the container with {options}")
            }
            Self::NoCapability { container: None } => "run it without sudo".to_owned(),
        }
    }

    /// The kernel's setting that forbids it, and the value with which it does not.
    #[must_use]
    pub fn setting(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Limit { setting } => Some((setting, "15000")),
            Self::CloneSwitch => Some(("kernel.unprivileged_userns_clone", "1")),
            Self::OuterLimit
            | Self::AppArmor
            | Self::SeLinux
            | Self::Seccomp { .. }
            | Self::Chroot
            | Self::Unmapped
            | Self::Wsl1
            | Self::NotBuilt { .. }
            | Self::MaskedProc { .. }
            | Self::NoCapability { .. } => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |container: &Option<String>| match container {
            Some(engine) => format!("this container ({engine})"),
            None => "the sandbox this runs in".to_owned(),
        };
        match self {
            Self::Limit { setting } => write!(f, "{setting} is 0"),
            Self::OuterLimit => f.write_str("an enclosing user namespace allows no more of them"),
            Self::CloneSwitch => f.write_str("kernel.unprivileged_userns_clone is 0"),
            Self::AppArmor => f.write_str(
                "AppArmor restricts unprivileged user namespaces \
                 (kernel.apparmor_restrict_unprivileged_userns)",
            ),
            Self::SeLinux => f.write_str("SELinux enforces a policy that does not allow it"),
            Self::Seccomp { container } => {
                write!(f, "the seccomp filter of {} refuses it", of(container))
            }
            Self::Chroot => f.write_str("this is a chroot, where the kernel refuses it"),
            Self::Unmapped => f.write_str("this user has no id in the user namespace it is in"),
            Self::Wsl1 => f.write_str("this is WSL 1, which has no namespaces"),
            Self::NotBuilt { release } => {
                write!(f, "the kernel ({release}) was built without such namespaces")
            }
            Self::MaskedProc { container } => {
                write!(f, "{} covers parts of /proc", of(container))
            }
            Self::NoCapability { container: Some(engine) } => {
                write!(f, "this container ({engine}) gives root no right to (CAP_SYS_ADMIN)")
            }
            Self::NoCapability { container: None } => f.write_str("root lacks CAP_SYS_ADMIN here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { mapped: true, ..Machine::default() }
    }

    fn with(setting: &'static str, value: &str) -> Machine {
        Machine { settings: [(setting, value.to_owned())].into(), ..machine() }
    }

    fn user(errno: i32, machine: &Machine) -> Option<Cause> {
        Cause::find(&Step::UserNamespace, Some(errno), machine)
    }

    #[test]
    fn a_limit_of_zero_is_named_and_else_it_is_an_outer_one() {
        let setting = "user.max_user_namespaces";
        assert_eq!(user(libc::ENOSPC, &with(setting, "0")), Some(Cause::Limit { setting }));
        assert_eq!(user(libc::ENOSPC, &with(setting, "9")), Some(Cause::OuterLimit));
        let setting = "user.max_net_namespaces";
        let found = Cause::find(&Step::Namespaces, Some(libc::ENOSPC), &with(setting, "0"));
        assert_eq!(found, Some(Cause::Limit { setting }));
    }

    #[test]
    fn debians_switch_binds_users_and_not_root() {
        let machine = with("kernel.unprivileged_userns_clone", "0");
        assert_eq!(user(libc::EPERM, &machine), Some(Cause::CloneSwitch));
        let root = Machine { root: true, ..machine };
        assert_ne!(user(libc::EPERM, &root), Some(Cause::CloneSwitch));
    }

    #[test]
    fn apparmors_restriction_shows_where_rights_are_first_used() {
        let machine = with("kernel.apparmor_restrict_unprivileged_userns", "1");
        for step in [Step::UserNamespace, Step::IdMap, Step::Namespaces, Step::Link] {
            let found = Cause::find(&step, Some(libc::EACCES), &machine);
            assert_eq!(found, Some(Cause::AppArmor), "{step}");
        }
        let profiled = Machine { profiled: true, ..machine };
        assert_eq!(Cause::find(&Step::Link, Some(libc::EPERM), &profiled), None);
    }

    #[test]
    fn a_filter_of_a_container_is_told_from_one_without() {
        let machine = Machine { filtered: true, ..machine() };
        let container = Some("Docker".to_owned());
        let inside = Machine { container: container.clone(), ..machine.clone() };
        assert_eq!(user(libc::EPERM, &inside), Some(Cause::Seccomp { container }));
        assert_eq!(user(libc::EPERM, &machine), Some(Cause::Seccomp { container: None }));
    }

    #[test]
    fn a_user_namespace_that_nobody_else_forbids_is_forbidden_by_a_chroot() {
        assert_eq!(user(libc::EPERM, &machine()), Some(Cause::Chroot));
    }

    #[test]
    fn what_only_some_machines_have_is_named() {
        let one = Machine { wsl: Some(Wsl::One), ..machine() };
        assert_eq!(user(libc::EINVAL, &one), Some(Cause::Wsl1));
        let release = "3.10.0".to_owned();
        let old = Machine { release: release.clone(), ..machine() };
        assert_eq!(user(libc::EINVAL, &old), Some(Cause::NotBuilt { release }));
        let selinux = Machine { selinux: true, ..machine() };
        assert_eq!(user(libc::EACCES, &selinux), Some(Cause::SeLinux));
        let unmapped = Machine { mapped: false, ..machine() };
        assert_eq!(user(libc::EPERM, &unmapped), Some(Cause::Unmapped));
    }

    #[test]
    fn an_error_that_is_no_refusal_has_no_cause() {
        assert_eq!(user(libc::ENOMEM, &machine()), None);
        assert_eq!(Cause::find(&Step::Listen { port: 80 }, Some(libc::EPERM), &machine()), None);
    }
}
