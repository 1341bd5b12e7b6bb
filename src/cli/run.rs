//! `authsome run`.

use std::{
    ffi::OsString,
    path::{self, PathBuf},
};

use clap::Args;

use crate::{
    config::{run::RunConfig, values},
    protocol::{Egress, EnvFrom, HostPort, ResolveRule, publish::Publish},
    runner::Redirect,
};

const HELP: &str = "\
The agent gets its own network namespace. Its requests to hosts that a provider claims carry your
credential; the agent never holds it. The exit code is the agent's own.

Where a provider has several connections, the placeholders of the others are in variables that
end in their name (GITHUB_TOKEN_WORK). A request gets the connection whose placeholder it holds,
else the one that its header `Authsome-Connection: github/work` names, else that of --connection,
else the default.

Each flag is also a key of [run] in $AUTHSOME_HOME/config.toml (connection, env, egress, redirect,
allow, resolve, upstream_ca, host_port, publish, expose, hide); flags extend its lists and replace its
values.

Examples:
  authsome run -- claude
  authsome run --connection github=work --egress providers -- ./agent --its-own-flags
  authsome run --hide ~/.aws --host-port 5432 -- python agent.py
  authsome run --publish auto -- codex      # its dev servers, callbacks of its logins

Standard output is the agent's; with --json only authsome's own errors are JSON.";

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = HELP,
    override_usage = "authsome run [OPTIONS] -- CMD [ARG]..."
)]
pub struct RunArgs {
    /// Use this connection of a provider (repeatable)
    #[arg(long, value_name = "PROVIDER=NAME", value_parser = values::connection)]
    pub connection: Vec<(String, String)>,
    /// Set a variable to a connection's placeholder: that of its first secret, or of FIELD (repeatable)
    #[arg(long, value_name = "NAME=PROVIDER/CONNECTION[:FIELD]", value_parser = values::env)]
    pub env: Vec<EnvFrom>,
    /// Hosts no provider claims: `open` passes them through, `providers` refuses them
    #[arg(long, value_name = "open|providers", value_parser = values::egress)]
    pub egress: Option<Egress>,
    /// How connections are redirected: `auto`, or a way of this system's. On Linux `namespace`, and `seccomp`,
    /// which needs no namespace, is slower and hides less; on macOS `pf` and `proxy`
    #[arg(long, value_name = "WAY", value_parser = values::redirect)]
    pub redirect: Option<Redirect>,
    /// Let the agent reach this host whatever --egress says (repeatable)
    #[arg(long, value_name = "HOST[:PORT]", value_parser = values::host_port)]
    pub allow: Vec<HostPort>,
    /// Dial this address for a host, as curl's --resolve; `*` is any host (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDR[:PORT]", value_parser = values::resolve)]
    pub resolve: Vec<ResolveRule>,
    /// Also trust these roots of upstream servers, PEM (repeatable)
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Vec<PathBuf>,
    /// Offer this port of the host's loopback to the agent (repeatable)
    #[arg(long, value_name = "PORT", value_parser = values::port)]
    pub host_port: Vec<u16>,
    /// Show this port of the agent's on the host's loopback, there called HOSTPORT; `auto`: whatever it
    /// listens on, for as long as it does (repeatable)
    #[arg(long, value_name = "PORT[:HOSTPORT]|auto", value_parser = values::publish)]
    pub publish: Vec<Publish>,
    /// Give back a path that is hidden by default (repeatable)
    #[arg(long, value_name = "PATH")]
    pub expose: Vec<PathBuf>,
    /// Hide one more path from the agent (repeatable)
    #[arg(long, value_name = "PATH")]
    pub hide: Vec<PathBuf>,
    /// The agent and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
}

impl RunArgs {
    /// The flags as settings, paths made absolute.
    #[must_use]
    pub fn settings(&self) -> RunConfig {
        RunConfig {
            connection: self.connection.iter().cloned().collect(),
            env: self.env.clone(),
            egress: self.egress,
            redirect: self.redirect,
            allow: self.allow.clone(),
            resolve: self.resolve.clone(),
            upstream_ca: self.upstream_ca.iter().map(absolute).collect(),
            host_port: self.host_port.clone(),
            publish: self.publish.clone(),
            expose: self.expose.iter().map(absolute).collect(),
            hide: self.hide.iter().map(absolute).collect(),
        }
    }
}

/// A path that cannot be made absolute is left: using it will say what is wrong with it. So is one
/// whose `~` the shell did not replace, because it stood in quotes: the run knows whose home it is.
fn absolute(path: &PathBuf) -> PathBuf {
    if path.starts_with("~") {
        return path.clone();
    }
    path::absolute(path).unwrap_or_else(|_| path.clone())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(args: &[&str]) -> Result<(Cli, RunArgs), clap::Error> {
        let cli = Cli::try_parse_from(["authsome", "run"].iter().chain(args))?;
        let Command::Run(run) = &cli.command else { panic!("not run") };
        let run = run.clone();
        Ok((cli, run))
    }

    #[test]
    fn what_follows_the_dashes_is_the_agents() {
        let (cli, run) = parse(&["--egress", "open", "--", "curl", "-v", "--json"]).unwrap();

        assert_eq!(run.command, ["curl", "-v", "--json"]);
        assert!(!cli.global.verbose && !cli.global.json);
    }

    #[test]
    fn flags_of_the_agent_need_no_dashes() {
        let (cli, run) = parse(&["-v", "curl", "-v", "--allow", "x", "--", "y"]).unwrap();

        assert_eq!(run.command, ["curl", "-v", "--allow", "x", "--", "y"]);
        assert!(cli.global.verbose);
        assert!(run.allow.is_empty());
    }

    #[test]
    fn an_unknown_flag_before_the_agent_is_an_error() {
        assert!(parse(&["--egres", "open", "--", "true"]).is_err());
    }

    #[test]
    fn a_run_without_an_agent_is_an_error() {
        assert!(parse(&["--egress", "open"]).is_err());
        assert!(parse(&["--"]).is_err());
    }

    #[test]
    fn paths_are_made_absolute() {
        let (_, run) = parse(&["--hide", "secrets", "--", "true"]).unwrap();

        assert_eq!(run.settings().hide, [std::env::current_dir().unwrap().join("secrets")]);
    }

    #[test]
    fn repeated_flags_add_up() {
        let (_, run) = parse(&[
            "--allow",
            "a.example",
            "--allow",
            "b.example:22",
            "--connection",
            "github=work",
            "--host-port",
            "1",
            "--host-port",
            "2",
            "--",
            "true",
        ])
        .unwrap();

        let settings = run.settings();
        assert_eq!(settings.allow.len(), 2);
        assert_eq!(settings.host_port, [1, 2]);
        assert_eq!(settings.connection.get("github").unwrap(), "work");
    }
}
