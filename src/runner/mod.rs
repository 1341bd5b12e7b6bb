//! Starts an agent in its namespace, with the daemon behind it. What `run`, `doctor` and `demo` share.
//!
//! It holds the run's certificate authority and duplicates of its sockets, and no secret else; it has
//! no runtime and no threads. The order is the protection: the daemon serves the sockets, then the
//! namespace is probed from inside, and only then is the agent executed. Whatever fails before that
//! point, there is no agent.

mod enclosure;
mod environment;
mod hidden;
mod link;
mod namespace;
#[cfg(target_os = "macos")]
mod pf;
mod program;
#[cfg(target_os = "macos")]
mod proxy;
mod publish;
mod redirect;
mod seccomp;
#[cfg(target_os = "macos")]
mod sheath;
mod ssh;
mod user;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use netns::ProbeReport;

use self::{
    enclosure::{Complete, Contents, Enclosure, Event},
    link::Link,
};
pub use self::{
    environment::{Environment, proxy_variables},
    redirect::Redirect,
    user::Actor,
};
use crate::{
    daemon::client::{Acting, Client},
    interceptor::RunCa,
    paths::{self, Anchor},
    protocol::{
        ErrorKind, ErrorReply, OpenRun, Request, RunCaKey, RunEvent, RunOpened, RunOptions, Secret,
    },
    trust::{self, Overlay},
};

/// Exit code where authsome failed and not the agent, as env(1) and its kind have it.
const FAILED: u8 = 125;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// What the agent is called where no identity is named; as its program by default.
    pub agent: Option<String>,
    /// The profile it runs in, and the identity it acts as.
    pub acting: Acting,
    /// How its connections are made to arrive at the daemon.
    pub redirect: Redirect,
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
    /// Files that it finds in the directory that covers the home, by their name there.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Where it starts.
    pub cwd: PathBuf,
}

/// An enclosure that has been proven, whose agent has not started.
#[derive(Debug)]
pub struct Ready {
    enclosure: Box<dyn Enclosure>,
    link: Link,
    /// What the probe saw.
    pub probe: ProbeReport,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Builds the enclosure, hands its sockets to the daemon, and proves from inside that nothing else
/// leads out.
///
/// # Errors
/// Whatever failed, with its mend. There is no agent then, and nothing left behind.
pub fn prepare(actor: Actor, plan: Plan) -> Result<Ready, ErrorReply> {
    // Neither to be read nor traced by what we start (prctl(2), PR_SET_DUMPABLE).
    netns::forbid_tracing()
        .map_err(|error| failed(format!("cannot make this process unreadable: {error}")))?;
    let begun = plan.redirect.begin(&actor, &plan)?;
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
    if let Some(error) = opened.not_published.first() {
        return Err(error.clone());
    }

    let program = plan.command.first().map(Path::new);
    let mut seen = plan.env.clone();
    seen.extend(actor.variables().into_iter().map(|(name, value)| (name.into(), value)));
    if let (None, Some(missing)) = (actor.credentials(), trust::missing_directory(&seen)) {
        // Where it cannot be made, browsers will say that they do not trust the run.
        let _ = paths::create_private_dir(&missing);
    }
    let trust_dir = begun.trust_dir(actor.home.root(), &id);
    let mut overlay = Overlay::plan(&trust_dir, &open.ca.certificate, &seen, program);
    overlay.leave(&plan.expose);
    if actor.credentials().is_none() {
        ssh::add_to(&mut overlay);
    }
    let env = Environment { base: &plan.env, actor: &actor, run: &id }
        .compose(&opened, overlay.env.clone());
    let (mut hide, warnings) = hidden::paths(&actor, &plan)?;
    hide.extend(hidden::required(&plan, &opened.hide)?);
    overlay.files.extend(plan.files);
    let keep = [program::names(&plan.env), opened.keep].concat();
    let contents = Contents {
        run: &id,
        actor: &actor,
        home: opened.home,
        command: plan.command,
        env,
        cwd: plan.cwd,
        overlay,
        hide,
        keep,
    };
    let Complete { mut enclosure, listeners, warnings: more } = begun.complete(contents)?;
    let warnings = [opened.warnings, warnings, more].concat();
    let anchor = match actor.credentials() {
        None => Anchor::new(actor.home.root()).ok(),
        Some(_) => None,
    };
    let home = opened.home;
    let acting = Acting { profile: Some(opened.profile), identity: Some(opened.identity) };
    let client = Some(client);
    let mut link = Link { client, listeners, open, acting, actor, home, anchor, stopped: false };
    link.attach()?;
    let probe = enclosure.probe()?;
    Ok(Ready { enclosure, link, probe, warnings })
}

impl Ready {
    /// Lets the agent go and waits for it. Returns its exit code as a shell would report it.
    /// Meanwhile `tell` is told what the daemon says.
    ///
    /// # Errors
    /// The agent could not be executed ([`GoError::code`] tells how), or was lost.
    pub fn go(mut self, tell: &dyn Fn(&RunEvent)) -> Result<u8, GoError> {
        self.link.hear(false, tell);
        self.enclosure.release()?;
        loop {
            let event = match self.link.waker() {
                Ok(waker) => self.enclosure.wait(waker.as_fd())?,
                Err(error) => return Err(lost(format!("cannot wait for the daemon: {error}"))),
            };
            match event {
                Event::Exited(code) => {
                    self.link.keep_home();
                    return Ok(code);
                }
                Event::Extra => self.link.tend(tell),
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

/// An id for a run: 64 random bits in hexadecimal.
///
/// # Errors
/// The kernel's.
pub fn run_id() -> Result<String, ErrorReply> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| failed(format!("the kernel gives no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

fn failed(message: String) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message, hint: None }
}
