//! Start-up, the accept loop, and shutting down by draining.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::{net::UnixListener, process::CommandExt},
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::Notify,
};

use super::{
    backend::DaemonBackend,
    browser::Browser,
    dial::{Outbound, Settings},
    hold::{Claim, Claimed, Hold},
    lobby, peer,
    report::{Contained, Report, report},
    runs::Runs,
    session,
    system::Signals,
    telemetry, wake,
};
use crate::protocol::{
    ErrorKind, ErrorReply, Status,
    vault::{KeyPlace, VaultState},
};
use crate::{
    audit,
    broker::{ChooseKey, Common, KeyKeeper, OAuthOptions, Profiles},
    dashboard::Dashboard,
    interceptor::{Sockets, Workers},
    paths::{self, Home},
    process::Finder,
    telemetry::otlp::{self, Exporter},
};

/// How long requests that are under way may take when the daemon is told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long what the control side waits for may still take then.
const RUNTIME_LIMIT: Duration = Duration::from_secs(2);
/// Clients served at once; each has a thread.
const MAX_CLIENTS: usize = 1024;

/// How the daemon is to serve.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where things lie.
    pub home: Home,
    /// Where the master key is.
    pub key: KeyPlace,
    /// Has the configuration name another place.
    pub choose_key: ChooseKey,
    /// Start another process that serves, and return: the server then is nobody's child.
    pub detach: bool,
    /// Write the log to the home's file rather than to standard error.
    pub logged: bool,
    /// Port of 127.0.0.1 for browsers; 0: any that is free.
    pub dashboard_port: u16,
    /// Seconds that a request waits for a person where its policy does not say.
    pub ask_seconds: u32,
    /// How the audit log is kept.
    pub audit: audit::Settings,
    /// Says how the daemon's own requests leave.
    pub settings: Settings,
    /// Says where telemetry goes, if anywhere; asked once, when there is a log for what is wrong with it.
    pub telemetry: Arc<dyn Fn() -> Option<otlp::Options> + Send + Sync>,
    /// How it serves in the agent's own network namespace; none: it is not in there.
    pub contained: Option<Contained>,
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions").field("home", &self.home).finish_non_exhaustive()
    }
}

/// What every client's thread shares.
pub(super) struct Shared {
    /// What all profiles share.
    pub(super) common: Arc<Common>,
    pub(super) profiles: Profiles,
    /// The home that it all is for.
    pub(super) hold: Hold,
    pub(super) runs: Runs,
    pub(super) workers: Workers,
    /// Where the sockets of outgoing connections come from.
    pub(super) sockets: Sockets,
    /// Finds out which process made a connection.
    pub(super) finder: Finder,
    pub(super) started: Instant,
    /// Where the control side waits for the network.
    pub(super) runtime: tokio::runtime::Handle,
    /// The audit log's file, for those who read it.
    pub(super) audit_log: PathBuf,
    /// The pages for browsers, or why there are none.
    dashboard: Result<Arc<Dashboard>, String>,
    /// Where they are.
    origin: String,
    stopping: AtomicBool,
    clients: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("profiles", &self.profiles).finish_non_exhaustive()
    }
}

impl Shared {
    /// Begins the shutdown.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // The accept loop waits for signals too; a process may always signal itself.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    }

    /// A link that opens the dashboard of a profile once.
    pub(super) fn dashboard_link(
        &self,
        profile: &str,
        page: Option<&str>,
    ) -> Result<String, ErrorReply> {
        match &self.dashboard {
            Ok(dashboard) => Ok(dashboard.link(profile, page)),
            Err(why) => Err(unavailable(
                format!("there is no dashboard: {why}"),
                Some("set `dashboard_port` in config.toml, then authsome daemon stop".to_owned()),
            )),
        }
    }

    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            runs: self.runs.views(),
            master_key: self.common.key_place().as_str().to_owned(),
            vault: VaultState::Open,
            dashboard: self.dashboard.is_ok().then(|| self.origin.clone()),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Serves until told to stop. Reports on standard output whether it could start.
///
/// # Errors
/// Whatever kept it from serving; the same has been reported.
pub fn serve(options: &ServeOptions) -> Result<(), ErrorReply> {
    if options.detach {
        return detach();
    }
    let report = |said: &Report<'_>| report(options.contained.as_ref(), said);
    match Server::bind(options) {
        Ok(Start::Serving(server)) => {
            if !server.announced || options.contained.is_some() {
                report(&Report::Ready);
            }
            server.run();
            Ok(())
        }
        Ok(Start::Stopped) => Ok(()),
        Ok(Start::Taken) => {
            report(&Report::AlreadyRunning);
            Ok(())
        }
        Err(error) => {
            report(&Report::Error(&error));
            Err(error)
        }
    }
}

fn detach() -> Result<(), ErrorReply> {
    netns::ourselves()
        .and_then(|program| {
            Command::new(program).arg0("authsome").args(["daemon", "serve", "--logged"]).spawn()
        })
        .map(drop)
        .map_err(|error| unavailable(format!("cannot start the daemon: {error}"), None))
}

fn unavailable(message: String, hint: Option<String>) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Unavailable, message, hint }
}

/// How a start came out.
enum Start {
    /// It serves.
    Serving(Box<Server>),
    /// Another daemon holds the home.
    Taken,
    /// It was told to stop before it had the passphrase.
    Stopped,
}

/// Started means bound: lock held, audit log open, socket listening. The default profile's vault, which
/// keeps the log's key, is open then if it can be; each other is opened when it is first needed, so that
/// one that cannot be costs no other.
struct Server {
    /// Said to be ready when it began to wait for the passphrase.
    announced: bool,
    shared: Arc<Shared>,
    listener: UnixListener,
    signals: Signals,
    home: Home,
    runtime: Runtime,
    /// Ends the dashboard.
    no_more: Arc<Notify>,
    telemetry: Option<Exporter>,
    _lock: File,
}

impl Server {
    fn bind(options: &ServeOptions) -> Result<Start, ErrorReply> {
        let home = options.home.clone();
        // Before a home is made that takes the place of another.
        let claimed = match options.contained {
            None => Claim::take(&home)?,
            Some(_) => Claimed::Ours(Claim::none()),
        };
        let Claimed::Ours(claim) = claimed else { return Ok(Start::Taken) };
        home.ensure().map_err(|error| unavailable(error.to_string(), error.hint()))?;
        let io_error = |what: &str| {
            let what = what.to_owned();
            move |error: &dyn fmt::Display| {
                unavailable(format!("cannot start the daemon: {what}: {error}"), None)
            }
        };
        let lock = paths::append_private(&home.daemon_lock())
            .map_err(|error| io_error("its lock file")(&error))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Start::Taken),
            Err(error) => return Err(io_error("its lock file")(&error)),
        }
        if options.logged {
            let log = paths::append_private(&home.daemon_log())
                .map_err(|error| io_error("its log")(&error))?;
            rustix::stdio::dup2_stderr(&log).map_err(|error| io_error("its log")(&error))?;
        }
        // Own session, so that the terminal's signals and hang-up are not ours; unreadable to other
        // processes of the user (prctl(2), PR_SET_DUMPABLE); a umask that lets nobody else read.
        let _ = rustix::process::setsid();
        netns::forbid_tracing().map_err(|error| io_error("making itself unreadable")(&error))?;
        paths::private_umask();
        raise_descriptor_limit();
        let signals = Signals::block().map_err(|error| io_error("signals")(&error))?;

        let hold = Hold::new(&home, claim).map_err(|error| io_error("its home")(&error))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(|error| io_error("its runtime")(&error))?;
        let sockets = options.contained.as_ref().map(|contained| contained.sockets.clone());
        let sockets = sockets.unwrap_or_default();
        let browser = match &options.contained {
            Some(contained) if !contained.dashboard => Browser::none(),
            Some(_) | None => Browser::bind(options.dashboard_port),
        };
        let keeper = Arc::new(KeyKeeper::new(&home, options.key, Arc::clone(&options.choose_key)));
        let open = {
            let (home, keeper, audit) = (home.clone(), Arc::clone(&keeper), options.audit);
            let oauth = OAuthOptions {
                runtime: runtime.handle().clone(),
                network: Arc::new(Outbound::new(Arc::clone(&options.settings), sockets.clone())),
                redirect_uri: browser.redirect_uri(),
                unreachable: browser.problem.clone(),
            };
            move || Common::open(&home, &keeper, audit, oauth.clone())
        };
        let state = keeper.state()?;
        let announced = state != VaultState::Open;
        let (common, listener) = if announced {
            let listener = bind_socket(&home).map_err(|error| io_error("its socket")(&error))?;
            if options.contained.is_none() {
                report(None, &Report::Ready);
            }
            let unlock = unlock(keeper, open);
            let waited = lobby::wait(&listener, &signals, &hold, state, unlock);
            let Some(common) = waited.map_err(|error| io_error("its passphrase")(&error))? else {
                let _ = std::fs::remove_file(home.daemon_socket());
                return Ok(Start::Stopped);
            };
            (common, Some(listener))
        } else {
            (open()?, None)
        };
        common.asks().set_limit(options.ask_seconds);
        let telemetry = (options.telemetry)().and_then(|to| {
            telemetry::start(to, &options.settings, &sockets, runtime.handle(), &common)
        });
        let workers =
            Workers::start(worker_count()).map_err(|error| io_error("its workers")(&error))?;
        let finder = Finder::start().map_err(|error| io_error("its workers")(&error))?;
        let listener = match listener {
            Some(listener) => listener,
            None => bind_socket(&home).map_err(|error| io_error("its socket")(&error))?,
        };
        let Browser { listener: for_browsers, port, problem } = browser;
        let sessions = home.dashboard_sessions();
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            dashboard: match problem {
                Some(problem) => Err(problem),
                None => {
                    let backend = Arc::new(DaemonBackend::new(Weak::clone(shared)));
                    Ok(Arc::new(Dashboard::new(backend, sessions, port)))
                }
            },
            origin: format!("http://127.0.0.1:{port}"),
            audit_log: home.audit_log(),
            profiles: Profiles::new(&common),
            common,
            hold,
            runs: Runs::default(),
            workers,
            sockets,
            finder,
            started: Instant::now(),
            runtime: runtime.handle().clone(),
            stopping: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
        });
        let no_more = Arc::new(Notify::new());
        if let (Ok(dashboard), Some(for_browsers)) = (&shared.dashboard, for_browsers) {
            let dashboard = Arc::clone(dashboard);
            let no_more = Arc::clone(&no_more);
            let _in_runtime = runtime.enter();
            let for_browsers = TcpListener::from_std(for_browsers)
                .map_err(|error| io_error("the dashboard")(&error))?;
            drop(runtime.spawn(async move {
                dashboard.serve(for_browsers, no_more.notified()).await;
            }));
        }
        finish_rotations(&shared);
        Ok(Start::Serving(Box::new(Self {
            announced,
            shared,
            listener,
            signals,
            home,
            runtime,
            no_more,
            telemetry,
            _lock: lock,
        })))
    }

    fn run(self) {
        tracing::info!(pid = std::process::id(), "serving");
        while !self.shared.is_stopping() {
            let hold = &self.shared.hold;
            let woken = wake::wait(&self.listener, &self.signals, hold, None);
            let Some(wake::Woken { client, signal, moved, claimed, .. }) = woken else { break };
            if signal {
                break;
            }
            if moved {
                // What cannot be put back is logged, and whoever begins a run is told.
                let _ = hold.check(self.shared.runs.any());
            }
            if claimed && hold.answer(self.shared.runs.any()) {
                tracing::info!("the home is gone");
                break;
            }
            if client {
                self.accept();
            }
        }
        tracing::info!("draining");
        // The socket goes first: a command that comes now starts the next daemon when we are gone.
        let _ = std::fs::remove_file(self.home.daemon_socket());
        self.no_more.notify_one();
        self.shared.runs.tell_stopping();
        // Nobody waits for a person now.
        self.shared.common.asks().close();
        self.shared.workers.drain(DRAIN_LIMIT);
        // Records that wait for it are in the log before that is closed.
        self.shared.finder.stop();
        self.shared.common.close();
        if let Some(telemetry) = self.telemetry {
            self.runtime.block_on(telemetry.close());
        }
        self.runtime.shutdown_timeout(RUNTIME_LIMIT);
        tracing::info!("stopped");
    }

    fn accept(&self) {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                // Out of descriptors, most likely; without a pause this loop would spin.
                std::thread::sleep(Duration::from_millis(50));
                return;
            }
        };
        if let Err(error) = peer::check(&stream) {
            tracing::warn!(cause = ?std::error::Error::source(&error), "refused {error}");
            return;
        }
        if self.shared.clients.fetch_add(1, Ordering::AcqRel) >= MAX_CLIENTS {
            self.shared.clients.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!("refused a client: {MAX_CLIENTS} are connected");
            return;
        }
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new().name("client".to_owned()).spawn(move || {
            // The count goes down even if the session panics.
            let count = ClientCount(&shared);
            session::serve(&shared, stream);
            drop(count);
        });
        if let Err(error) = spawned {
            self.shared.clients.fetch_sub(1, Ordering::AcqRel);
            tracing::warn!(%error, "cannot serve a client");
        }
    }
}

/// What opens the vault with a passphrase; where nothing was opened, no key is left behind.
fn unlock(
    keeper: Arc<KeyKeeper>,
    open: impl Fn() -> Result<Arc<Common>, ErrorReply> + Send + Sync + 'static,
) -> lobby::Unlock {
    Box::new(move |passphrase| {
        keeper.unlock(passphrase).inspect_err(|error| {
            tracing::warn!(error = error.message, "the vault stays locked");
        })?;
        let opened = open().and_then(|common| common.note_unlock().map(|()| common));
        opened.inspect_err(|_| keeper.forget())
    })
}

/// Completes beside the serving what an earlier daemon could not: everything can be read meanwhile.
fn finish_rotations(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let spawned = std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || shared.profiles.finish_rotations());
    if let Err(error) = spawned {
        tracing::warn!(%error, "keys are not looked at");
    }
}

struct ClientCount<'a>(&'a Shared);

impl Drop for ClientCount<'_> {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

/// As many workers as the machine runs at once.
fn worker_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Each agent connection takes two descriptors; the usual soft limit of 1024 is soon met.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A socket file left by a daemon that was killed is replaced: the lock says that nobody serves it.
fn bind_socket(home: &Home) -> io::Result<UnixListener> {
    let path = home.daemon_socket();
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    UnixListener::bind(path)
}
