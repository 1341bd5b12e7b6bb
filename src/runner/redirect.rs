//! Which enclosure keeps the agent.

use super::{Actor, Plan, enclosure::Begun, namespace, seccomp};
use crate::protocol::ErrorReply;

/// How the agent's connections are made to arrive at the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirect {
    /// As this machine does it best. Never a way that keeps less in than another: where that one is
    /// refused, there is no run.
    #[default]
    Auto,
    /// A network namespace of its own.
    Namespace,
    /// No namespace: its system calls are answered for it.
    Seccomp,
}

impl Redirect {
    /// The ways and what they are called.
    const NAMES: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("namespace", Self::Namespace), ("seccomp", Self::Seccomp)];

    /// A way by its name.
    ///
    /// # Errors
    ///
    /// A sentence about what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::NAMES
            .into_iter()
            .find_map(|(name, redirect)| (name == text).then_some(redirect))
            .ok_or_else(|| {
                let names = Self::NAMES.map(|(name, _)| format!("`{name}`"));
                format!("expected one of {}", names.join(", "))
            })
    }

    /// Begins an enclosure of this kind.
    pub(super) fn begin(self, actor: &Actor, plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
        match self {
            Self::Auto | Self::Namespace => namespace::begin(actor, plan),
            Self::Seccomp => seccomp::begin(plan),
        }
    }
}

/// Names the last resort beside what would mend it, where namespaces are refused.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_a_name_and_others_are_refused() {
        assert_eq!(Redirect::parse("seccomp"), Ok(Redirect::Seccomp));
        let error = Redirect::parse("iptables").unwrap_err();
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
