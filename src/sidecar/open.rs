//! Opens the worker's one run, and shares with the agent what it needs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

use netns::shared;

use super::{ca, marked::Marked, share::Place};
use crate::{
    daemon::client::Client,
    interceptor::RunCa,
    paths::Home,
    protocol::{
        ErrorKind, ErrorReply, ListenerKind, OpenRun, Request, RunCaKey, RunEvent, RunOpened,
        RunOptions, Secret,
    },
    runner::{proxy_variables, run_id},
};

/// What the run is called, where no identity is named.
const NAME: &str = "sidecar";

/// What opens the run.
#[derive(Debug)]
pub struct Opening<'a> {
    /// Whose authority signs.
    pub home: &'a Home,
    /// What the agent may reach.
    pub options: RunOptions,
    /// What the agent sees.
    pub place: &'a Place,
    /// The sockets that it meets.
    pub listeners: &'a [(ListenerKind, OwnedFd)],
    /// The line to the guard.
    pub marked: &'a Marked,
}

/// A run that is served and proven.
#[derive(Debug)]
pub struct Opened {
    client: Client,
    /// Addresses that were dialled for the proof. None: there is no route to them; the guard has then
    /// found another.
    pub probed: Vec<SocketAddr>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Has the daemon at the other end of `client` serve the listeners, and proves that it does.
///
/// # Errors
/// Whatever failed; nothing says that the sidecar is ready then.
pub fn open(opening: Opening<'_>, mut client: Client) -> Result<Opened, ErrorReply> {
    let ca = ca::authority(opening.home)?;
    let certificate = ca.certificate.clone();
    let id = run_id()?;
    let environment = std::env::vars_os().collect();
    let opened: RunOpened = client.call(Request::OpenRun(Box::new(OpenRun {
        id: id.clone(),
        command: NAME.to_owned(),
        agent: NAME.to_owned(),
        ca,
        options: opening.options,
        names: BTreeMap::new(),
        proxy: proxy_variables(&environment),
    })))?;
    opening.place.fill(&certificate, &opened.set_env)?;
    let listeners: Vec<_> =
        opening.listeners.iter().map(|(kind, descriptor)| (*kind, descriptor.as_fd())).collect();
    client.attach(&listeners)?;
    let probed = shared::outside();
    for address in &probed {
        shared::arrives(*address, &id)
            .map_err(|error| ErrorReply::caused(ErrorKind::Failed, &error, None))?;
    }
    opening.marked.serving();
    opening.place.ready()?;
    Ok(Opened { client, probed, warnings: opened.warnings })
}

/// The variables that an agent would be given now: what a run of these options is told, which is opened
/// and closed again without a listener.
///
/// # Errors
/// What the daemon says.
pub fn variables(
    options: RunOptions,
    mut client: Client,
) -> Result<BTreeMap<String, String>, ErrorReply> {
    let (certificate, key) =
        RunCa::generate().map_err(|error| ErrorReply::caused(ErrorKind::Failed, &error, None))?;
    let opened: RunOpened = client.call(Request::OpenRun(Box::new(OpenRun {
        id: run_id()?,
        command: NAME.to_owned(),
        agent: NAME.to_owned(),
        ca: RunCaKey { certificate, key: Secret(key) },
        options,
        names: BTreeMap::new(),
        proxy: proxy_variables(&BTreeMap::new()),
    })))?;
    Ok(opened.set_env)
}

impl Opened {
    /// Keeps the run open for as long as there is a daemon. `tell` is told of the id and the words of a
    /// request that waits for a person.
    pub fn hold(mut self, tell: &dyn Fn(&str, &str)) {
        while let Some(events) = self.client.take_events(true) {
            for event in events {
                match event {
                    RunEvent::Asked { id, request } => tell(&id, &request),
                    // Its own ports are its container's to publish.
                    RunEvent::Named { .. }
                    | RunEvent::Published { .. }
                    | RunEvent::NotPublished { .. }
                    | RunEvent::Stopping => {}
                }
            }
        }
    }
}
