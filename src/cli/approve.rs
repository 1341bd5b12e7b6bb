//! Verbs about requests that wait for a person.

use std::convert::Infallible;

use clap::{Args, ValueEnum};

/// A waiting request in JSON, as both verbs have it.
macro_rules! ask_json {
    () => {
        "{id, agent, user, profile, run, command, connection, method, host, port, path, policy, \
         reason,\n      count, asked_at, expires_at, seconds_left}"
    };
}

const APPROVE: &str = concat!(
    "\
A policy can hold a request until you have seen it; nothing is sent meanwhile, and when nobody answers
in time it is refused. Without ID: what is waiting. Equal requests wait together (count).

Examples:
  authsome approve                      what is waiting
  authsome approve k7f2                 let it pass, this once
  authsome approve k7f2 --for run       and the same request until its run ends
  authsome approve --watch              ask about each as it comes
  authsome deny k7f2 --reason \"not on a Friday\"

\"The same request\" has the same agent, connection, method, host, path and policy.
Exit code 3 if nothing of that id is waiting: it was answered, timed out or is gone.
JSON: {v, asks: [ASK]}; with ID {v, ask: ASK, answer: once|run|always};
      with --watch one object a line, {v, ask: ASK} as it begins to wait and {v, ended: ID} after.
      ASK: ",
    ask_json!()
);

/// How far an approval goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Extent {
    /// What is waiting, and no more
    Once,
    /// The same request, until its run ends
    Run,
    /// The same request, from now on: adds a rule to your policy
    Always,
}

/// Arguments of `approve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = APPROVE)]
pub struct ApproveArgs {
    /// Which request; without: show what is waiting
    #[arg(value_name = "ID", value_parser = id)]
    pub id: Option<String>,
    /// What is approved
    #[arg(long = "for", value_name = "EXTENT", value_enum, default_value_t = Extent::Once, requires = "id")]
    pub extent: Extent,
    /// Wait for requests; at a terminal, ask about each
    #[arg(short, long, conflicts_with = "id")]
    pub watch: bool,
}

/// Arguments of `deny`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "Exit code 3 if nothing of that id is waiting: it was answered, timed out or is gone.\n\
     JSON: {v, ask: ASK, answer: deny}; ASK: ", ask_json!()
))]
pub struct DenyArgs {
    /// Which request, as `authsome approve` shows it
    #[arg(value_name = "ID", value_parser = id)]
    pub id: String,
    /// Why, for the agent to read
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Ids have no capital letters, whatever a keyboard makes of them.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
fn id(text: &str) -> Result<String, Infallible> {
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(args: &[&str]) -> Result<ApproveArgs, clap::Error> {
        let cli = Cli::try_parse_from(["authsome", "approve"].iter().chain(args))?;
        let Command::Approve(args) = cli.command else { panic!("not approve") };
        Ok(args)
    }

    #[test]
    fn an_approval_is_for_once_unless_it_says_more() {
        assert_eq!(parse(&["K7F2"]).unwrap().extent, Extent::Once);
        let always = parse(&["k7f2", "--for", "always"]).unwrap();
        assert_eq!((always.id.as_deref(), always.extent), (Some("k7f2"), Extent::Always));
    }

    #[test]
    fn an_extent_without_a_request_is_an_error() {
        assert!(parse(&["--for", "run"]).is_err());
        assert!(parse(&["k7f2", "--watch"]).is_err());
        assert!(parse(&["--watch"]).unwrap().watch);
    }
}
