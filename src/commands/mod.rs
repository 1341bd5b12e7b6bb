//! The verbs, one file each, and what they share.
//!
//! A verb is a function from its arguments and a [`Context`] to a result on standard output or an
//! [`Error`]. It asks the daemon for everything about connections, and opens neither vault nor network
//! itself.

mod approve;
mod collector;
mod completions;
mod daemon;
pub mod demo;
#[cfg(target_os = "linux")]
pub mod doctor;
mod error;
mod export;
mod export_format;
mod get;
mod identity;
mod import;
mod init;
mod inspect;
mod list;
mod log;
mod login;
mod logout;
mod manual;
mod policy;
mod profile;
mod register;
mod remove;
mod revoke;
pub mod run;
mod scan;
pub mod serve;
mod set_default;
mod shell;
#[cfg(target_os = "linux")]
pub mod sidecar;
mod store;
#[cfg(target_os = "linux")]
mod trust;
mod ui;
mod vault;
mod whoami;

use std::{env, process::ExitCode, sync::Arc};

pub use self::error::Error;
pub(crate) use crate::protocol::chain;
use crate::{
    cli::{Cli, Command, DaemonCommand, Global},
    config::Config,
    daemon::client::{Acting, Client},
    output::Output,
    paths::Home,
    protocol::{self, ConnectionView, ErrorKind, Request},
    provider::{AuthType, Definition, Registry},
    runner::Actor,
};

/// What every verb is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whom the command acts for: under sudo, the user who called it.
    pub actor: Actor,
    /// Where their things lie.
    pub home: Home,
    /// Where results and messages go.
    pub output: Output,
    /// Say more on standard error.
    pub verbose: bool,
    /// What the flags and the environment say of profile and identity.
    pub named: Acting,
}

impl Context {
    /// What `config.toml` says.
    ///
    /// # Errors
    ///
    /// Names file, line and mend if it means nothing.
    pub fn config(&self) -> Result<Config, Error> {
        Ok(Config::load(&self.home.config())?)
    }

    /// In which profile, and as which agent, the command acts. Without any word the profile is the one
    /// that the daemon holds to be in use.
    ///
    /// # Errors
    ///
    /// As [`Context::config`].
    pub fn acting(&self) -> Result<Acting, Error> {
        let Acting { profile, identity } = self.named.clone();
        let profile = profile.or(self.config()?.profile).filter(|name| !name.is_empty());
        Ok(Acting { profile, identity })
    }

    /// The daemon, started if it is not running.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if it does not answer.
    pub fn client(&self) -> Result<Client, Error> {
        self.client_with(&[])
    }

    /// The same; one that is started gets these variables too.
    ///
    /// # Errors
    ///
    /// As [`Context::client`].
    pub fn client_with(&self, variables: &[String]) -> Result<Client, Error> {
        // Said here, with its line, rather than in the log of a daemon that could not start.
        let acting = self.acting()?;
        self.home.ensure_if_present()?;
        Ok(vault::open(Client::connect_or_start_with(&self.home, variables)?, self)?.acting(acting))
    }

    /// Bundled and custom definitions; warns of custom ones that cannot be used.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let (registry, problems) = Registry::load(Some(&self.home.providers()));
        for problem in problems {
            let message = chain(&problem.error);
            match problem.error.hint() {
                Some(hint) => self.output.warning(format!("{message} ({hint})")),
                None => self.output.warning(message),
            }
        }
        registry
    }

    /// Tells a running daemon that definitions changed; one that starts later reads them anyway.
    ///
    /// # Errors
    ///
    /// What the daemon says.
    pub fn reload_providers(&self) -> Result<(), Error> {
        if let Some(mut client) = Client::connect(&self.home)? {
            client.call::<()>(Request::ReloadProviders)?;
        }
        Ok(())
    }
}

/// Carries out a command line.
///
/// # Errors
///
/// What ended the verb; its [`Error::exit_code`] is the program's.
pub fn dispatch(cli: Cli, output: Output) -> Result<ExitCode, Error> {
    if let Command::Completions(args) = &cli.command {
        return completions::completions(args, output).map(|()| ExitCode::SUCCESS);
    }
    if let Command::Manual(args) = &cli.command {
        return manual::manual(args, output).map(|()| ExitCode::SUCCESS);
    }
    let actor = Actor::resolve(&env::vars_os().collect())?;
    // What builds a namespace can do so as root, for the user behind sudo. All else the user does.
    // On macOS a helper is root, and is started by the run itself.
    let needs_root = matches!(
        cli.command,
        Command::Run(_) | Command::Shell(_) | Command::Doctor(_) | Command::Sidecar(_)
    );
    if cfg!(target_os = "macos") || !needs_root {
        actor.become_user()?;
        #[cfg(target_os = "linux")]
        crate::sidecar::enter(&actor.home)?;
    }
    let Global { profile, identity, verbose, .. } = cli.global;
    let named = Acting { profile: profile.filter(|name| !name.is_empty()), identity };
    let context = Context { home: actor.home.clone(), actor, output, verbose, named };
    let context = &context;
    match cli.command {
        Command::Run(args) => {
            // A bad configuration is a usage error, as a bad flag is.
            let config = context.config()?;
            return run::run(&args, config, context).map_err(|error| error.or_code(125));
        }
        Command::Shell(args) => {
            return shell::shell(args, context).map_err(|error| error.or_code(125));
        }
        #[cfg(target_os = "linux")]
        Command::Doctor(args) => return doctor::doctor(&args, context),
        #[cfg(target_os = "linux")]
        Command::Sidecar(args) => return sidecar::guard(&args, context),
        // What they look at and make are namespaces.
        #[cfg(not(target_os = "linux"))]
        Command::Doctor(_) | Command::Sidecar(_) | Command::Trust(_) => {
            return Err(Error::new(ErrorKind::Unavailable, "this is for Linux alone".to_owned())
                .hint(
                    "a run proves its way before the agent starts: authsome run -- true".to_owned(),
                ));
        }
        Command::Demo(args) => return demo::demo(&args, context),
        Command::Import(args) => return import::import(&args, context),
        Command::Login(args) => login::login(args, context),
        Command::List(args) => list::list(&args, context),
        Command::Inspect(args) => inspect::inspect(&args, context),
        Command::Get(args) => get::get(args, context),
        Command::Export(args) => export::export(args, context),
        Command::SetDefault(args) => set_default::set_default(args, context),
        Command::Logout(args) => logout::logout(args, context),
        Command::Revoke(args) => revoke::revoke(args, context),
        Command::Remove(args) => remove::remove(&args, context),
        Command::Register(args) => register::register(&args, context),
        Command::Scan(args) => scan::scan(&args, context),
        Command::Approve(args) => approve::approve(args, context),
        Command::Deny(args) => approve::deny(args, context),
        Command::Identity(args) => identity::identity(args.command, context),
        Command::Profile(args) => profile::profile(args.command, context),
        #[cfg(target_os = "linux")]
        Command::Trust(args) => trust::trust(&args, context),
        Command::Ui(args) => ui::ui(&args, context),
        Command::Whoami(_) => whoami::whoami(context),
        Command::Log(args) => log::log(&args, context),
        Command::Policy(args) => policy::policy(&args, context),
        Command::Vault(args) => vault::vault(args, context),
        Command::Daemon(args) => match args.command {
            DaemonCommand::Serve(args) => serve::serve(&args, context),
            DaemonCommand::Start => daemon::start(context),
            DaemonCommand::Stop => daemon::stop(context),
            DaemonCommand::Status => daemon::status(context),
            DaemonCommand::Logs(args) => daemon::logs(&args, context),
        },
        Command::Init(_) => init::init(context),
        Command::Completions(args) => completions::completions(&args, output),
        Command::Manual(args) => manual::manual(&args, output),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// The definition of `name`, or an error that suggests another.
fn definition<'r>(registry: &'r Registry, name: &str) -> Result<&'r Arc<Definition>, Error> {
    registry.get(name).ok_or_else(|| {
        let hint = match registry.closest(name) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "authsome list --all shows them; authsome register adds one".to_owned(),
        };
        Error::new(ErrorKind::NotFound, format!("no provider is called `{name}`")).hint(hint)
    })
}

/// The connections of one provider, or of all.
fn connections(client: &mut Client, provider: Option<&str>) -> Result<Vec<ConnectionView>, Error> {
    let provider = provider.map(str::to_owned);
    Ok(client.call(Request::Connections { provider })?)
}

/// `provider/connection`.
fn full_name(view: &ConnectionView) -> String {
    format!("{}/{}", view.provider, view.connection)
}

/// What connects it again.
fn login_command(view: &ConnectionView) -> String {
    format!("{} --force", protocol::login_command(&view.provider, &view.connection))
}

/// Hosts of a definition, for people.
fn hosts(definition: &Definition) -> Vec<String> {
    definition.hosts.iter().map(ToString::to_string).collect()
}

/// What a provider asks for, for people.
fn login_kind(definition: &Definition) -> &'static str {
    match definition.auth_type {
        AuthType::ApiKey => "key",
        AuthType::OAuth2 => "oauth2",
    }
}

/// `1 connection`, `2 connections`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
