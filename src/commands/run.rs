//! `authsome run`.

use std::{collections::BTreeMap, process::ExitCode};

use super::{Context, Error, vault};
use crate::{
    cli::RunArgs,
    config::Config,
    protocol::{RunEvent, publish::PublishedPort},
    runner::{self, Plan},
};

/// Runs an agent, and returns its exit code.
///
/// # Errors
///
/// Whatever failed before the agent started.
pub fn run(args: &RunArgs, config: Config, context: &Context) -> Result<ExitCode, Error> {
    start(plan(args, config, context)?, context)
}

/// What the arguments and the configuration say of a run.
pub(super) fn plan(args: &RunArgs, config: Config, context: &Context) -> Result<Plan, Error> {
    let settings =
        config.run.merge(args.settings()).settings(|path| std::fs::read_to_string(path))?;
    let cwd = std::env::current_dir()
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    Ok(Plan {
        command: args.command.clone(),
        agent: None,
        acting: context.acting()?,
        redirect: settings.redirect,
        options: settings.options,
        host_ports: settings.host_ports,
        hide: settings.hide,
        expose: settings.expose,
        env: std::env::vars_os().collect::<BTreeMap<_, _>>(),
        files: Vec::new(),
        cwd,
    })
}

/// Runs what is planned, and returns its exit code.
pub(super) fn start(plan: Plan, context: &Context) -> Result<ExitCode, Error> {
    for path in &plan.expose {
        context.output.warning(format!(
            "{} is exposed: through it the agent may act as you, outside its namespace",
            path.display()
        ));
    }
    let ready = match runner::prepare(context.actor.clone(), plan.clone()) {
        Err(error) if vault::open_for(&error, context)? => {
            runner::prepare(context.actor.clone(), plan)?
        }
        prepared => prepared?,
    };
    for warning in &ready.warnings {
        context.output.warning(warning);
    }
    let code = ready
        .go(&|event| tell(event, context))
        .map_err(|failure| Error::from(failure.error).with_code(failure.code))?;
    Ok(ExitCode::from(code))
}

/// Tells the user what the daemon has to say while the agent runs.
fn tell(event: &RunEvent, context: &Context) {
    let output = &context.output;
    match event {
        RunEvent::Asked { id, request } => {
            output.aside(format!("{request} waits for your approval: authsome approve {id}"));
        }
        RunEvent::Published { port: PublishedPort { port, host_port } } if port == host_port => {
            output.aside(format!("localhost:{host_port} is the agent's"));
        }
        RunEvent::Published { port: PublishedPort { port, host_port } } => {
            output.aside(format!("localhost:{host_port} is the agent's port {port}"));
        }
        RunEvent::NotPublished { host_port, reason } => {
            output.aside(format!("localhost:{host_port} is not the agent's: {reason}"));
        }
        RunEvent::Named { .. } | RunEvent::Stopping => {}
    }
}
