//! Which enclosure keeps the agent.

use super::{Actor, Plan, enclosure::Begun};
#[cfg(target_os = "linux")]
use super::{namespace, seccomp};
#[cfg(target_os = "macos")]
use super::{pf, proxy};
use crate::protocol::ErrorReply;

/// How the agent's connections are made to arrive at the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// As this machine does it best. On Linux never a way that keeps less in than another: where that one is
    /// refused, there is no run.
    #[default]
    Auto,
    /// A network namespace of its own.
    #[cfg(target_os = "linux")]
    Namespace,
    /// No namespace: its system calls are answered for it.
    #[cfg(target_os = "linux")]
    Seccomp,
    /// The packet filter, which a helper that is root changes.
    #[cfg(target_os = "macos")]
    Pf,
    /// A profile that leaves nothing but a proxy.
    #[cfg(target_os = "macos")]
    Proxy,
}

impl Redirect {
    /// The ways of this system and what they are called.
    const NAMES: &[(&'static str, Self)] = &[
        ("auto", Self::Auto),
        #[cfg(target_os = "linux")]
        ("namespace", Self::Namespace),
        #[cfg(target_os = "linux")]
        ("seccomp", Self::Seccomp),
        #[cfg(target_os = "macos")]
        ("pf", Self::Pf),
        #[cfg(target_os = "macos")]
        ("proxy", Self::Proxy),
    ];

    /// A way by its name.
    ///
    /// # Errors
    ///
    /// A sentence about what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::NAMES
            .iter()
            .find_map(|(name, redirect)| (*name == text).then_some(*redirect))
            .ok_or_else(|| {
                let names: Vec<_> =
                    Self::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
                format!("expected one of {}", names.join(", "))
            })
    }

    /// Begins an enclosure of this kind.
    #[cfg(target_os = "linux")]
    pub(super) fn begin(self, actor: &Actor, plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
        match self {
            Self::Auto | Self::Namespace => namespace::begin(actor, plan),
            Self::Seccomp => seccomp::begin(plan),
        }
    }

    /// Begins an enclosure of this kind. Left to itself that is the packet filter, and the proxy only
    /// where nobody becomes root; which says so.
    #[cfg(target_os = "macos")]
    pub(super) fn begin(self, _: &Actor, plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
        match self {
            Self::Pf => pf::begin(plan),
            Self::Proxy => proxy::begin(),
            Self::Auto if pf::is_possible() => pf::begin(plan),
            Self::Auto => proxy::begin(),
        }
    }
}

/// Names the last resort beside what would mend it, where namespaces are refused.
#[cfg(target_os = "linux")]
pub(super) fn refused(mut reply: ErrorReply, error: &netns::Error) -> ErrorReply {
    use netns::Step;

    if let netns::Error::Setup {
        step:
            Step::UserNamespace
            | Step::IdMap
            | Step::Namespaces
            | Step::Link
            | Step::Proc
            | Step::Propagation,
        ..
    } = error
    {
        const ANYWAY: &str =
            "authsome run --redirect seccomp needs no namespace, and keeps less in";
        reply.hint = Some(match reply.hint {
            Some(hint) => format!("{hint}; or: {ANYWAY}"),
            None => ANYWAY.to_owned(),
        });
    }
    reply
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_a_name_and_those_of_other_systems_are_refused() {
        assert_eq!(Redirect::parse("seccomp"), Ok(Redirect::Seccomp));
        let error = Redirect::parse("pf").unwrap_err();
        assert_eq!(error, "expected one of `auto`, `namespace`, `seccomp`");
    }

    #[test]
    fn the_last_resort_is_named_beside_the_mend() {
        let error = netns::Error::Setup {
            step: netns::Step::UserNamespace,
            hint: None,
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        let reply = ErrorReply {
            kind: crate::protocol::ErrorKind::Failed,
            message: String::new(),
            hint: Some("run it with sudo".to_owned()),
        };
        let hint = refused(reply, &error).hint.unwrap();
        assert!(
            hint.starts_with("run it with sudo; or: authsome run --redirect seccomp"),
            "{hint}"
        );
    }
}
