//! The enclosure of macOS where nobody becomes root: a profile that leaves the agent nothing but a proxy, and
//! variables that lead its programs there. Those that go by no variable get nowhere. Type-checked, never run.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use netns::{
    ListenerKind, ProbeReport,
    confined::{self, Confined},
};

use super::{
    FAILED, GoError,
    enclosure::{Begun, Complete, Contents, Enclosure, Event},
    failed,
    sheath::{self, Sheath},
};
use crate::protocol::ErrorReply;

/// Variables that name the proxy. Not the one for http: only tunnels are made.
const VARIABLES: [&str; 3] = ["HTTPS_PROXY", "https_proxy", "WSS_PROXY"];

/// The proxy, without an agent.
#[derive(Debug)]
struct Beginning {
    listener: OwnedFd,
    port: u16,
}

/// The proxy with its agent. The agent ends before its files are removed.
#[derive(Debug)]
struct Proxied {
    agent: Option<Confined>,
    port: u16,
    sheath: Sheath,
}

/// Listens.
///
/// # Errors
/// The system's.
pub(super) fn begin() -> Result<Box<dyn Begun>, ErrorReply> {
    let (listener, port) = sheath::listen()?;
    Ok(Box::new(Beginning { listener, port }))
}

impl Begun for Beginning {
    fn trust_dir(&self, home: &Path, run: &str) -> PathBuf {
        sheath::directory(home, run)
    }

    fn complete(self: Box<Self>, contents: Contents<'_>) -> Result<Complete, ErrorReply> {
        let Self { listener, port } = *self;
        let mut sheath = Sheath::new(contents, Some(port))?;
        let address = format!("http://run:{}@127.0.0.1:{port}", sheath.run);
        for name in VARIABLES {
            sheath.set(name, &address);
        }
        // Node goes by the variables only when it is told to.
        sheath.set("NODE_USE_ENV_PROXY", "1");
        let warnings = vec![
            "this run is proxied: programs that ignore HTTPS_PROXY have no network, and the agent's \
             own sandbox has to be switched off"
                .to_owned(),
        ];
        let enclosure = Box::new(Proxied { agent: None, port, sheath });
        Ok(Complete { enclosure, listeners: vec![(ListenerKind::Connect, listener)], warnings })
    }
}

impl Enclosure for Proxied {
    fn probe(&mut self) -> Result<ProbeReport, ErrorReply> {
        confined::prove(&self.sheath.profile, self.port, &self.sheath.run)
            .map_err(|error| sheath::reply(&error))?;
        let dialled = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);
        Ok(ProbeReport { intercepted: vec![dialled], name: None })
    }

    fn release(&mut self) -> Result<(), GoError> {
        let command = self.sheath.command()?;
        let agent = Confined::start(&command, &self.sheath.env, &self.sheath.cwd)
            .map_err(|error| sheath::lost(&error))?;
        self.agent = Some(agent);
        Ok(())
    }

    fn wait(&mut self, extra: BorrowedFd<'_>) -> Result<Event, GoError> {
        let Some(agent) = &mut self.agent else {
            let error = failed("the agent has not been started".to_owned());
            return Err(GoError { code: FAILED, error });
        };
        agent.wait_event(extra).map(sheath::event).map_err(|error| sheath::lost(&error))
    }
}
