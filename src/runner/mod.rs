//! Starts an agent in its namespace, with the daemon behind it. What `run`, `doctor` and `demo` share.
//!
//! It holds the run's certificate authority and duplicates of its sockets, and no secret else; it has
//! no runtime and no threads. The order is the protection: the daemon serves the sockets, then the
//! namespace is probed from inside, and only then is the agent executed. Whatever fails before that
//! point, there is no agent.

mod environment;
mod hidden;
mod program;
mod user;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use netns::{Beginning, Network, ProbeReport, Sandbox, Spec};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

pub use self::{
    environment::{Environment, proxy_variables},
    user::Actor,
};
use crate::{
    daemon::client::{Acting, Client},
    interceptor::RunCa,
    paths::{self, Anchor},
    protocol::{
        DirectoryId, ErrorKind, ErrorReply, ListenerKind, OpenRun, Request, RunCaKey, RunEvent,
        RunOpened, RunOptions, Secret,
    },
    trust::{self, Overlay},
};

/// TCP ports that always have a listener of their own: 443 because it is what this is about, 80 so
/// that it works where the kernel cannot redirect the others.
const PORTS: [u16; 2] = [443, 80];
/// Exit code where authsome failed and not the agent, as env(1) and its kind have it.
const FAILED: u8 = 125;
/// How often a run without a daemon looks for one.
const RECONNECT: Duration = Duration::from_secs(1);

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// What the agent is called where no identity is named; as its program by default.
    pub agent: Option<String>,
    /// The profile it runs in, and the identity it acts as.
    pub acting: Acting,
    /// What it may reach.
    pub options: RunOptions,
    /// Ports of the host's loopback that it reaches at its own.
    pub host_ports: Vec<u16>,
    /// Paths to cover besides the usual ones.
    pub hide: Vec<PathBuf>,
    /// Paths of the usual ones to leave uncovered.
    pub expose: Vec<PathBuf>,
    /// The environment it would have without us.
    pub env: BTreeMap<OsString, OsString>,
    /// Where it starts.
    pub cwd: PathBuf,
}

/// A namespace that has been proven, whose agent has not started.
#[derive(Debug)]
pub struct Ready {
    sandbox: Sandbox,
    link: Link,
    /// What the probe saw.
    pub probe: ProbeReport,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// The connection to the daemon, and what it takes to make it again.
#[derive(Debug)]
struct Link {
    client: Option<Client>,
    listeners: Vec<(ListenerKind, OwnedFd)>,
    open: OpenRun,
    /// What the daemon that comes next is to take it for.
    acting: Acting,
    actor: Actor,
    /// The home that the namespace covers.
    home: DirectoryId,
    /// Holds it for as long as there is no daemon that does. Not as root: the paths are the user's.
    anchor: Option<Anchor>,
    /// The daemon was told to stop: wait for another, start none.
    stopped: bool,
}

/// Builds the namespace, hands its sockets to the daemon, and proves from inside that nothing else
/// leads out.
///
/// # Errors
/// Whatever failed, with its mend. There is no agent then, and nothing left behind.
pub fn prepare(actor: Actor, plan: Plan) -> Result<Ready, ErrorReply> {
    // Neither to be read nor traced by what we start (prctl(2), PR_SET_DUMPABLE).
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| failed(format!("cannot make this process unreadable: {error}")))?;
    // The namespace's network is made while we find out what goes into it.
    let beginning =
        Beginning::new(&network(&actor, &plan)).map_err(|error| sandbox_error(&error))?;
    let id = run_id()?;
    let (certificate, key) = RunCa::generate()
        .map_err(|error| failed(format!("cannot make the run's certificate authority: {error}")))?;
    let agent = plan.agent.clone().unwrap_or_else(|| environment::agent_name(&plan.command));
    let open = OpenRun {
        id: id.clone(),
        command: agent.clone(),
        agent,
        ca: RunCaKey { certificate, key: Secret(key) },
        options: plan.options.clone(),
        names: BTreeMap::new(),
        proxy: proxy_variables(&plan.env),
    };
    let client = Client::connect_or_start_as(&actor.home, actor.owner())?;
    let mut client = client.acting(plan.acting.clone());
    let opened: RunOpened = client.call(Request::OpenRun(Box::new(open.clone())))?;

    let program = plan.command.first().map(Path::new);
    let mut seen = plan.env.clone();
    seen.extend(actor.variables().into_iter().map(|(name, value)| (name.into(), value)));
    if let (None, Some(missing)) = (actor.credentials(), trust::missing_directory(&seen)) {
        // Where it cannot be made, browsers will say that they do not trust the run.
        let _ = paths::create_private_dir(&missing);
    }
    let overlay = Overlay::plan(actor.home.root(), &open.ca.certificate, &seen, program);
    let env = Environment { base: &plan.env, actor: &actor, run: &id }
        .compose(&opened, overlay.env.clone());
    let (mut hide, warnings) = hidden::paths(&actor, &plan)?;
    hide.extend(hidden::required(&plan, &opened.hide)?);
    let mut spec =
        Spec { trust_dir_id: Some(opened.home), ..spec(&id, &actor, plan, overlay, env, hide) };
    spec.keep.extend(opened.keep);
    let (mut sandbox, prepared) =
        beginning.complete(&spec).map_err(|error| sandbox_error(&error))?;
    let warnings = [opened.warnings, warnings, prepared.warnings].concat();
    let listeners: Vec<_> =
        prepared.listeners.into_iter().map(|listener| (listener.kind, listener.fd)).collect();
    let anchor = match actor.credentials() {
        None => Anchor::new(actor.home.root()).ok(),
        Some(_) => None,
    };
    let home = opened.home;
    let acting = Acting { profile: Some(opened.profile), identity: Some(opened.identity) };
    let client = Some(client);
    let mut link = Link { client, listeners, open, acting, actor, home, anchor, stopped: false };
    link.attach()?;
    let probe = sandbox.probe().map_err(|error| sandbox_error(&error))?;
    Ok(Ready { sandbox, link, probe, warnings })
}

impl Ready {
    /// Lets the agent go and waits for it. Returns its exit code as a shell would report it.
    /// Meanwhile `tell` is told of the id and the words of a request that waits for a person.
    ///
    /// # Errors
    /// The agent could not be executed ([`netns::Error::exit_code`] tells how), or was lost.
    pub fn go(mut self, tell: &dyn Fn(&str, &str)) -> Result<u8, GoError> {
        self.sandbox.release().map_err(|error| GoError {
            code: match error.exit_code() {
                // Its own word for "something else".
                1 => FAILED,
                code => code,
            },
            error: sandbox_error(&error),
        })?;
        loop {
            let timer;
            let extra = match &self.link.client {
                Some(client) => client.as_fd(),
                None => {
                    timer = reconnect_timer()
                        .map_err(|error| lost(format!("cannot wait for the daemon: {error}")))?;
                    timer.as_fd()
                }
            };
            let event = self
                .sandbox
                .wait_event(Some(extra))
                .map_err(|error| GoError { code: FAILED, error: sandbox_error(&error) })?;
            match event {
                netns::Event::Exited(status) => {
                    self.link.keep_home();
                    return Ok(status.code());
                }
                netns::Event::Extra => self.link.tend(tell),
            }
        }
    }
}

/// Why there was no agent, or no more.
#[derive(Debug)]
pub struct GoError {
    /// Exit code: 125, 126 or 127.
    pub code: u8,
    /// What to say.
    pub error: ErrorReply,
}

fn lost(message: String) -> GoError {
    GoError { code: FAILED, error: failed(message) }
}

impl Link {
    fn attach(&mut self) -> Result<(), ErrorReply> {
        let listeners: Vec<_> =
            self.listeners.iter().map(|(kind, descriptor)| (*kind, descriptor.as_fd())).collect();
        match &mut self.client {
            Some(client) => client.attach(&listeners),
            None => Err(failed("the daemon is gone".to_owned())),
        }
    }

    /// The daemon said something or is gone, or it is time to look for one.
    fn tend(&mut self, tell: &dyn Fn(&str, &str)) {
        let Some(client) = &mut self.client else {
            // What goes wrong now is tried again; the agent meanwhile has no network, no more.
            if self.reconnect().is_err() {
                self.client = None;
            }
            return;
        };
        match client.take_events(true) {
            Some(events) => {
                for event in events {
                    match event {
                        RunEvent::Named { name, address } => {
                            self.open.names.insert(name, address);
                        }
                        RunEvent::Stopping => self.stopped = true,
                        RunEvent::Asked { id, request } => tell(&id, &request),
                    }
                }
            }
            None => {
                self.client = None;
                if !self.stopped && self.reconnect().is_err() {
                    self.client = None;
                }
            }
        }
    }

    /// Without a daemon there is nobody else to see that the agent moves the home away; and one that is
    /// gone may not have been missed yet. Where there is one, both may put it back.
    fn keep_home(&self) {
        if let Some(anchor) = &self.anchor
            && !anchor.is_in_place()
        {
            // If it fails, the next daemon serves another home, and not this run.
            let _ = anchor.put_back();
        }
    }

    fn reconnect(&mut self) -> Result<(), ErrorReply> {
        self.keep_home();
        let client = if self.stopped {
            Client::connect(&self.actor.home)?
        } else {
            Some(Client::connect_or_start_as(&self.actor.home, self.actor.owner())?)
        };
        let Some(client) = client else { return Ok(()) };
        let mut client = client.acting(self.acting.clone());
        let opened: RunOpened = client.call(Request::OpenRun(Box::new(self.open.clone())))?;
        if opened.home != self.home {
            return Err(failed("the home is another directory than this run covers".to_owned()));
        }
        self.client = Some(client);
        self.attach()?;
        self.stopped = false;
        Ok(())
    }
}

fn network(actor: &Actor, plan: &Plan) -> Network {
    let mut tcp_ports = PORTS.to_vec();
    // Where the kernel cannot redirect, the ports that were asked for still work.
    tcp_ports.extend(plan.options.allow.iter().filter_map(|rule| rule.port));
    tcp_ports.extend(plan.options.resolve.iter().map(|rule| rule.port));
    tcp_ports.retain(|port| *port != 53);
    tcp_ports.sort_unstable();
    tcp_ports.dedup();
    Network {
        as_root: actor.credentials().is_some(),
        tcp_ports,
        catch_all: true,
        host_ports: plan.host_ports.clone(),
    }
}

fn spec(
    id: &str,
    actor: &Actor,
    plan: Plan,
    overlay: Overlay,
    env: Vec<(OsString, OsString)>,
    hide: Vec<PathBuf>,
) -> Spec {
    let files =
        overlay.files.into_iter().map(|(path, contents)| netns::File { path, contents }).collect();
    let pairs = |pairs: Vec<(PathBuf, PathBuf)>| {
        pairs.into_iter().map(|(source, target)| netns::Overlay { source, target }).collect()
    };
    Spec {
        run_id: id.to_owned(),
        user: actor.credentials(),
        keep: program::names(&plan.env),
        trust_dir: actor.home.root().to_owned(),
        trust_dir_id: None,
        files,
        merges: pairs(overlay.merges),
        overlays: pairs(overlay.mounts),
        copies: pairs(overlay.copies),
        hide,
        command: plan.command,
        env,
        cwd: plan.cwd,
    }
}

/// 64 random bits in hexadecimal.
fn run_id() -> Result<String, ErrorReply> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| failed(format!("the kernel gives no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

fn reconnect_timer() -> rustix::io::Result<OwnedFd> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = Timespec { tv_sec: RECONNECT.as_secs().cast_signed(), tv_nsec: 0 };
    timerfd_settime(
        &timer,
        TimerfdTimerFlags::empty(),
        &Itimerspec { it_interval: zero, it_value: value },
    )?;
    Ok(timer)
}

fn sandbox_error(error: &netns::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint())
}

fn failed(message: String) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message, hint: None }
}
