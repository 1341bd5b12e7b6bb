//! The enclosure of macOS: connections are redirected by the packet filter, which a helper that is root
//! changes; what the agent must not see is covered by a profile. Type-checked, never run.

use std::{
    io::IsTerminal as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use netns::{
    ListenerKind, ProbeReport,
    pf::{Session, Spec},
};

use super::{
    GoError, Plan,
    enclosure::{Begun, Complete, Contents, Enclosure, Event},
    sheath::{self, Sheath},
};
use crate::protocol::{Egress, ErrorReply};

/// The redirection, without an agent.
#[derive(Debug)]
struct Beginning {
    session: Session,
    listener: OwnedFd,
    /// Names of hosts that a rule allows at ports that are not redirected.
    unreachable: Vec<String>,
}

/// The redirection with its agent. The agent ends before its files are removed.
#[derive(Debug)]
struct Redirected {
    session: Session,
    sheath: Sheath,
}

/// Can root be had: is sudo(8) content without a password, or can it ask for one?
pub(super) fn is_possible() -> bool {
    let content = Command::new("/usr/bin/sudo")
        .args(["-n", "-v"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    rustix::process::geteuid().is_root()
        || content.is_ok_and(|status| status.success())
        || std::io::stdin().is_terminal()
}

/// Has the packet filter redirect a group that is empty yet.
///
/// # Errors
/// It cannot be; nothing has changed then.
pub(super) fn begin(plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
    let (listener, port) = sheath::listen()?;
    // Where hosts without a provider are refused, so is whatever does not pass by us.
    let strict = plan.options.egress == Egress::Providers;
    let session = Session::begin(&Spec { port, strict, user: None })
        .map_err(|error| sheath::reply(&error))?;
    let rules = plan.options.allow.iter().filter(|_| strict);
    let unreachable = rules
        .filter(|rule| rule.port.is_some_and(|port| port != 443))
        .map(|rule| rule.host.to_string())
        .collect();
    Ok(Box::new(Beginning { session, listener, unreachable }))
}

impl Begun for Beginning {
    fn trust_dir(&self, home: &Path, run: &str) -> PathBuf {
        sheath::directory(home, run)
    }

    fn complete(self: Box<Self>, contents: Contents<'_>) -> Result<Complete, ErrorReply> {
        let Self { session, listener, unreachable } = *self;
        let kind = ListenerKind::Pf { gid: session.gid() };
        let sheath = Sheath::new(contents, None)?;
        let mut warnings: Vec<String> = unreachable
            .into_iter()
            .map(|host| format!("{host} cannot be reached: on macOS only port 443 is redirected"))
            .collect();
        warnings.push(
            "the agent's sandbox cannot hold another: its own has to be switched off".to_owned(),
        );
        let enclosure = Box::new(Redirected { session, sheath });
        Ok(Complete { enclosure, listeners: vec![(kind, listener)], warnings })
    }
}

impl Enclosure for Redirected {
    fn probe(&mut self) -> Result<ProbeReport, ErrorReply> {
        self.session.probe(&self.sheath.run).map_err(|error| sheath::reply(&error))?;
        let dialled = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);
        Ok(ProbeReport { intercepted: vec![dialled], name: None })
    }

    fn release(&mut self) -> Result<(), GoError> {
        let command = self.sheath.command()?;
        self.session
            .release(&command, &self.sheath.env, &self.sheath.cwd)
            .map_err(|error| sheath::lost(&error))
    }

    fn wait(&mut self, extra: BorrowedFd<'_>) -> Result<Event, GoError> {
        self.session.wait_event(extra).map(sheath::event).map_err(|error| sheath::lost(&error))
    }
}
