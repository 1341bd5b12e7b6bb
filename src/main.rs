//! The `authsome` program.

use std::{env, ffi::OsString, process::ExitCode};

use authsome::{
    cli::{Cli, usage},
    commands, demo,
    output::{self, Output},
};
use clap::Parser as _;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    #[cfg(target_os = "linux")]
    netns::use_built_in_name_services();
    // The namespace's helper is this binary again; it must come before everything that could start a
    // thread or open a descriptor.
    match args.get(1).and_then(|verb| verb.to_str()) {
        #[cfg(target_os = "linux")]
        Some(netns::HELPER_ARGUMENT) => return netns::helper_main(),
        #[cfg(target_os = "linux")]
        Some(netns::NOTIFY_ARGUMENT) => return netns::notify_main(),
        #[cfg(target_os = "linux")]
        Some(netns::shared::WORKER_ARGUMENT) => return commands::sidecar::worker(&args),
        #[cfg(target_os = "macos")]
        Some(netns::pf::HELPER_ARGUMENT) => return netns::pf::helper_main(),
        #[cfg(target_os = "macos")]
        Some(netns::pf::STAGE_ARGUMENT) => return netns::pf::stage_main(),
        #[cfg(target_os = "macos")]
        Some(netns::pf::PROBE_ARGUMENT) => return netns::pf::probe_main(),
        Some(demo::AGENT_ARGUMENT) => return demo::agent::main(&args),
        #[cfg(target_os = "linux")]
        Some(authsome::doctor::AGENT_ARGUMENT) => return authsome::doctor::main(),
        _ => {}
    }
    match Cli::try_parse_from(&args) {
        Ok(cli) => {
            let output = Output::new(cli.global.json, cli.global.no_color);
            commands::dispatch(cli, output).unwrap_or_else(|error| finish(output, &error))
        }
        Err(error) if error.use_stderr() && !help_was_shown(&error) => {
            let output = Output::new(usage::wants_json(&args), false);
            finish(output, &usage::error(&error, &args))
        }
        Err(help) => show(&help),
    }
}

/// Without a verb, help is what clap prints, but the command has failed all the same.
fn help_was_shown(error: &clap::Error) -> bool {
    error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

fn show(help: &clap::Error) -> ExitCode {
    match help.print() {
        Ok(()) if help.use_stderr() => ExitCode::from(2),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn finish(output: Output, error: &commands::Error) -> ExitCode {
    if matches!(error.output, Some(output::Error::Closed)) {
        return ExitCode::SUCCESS;
    }
    output.error(error.kind, &error.message, error.hint.as_deref());
    error.exit_code()
}
