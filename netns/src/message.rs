//! What caller, helper and init say to each other over the control socket.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{ProbeError, Step},
    spec::{Credentials, DirectoryId, Network, Overlay},
};

/// What a socket of the namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerKind {
    /// TCP; the local address of an accepted socket is the address that was dialled.
    Tcp {
        /// Port it listens on.
        port: u16,
    },
    /// TCP behind the catch-all redirect; the address that was dialled is `SO_ORIGINAL_DST`
    /// (`IP6T_SO_ORIGINAL_DST` for IPv6).
    Redirected,
    /// TCP on a loopback address of the namespace. There is one for each family.
    HostPort {
        /// Port it listens on.
        port: u16,
    },
    /// UDP port 53, dual stack, with `IPV6_RECVPKTINFO` and `IP_PKTINFO` set.
    DnsUdp,
    /// TCP port 53, dual stack.
    DnsTcp,
    /// No listener: connections themselves, already accepted. Each message of this `SOCK_SEQPACKET` socket is
    /// one (`SCM_RIGHTS`) and, as text, the address and port that was dialled. One on the loopback is a port of
    /// the host's that was opened to the command.
    Handed,
    /// No listener: a netlink socket that answers questions about the sockets of the namespace
    /// (sock_diag(7)).
    SocketDiag {
        /// The network namespace's inode number, as in `net:[4026531840]` (namespaces(7)). It is no
        /// other's for as long as one of these sockets is open.
        network: u64,
    },
    /// No listener: gives out sockets of the namespace, if [`Network::give_sockets`]. A message of one
    /// byte, `4` or `6`, with a descriptor of a Unix socket beside it is answered over that descriptor:
    /// the same byte, and beside it a TCP socket of that family, blocking and unconnected. It is
    /// closed instead where there is none.
    SocketGiver,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// By itself.
    Exited {
        /// Its exit code.
        code: u8,
    },
    /// By a signal.
    Signaled {
        /// The signal's number.
        signal: u8,
    },
}

impl ExitStatus {
    /// Exit code as a shell would give it: 128+n for a signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited { code } => code,
            Self::Signaled { signal } => 128_u8.saturating_add(signal),
        }
    }
}

/// What the probe has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Destinations whose connections arrived at the interceptor.
    pub intercepted: Vec<std::net::SocketAddr>,
    /// The address that the probe's name was given.
    pub name: Option<std::net::Ipv4Addr>,
}

/// From the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To the helper: make the namespaces and their network.
    Begin {
        /// The caller's pid.
        parent: i32,
        /// The network.
        network: Network,
    },
    /// To the helper: make the mounts. The files' contents follow as the frame's blob.
    Complete(Box<Mounts>),
    /// To init: prove the redirection.
    Probe {
        /// What the interceptor's answer must contain.
        run_id: String,
        /// Try a port without a listener of its own too.
        catch_all: bool,
        /// Try IPv6 too.
        ipv6: bool,
    },
    /// To init: start the command. The command's stdin comes with it.
    Go(Box<Go>),
    /// To init: pass this signal on.
    Signal {
        /// Its number.
        number: i32,
    },
}

/// What the helper mounts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mounts {
    /// See [`crate::Spec::trust_dir`]; none: no mounts (used for checks).
    pub(crate) trust_dir: Option<Text>,
    /// See [`crate::Spec::trust_dir_id`].
    pub(crate) trust_dir_id: Option<DirectoryId>,
    /// Path and length of each file.
    pub(crate) files: Vec<(Text, usize)>,
    /// See [`crate::Spec::merges`].
    pub(crate) merges: Vec<(Text, Text)>,
    /// See [`crate::Spec::overlays`].
    pub(crate) overlays: Vec<(Text, Text)>,
    /// See [`crate::Spec::copies`].
    pub(crate) copies: Vec<(Text, Text)>,
    /// See [`crate::Spec::keep`].
    pub(crate) keep: Vec<Text>,
    /// See [`crate::Spec::hide`].
    pub(crate) hide: Vec<Text>,
}

/// What init starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Go {
    /// Program and arguments.
    pub(crate) command: Vec<Text>,
    /// Environment.
    pub(crate) env: Vec<(Text, Text)>,
    /// Working directory.
    pub(crate) cwd: Text,
    /// Whom to become.
    pub(crate) user: Option<Credentials>,
}

/// To the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// One descriptor for each, in order. May come several times.
    Listeners(Vec<ListenerKind>),
    /// The helper is done: what it made.
    Built {
        /// Is the catch-all redirect in place?
        catch_all: bool,
        /// Is there IPv6?
        ipv6: bool,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// Init is there: the namespace is complete.
    Ready,
    /// The namespace could not be made.
    Failed {
        /// What failed.
        step: Step,
        /// Error number, if it was a system call.
        errno: Option<i32>,
        /// The error in words.
        detail: String,
    },
    /// The probe's result.
    Probed(Result<ProbeReport, ProbeError>),
    /// The command runs.
    Started,
    /// The working directory cannot be entered.
    NoDirectory {
        /// Error number.
        errno: i32,
    },
    /// The command cannot be executed.
    NoExec {
        /// Error number.
        errno: i32,
    },
    /// The command has stopped.
    Stopped {
        /// By this signal.
        signal: i32,
        /// While a group inside the namespace had the terminal.
        foreground: bool,
    },
    /// The command has ended.
    Exited(ExitStatus),
}

/// A string of the operating system in JSON: text where it is UTF-8, else its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Raw(Vec<u8>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Utf8(String::new())
    }
}

impl From<&OsStr> for Text {
    fn from(value: &OsStr) -> Self {
        value
            .to_str()
            .map_or_else(|| Self::Raw(value.as_bytes().to_vec()), |text| Self::Utf8(text.into()))
    }
}

impl From<Text> for OsString {
    fn from(value: Text) -> Self {
        match value {
            Text::Utf8(text) => text.into(),
            Text::Raw(bytes) => Self::from_vec(bytes),
        }
    }
}

impl From<Text> for PathBuf {
    fn from(value: Text) -> Self {
        OsString::from(value).into()
    }
}

impl From<&Overlay> for (Text, Text) {
    fn from(value: &Overlay) -> Self {
        (value.source.as_os_str().into(), value.target.as_os_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_is_not_utf8_survives_json() {
        let name = OsString::from_vec(vec![b'a', 0xff, b'b']);
        let json = serde_json::to_string(&Text::from(name.as_os_str())).unwrap();
        let back: Text = serde_json::from_str(&json).unwrap();
        assert_eq!(OsString::from(back), name);
    }

    #[test]
    fn a_signal_becomes_128_plus_its_number() {
        assert_eq!(ExitStatus::Signaled { signal: 15 }.code(), 143);
    }
}
