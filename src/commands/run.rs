//! `authsome run`.

use std::{collections::BTreeMap, process::ExitCode};

use super::{Context, Error, vault};
use crate::{
    cli::RunArgs,
    config::Config,
    runner::{self, Plan},
};

/// Runs an agent, and returns its exit code.
///
/// # Errors
///
/// Whatever failed before the agent started.
pub fn run(args: &RunArgs, config: Config, context: &Context) -> Result<ExitCode, Error> {
    let settings =
        config.run.merge(args.settings()).settings(|path| std::fs::read_to_string(path))?;
    let cwd = std::env::current_dir()
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    let plan = Plan {
        command: args.command.clone(),
        agent: None,
        acting: context.acting()?,
        options: settings.options,
        host_ports: settings.host_ports,
        hide: settings.hide,
        expose: settings.expose,
        env: std::env::vars_os().collect::<BTreeMap<_, _>>(),
        cwd,
    };
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
    let waits = |id: &str, request: &str| {
        context.output.aside(format!("{request} waits for your approval: authsome approve {id}"));
    };
    let code =
        ready.go(&waits).map_err(|failure| Error::from(failure.error).with_code(failure.code))?;
    Ok(ExitCode::from(code))
}
