//! `authsome sidecar`: the guard, and the worker that it starts with the same command line.

pub(super) mod credentials;

use std::{
    env,
    ffi::{OsStr, OsString},
    num::NonZeroU32,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use clap::Parser as _;
use netns::shared::{Options, User, WorkerEnd};
use serde_json::json;

use super::{Context, Error, full_name, serve};
use crate::{
    cli::{Cli, Command, Names, SidecarArgs},
    config::run::RunConfig,
    daemon::{self, Contained, ServeOptions, client::Client},
    interceptor::Sockets,
    output::Output,
    paths::Home,
    protocol::{Egress, ErrorKind, ListenerKind, Request, RunOptions},
    runner::Actor,
    sidecar::{self, Marked, Opening, Place, Plan, is_ready},
    telemetry,
};

/// Where things lie if no home is named: gone with the container.
const EPHEMERAL: &str = "authsome-sidecar";

/// Guards until it is told to stop; or only says whether somebody does.
///
/// # Errors
///
/// What keeps it from guarding. Port 443 is then closed, if it was before, or the rules were put in
/// place.
pub fn guard(args: &SidecarArgs, context: &Context) -> Result<ExitCode, Error> {
    if args.ready {
        return Ok(if is_ready(&args.trust_dir) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let context = &at_home(context);
    let user = User { uid: args.user.0, gid: args.user.1 };
    sidecar::become_user(user, context.home.root(), &args.trust_dir)?;
    // Everything that can be wrong with the command line is said before anything is closed.
    let options = options(args, context)?;
    credentials::check(args, context)?;
    roots(args)?;
    let plan = Plan {
        options: Options {
            mark: mark()?,
            port: args.port,
            names: args.dns == Names::Capture,
            strict: options.egress == Egress::Providers,
        },
        user,
        args: env::args_os().skip(1).collect(),
        env: vec![("AUTHSOME_HOME", context.home.root().into())],
    };
    let code = sidecar::guard(&plan, &|what| context.output.warning(what))?;
    Ok(ExitCode::from(code))
}

/// The worker: called with the guard's command line behind its own first argument.
#[must_use]
pub fn worker(args: &[OsString]) -> ExitCode {
    let end = WorkerEnd::take();
    let line = args.iter().take(1).chain(args.iter().skip(2));
    let (output, done) = match Cli::try_parse_from(line) {
        Ok(Cli { global, command: Command::Sidecar(args) }) => {
            let output = Output::new(global.json, global.no_color);
            let context = Actor::resolve(&env::vars_os().collect()).map(|actor| Context {
                home: actor.home.clone(),
                actor,
                output,
                verbose: global.verbose,
                named: daemon::client::Acting {
                    profile: global.profile,
                    identity: global.identity,
                },
            });
            let done = end
                .map_err(|error| Error::caused("cannot begin", &error))
                .and_then(|end| work(&args, &context?, end));
            (output, done)
        }
        // The guard has read the same line and found nothing wrong with it.
        Ok(_) | Err(_) => return ExitCode::from(2),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(error.kind, &error.message, error.hint.as_deref());
            error.exit_code()
        }
    }
}

/// Serves until told to stop.
fn work(args: &SidecarArgs, context: &Context, mut end: WorkerEnd) -> Result<(), Error> {
    let place = Place {
        directory: args.trust_dir.clone(),
        shown: args.shown().clone(),
        roots: roots(args)?,
    };
    place.not_ready();
    let flags = args.settings();
    let run = options(args, context)?;
    let listeners = end.take_listeners();
    let no_thread = |error| Error::caused("cannot start a thread", &error);
    let marked = Arc::new(Marked::start(end).map_err(no_thread)?);
    let (serving, served) = channel();
    let (failed, failure) = channel();
    let served_by = ServeOptions {
        contained: Some(Contained {
            sockets: Sockets::From { source: marked.clone(), names: args.dns == Names::Capture },
            dashboard: args.dashboard,
            serving,
        }),
        ..serve::options(context, Some(network(&flags)))?
    };
    telemetry::start(context.verbose);
    let (args, context) = (args.clone(), context.clone());
    let opener = Opener { args, context, run, place, listeners, marked };
    thread::Builder::new()
        .name("run".to_owned())
        .spawn(move || opener.open_and_hold(&served, &failed))
        .map_err(no_thread)?;
    daemon::serve(&served_by)?;
    // Not joined: it holds the run for as long as there is this process.
    failure.try_recv().map_or(Ok(()), Err)
}

/// Of a run's flags those that are about how the daemon itself reaches providers.
fn network(flags: &RunConfig) -> RunConfig {
    RunConfig {
        resolve: flags.resolve.clone(),
        upstream_ca: flags.upstream_ca.clone(),
        ..RunConfig::default()
    }
}

/// What the worker's second thread does.
struct Opener {
    args: SidecarArgs,
    context: Context,
    run: RunOptions,
    place: Place,
    listeners: Vec<(ListenerKind, std::os::fd::OwnedFd)>,
    marked: Arc<Marked>,
}

impl Opener {
    fn open_and_hold(self, served: &Receiver<()>, failed: &Sender<Error>) {
        if served.recv().is_err() {
            // The daemon did not start, and says why.
            return;
        }
        let home = self.context.home.clone();
        if let Err(error) = self.open() {
            // Who waits for it is this process's main thread, which it outlives.
            let _ = failed.send(error);
            // Without a run there is nothing to serve.
            if let Ok(Some(mut client)) = Client::connect(&home) {
                let _ = client.call::<()>(Request::Stop);
            }
        }
    }

    fn open(self) -> Result<(), Error> {
        let Self { args, context, run, place, listeners, marked } = self;
        let connected = credentials::connect(&args, &context, &mut client(&context)?)?;
        let opening = Opening {
            home: &context.home,
            options: run,
            place: &place,
            listeners: &listeners,
            marked: &marked,
        };
        let opened = sidecar::open(opening, client(&context)?)?;
        // The daemon's workers have duplicates; ours would keep the port open when they are gone.
        drop(listeners);
        for warning in &opened.warnings {
            context.output.warning(warning);
        }
        let names = super::connections(&mut client(&context)?, None)?;
        let names: Vec<_> = names.iter().map(full_name).collect();
        let probed: Vec<_> = opened.probed.iter().map(ToString::to_string).collect();
        let members = json!({
            "status": "ready",
            "probed": probed,
            "connections": names,
            "stored": connected,
            "trust_dir": args.trust_dir,
        });
        context.output.result(members, |text| {
            let connections = match names.as_slice() {
                [] => "nothing is connected".to_owned(),
                names => names.join(", "),
            };
            text.line(format!("Ready. Port 443 of this network is redirected: {connections}."));
        })?;
        opened.hold(&|id, request| {
            context
                .output
                .aside(format!("{request} waits for your approval: authsome approve {id}"));
        });
        Ok(())
    }
}

fn client(context: &Context) -> Result<Client, Error> {
    let client = Client::connect(&context.home)?
        .ok_or_else(|| Error::new(ErrorKind::Unavailable, "the daemon has ended"))?;
    Ok(client.acting(context.acting()?))
}

/// The arguments of the sidecar that process `pid` guards, if that is what it does.
pub(super) fn guarded_by(pid: u32) -> Option<SidecarArgs> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let words = line.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let Command::Sidecar(args) = Cli::try_parse_from(words).ok()?.command else { return None };
    (!args.ready).then_some(args)
}

/// What the agent may reach.
pub(super) fn options(args: &SidecarArgs, context: &Context) -> Result<RunOptions, Error> {
    let settings = context.config()?.run.merge(args.settings());
    Ok(settings.settings(|path| std::fs::read_to_string(path))?.options)
}

/// The roots that were named.
fn roots(args: &SidecarArgs) -> Result<Option<String>, Error> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map_err(|error| Error::caused(format_args!("cannot read {}", path.display()), &error))
    };
    args.roots.as_deref().map(read).transpose()
}

/// The context with a home that is named, or one that goes with the container.
fn at_home(context: &Context) -> Context {
    let home = home(context);
    if home != context.home {
        context.output.warning(format!(
            "AUTHSOME_HOME is not set: what is stored in {} goes with the container",
            home.root().display()
        ));
    }
    Context { home, ..context.clone() }
}

/// A sidecar's home: one that is named, or one that goes with the container.
pub(super) fn home(context: &Context) -> Home {
    if env::var_os("AUTHSOME_HOME").is_some_and(|home| !home.is_empty()) {
        return context.home.clone();
    }
    Home::at(env::temp_dir().join(EPHEMERAL))
}

/// A mark that nobody has to keep secret: only who may load rules can set one.
fn mark() -> Result<NonZeroU32, Error> {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::failed(format!("the kernel gives no random numbers: {error}")))?;
    Ok(NonZeroU32::new(u32::from_ne_bytes(bytes)).unwrap_or(NonZeroU32::MAX))
}

/// Is a variable one whose value the worker must find later?
fn is_set(name: &str) -> bool {
    env::var_os(OsStr::new(name)).is_some()
}
