//! `authsome completions`: a script for the shell.

use clap::CommandFactory as _;

use super::Error;
use crate::{
    cli::{Cli, CompletionsArgs},
    output::Output,
};

pub(super) fn completions(args: &CompletionsArgs, output: Output) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "authsome", &mut script);
    Ok(output.raw(&String::from_utf8_lossy(&script))?)
}
