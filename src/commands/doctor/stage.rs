//! The run that the doctor examines: as any other, but for its agent. It is a process of its own, since
//! what is not at all of the agent's (standard input and output) is then the doctor's.

use std::{collections::BTreeMap, process::ExitCode};

use crate::{
    commands::{Context, Error},
    doctor::AGENT_ARGUMENT,
    protocol::RunOptions,
    runner::{self, Plan, Redirect},
};

/// What the agent is called, in the audit log and by the policy.
const AGENT: &str = "doctor";

pub(super) fn run(context: &Context) -> Result<ExitCode, Error> {
    let own = std::env::current_exe()
        .map_err(|error| Error::caused("cannot find this program", &error))?;
    let cwd = std::env::current_dir()
        .map_err(|error| Error::caused("cannot tell the current directory", &error))?;
    let plan = Plan {
        command: vec![own.into_os_string(), AGENT_ARGUMENT.into()],
        agent: Some(AGENT.to_owned()),
        acting: context.acting()?,
        options: RunOptions::default(),
        redirect: Redirect::default(),
        host_ports: Vec::new(),
        hide: Vec::new(),
        expose: Vec::new(),
        env: std::env::vars_os().collect::<BTreeMap<_, _>>(),
        files: Vec::new(),
        cwd,
    };
    let ready = runner::prepare(context.actor.clone(), plan)?;
    for warning in &ready.warnings {
        context.output.warning(warning);
    }
    let code =
        ready.go(&|_| {}).map_err(|failure| Error::from(failure.error).with_code(failure.code))?;
    Ok(ExitCode::from(code))
}
