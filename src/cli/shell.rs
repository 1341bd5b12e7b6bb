//! `authsome shell`: the arguments of `run`, with a shell in the place of the agent.

use clap::{Args, ValueEnum};

use super::RunArgs;

const HELP: &str = "\
Starts $SHELL in a run, with (authsome) in its prompt; what you start there is part of the run. All
settings are those of `authsome run`. The exit code is the shell's own.

With --init it prints what makes plain `claude` mean `authsome run -- claude` in every new shell.
`command claude` starts it without. An alias of a name that means one program is wrapped too;
another alias, or a function of yours, stays as it is, and each new shell says so.

Examples:
  authsome shell
  authsome shell --egress providers -- -c 'make test'
  eval \"$(authsome shell --init bash)\"           in ~/.bashrc (zsh: ~/.zshrc)
  authsome shell --init fish | source            in ~/.config/fish/config.fish

Standard output is the shell's, or with --init the script.";

/// Agents that `--init` wraps where none is named.
const AGENTS: [&str; 4] = ["claude", "codex", "gemini", "opencode"];

/// Arguments of `shell`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = HELP,
    override_usage = "authsome shell [OPTIONS] [-- ARG]...\n       \
        authsome shell --init SHELL [--wrap PROGRAM]...",
    mut_arg("command", |arg| {
        arg.required(false).value_name("ARG").help("Arguments of the shell")
    })
)]
pub struct ShellArgs {
    /// Print a script for a shell's start-up file: agents start in a run, runs show in the prompt
    #[arg(long, value_name = "SHELL", value_enum, conflicts_with = "RunArgs")]
    pub init: Option<Kind>,
    /// What --init wraps (repeatable)
    #[arg(
        long,
        value_name = "PROGRAM",
        requires = "init",
        value_parser = program_name,
        default_values = AGENTS
    )]
    pub wrap: Vec<String>,
    /// The run's settings; its command is what the shell is given.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Shells whose prompt and start-up we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// GNU Bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// A name that no shell has to quote, and that is no option.
fn program_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && text.chars().all(plain) && text != "authsome" {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a program, without a directory")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(args: &[&str]) -> Result<ShellArgs, clap::Error> {
        let cli = Cli::try_parse_from(["authsome", "shell"].iter().chain(args))?;
        let Command::Shell(shell) = cli.command else { panic!("not shell") };
        Ok(shell)
    }

    #[test]
    fn a_shell_takes_the_flags_of_a_run_and_needs_no_command() {
        let shell = parse(&["--egress", "providers", "--hide", "/x"]).unwrap();

        assert_eq!(shell.run.settings().hide, [std::path::PathBuf::from("/x")]);
        assert!(shell.run.command.is_empty());
    }

    #[test]
    fn what_follows_the_dashes_is_the_shells() {
        assert_eq!(parse(&["--", "-c", "make -j2"]).unwrap().run.command, ["-c", "make -j2"]);
    }

    #[test]
    fn a_start_up_script_goes_with_no_run() {
        assert!(parse(&["--init", "bash", "--egress", "open"]).is_err());
        assert!(parse(&["--init", "bash", "--", "-l"]).is_err());
        assert!(parse(&["--wrap", "claude"]).is_err());
        assert!(parse(&["--init", "tcsh"]).is_err());
    }

    #[test]
    fn the_usual_agents_are_wrapped_unless_others_are_named() {
        assert_eq!(parse(&["--init", "zsh"]).unwrap().wrap, AGENTS);
        assert_eq!(parse(&["--init", "zsh", "--wrap", "aider"]).unwrap().wrap, ["aider"]);
    }

    #[test]
    fn what_a_shell_would_have_to_quote_is_no_name() {
        for name in ["", "-x", "a b", "a;b", "$(id)", "/bin/claude", "a'b", "é", "authsome"] {
            assert!(parse(&["--init", "bash", &format!("--wrap={name}")]).is_err(), "{name:?}");
        }
    }
}
