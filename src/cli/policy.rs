//! `policy` and its verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::config::values;

const EXAMPLES: &str = "\
Examples:
  authsome policy init                     write a policy.toml to begin with
  authsome policy check                    is what I wrote a policy?
  authsome policy explain --agent codex --method DELETE https://api.github.com/repos/a/b

The policy is $AUTHSOME_HOME/policy: rules in policy.toml, and *.cedar files. A change holds at
once; while it has an error, every request is denied.";

/// Arguments of `policy`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PolicyArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// Verbs of `policy`.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a policy.toml to begin with
    #[command(after_help = "Exit code 7 if there is one.\nJSON: {v, status: created, path}")]
    Init,
    /// Check that it is a policy
    #[command(after_help = "Exit code 1 if it is none.\n\
        JSON: {v, valid: true, path, default, statements: NUMBER, limits: NUMBER, \
        warnings: [{file, line, column, message}]}")]
    Check(PolicyPath),
    /// Show its rules, with their ids
    #[command(after_help = "JSON: {v, path, default, statements: [{id, verdict, summary, reason, \
        file, line, cedar}], limits: [{id, summary, requests: NUMBER|null, \
        bytes: NUMBER|null, per_seconds, reason, file, line}]}; \
        --cedar: {v, path, cedar}")]
    Show(PolicyShowArgs),
    /// Try it with the cases of a file
    #[command(after_help = CASES)]
    Test(PolicyTestArgs),
    /// Say what it decides about a request, and why
    #[command(
        after_help = "SEQ: a request of the audit log, decided again by the policy as it is now.\n\
        A URL's provider is found by its host; the connection is its default one unless named.\n\
        JSON: {v, query: {agent, user, profile, method, host, port, path, connection, time}, \
        decision: {verdict, policy, reason, seconds, file, line, cedar}, \
        recorded: {seq, decision, policy, error}|null}"
    )]
    Explain(PolicyExplainArgs),
    /// Print the schema that Cedar policies are checked against
    #[command(after_help = "JSON: {v, schema}")]
    Schema,
}

const CASES: &str = "\
A case:
  [[case]]
  agent = \"codex\"
  method = \"DELETE\"                         # GET, or connect where no provider claims the host
  url = \"https://api.github.com/repos/a/b\"
  expect = \"deny\"                           # allow | deny | ask
  connection = \"github/work\"                # these may be left out
  profile = \"default\"
  time = \"2026-01-31T12:00:00Z\"
  policy = \"policy.toml:3\"                  # the one that is to decide
  name = \"nobody deletes a repository\"

Exit code 1 if one is decided otherwise.
JSON: {v, passed: NUMBER, failed: NUMBER, cases: [{name, expected, verdict, policy, passed}]}";

/// What is to be looked at.
#[derive(Clone, Debug, Args)]
pub struct PolicyPath {
    /// A directory, or one file, in place of the policy in force
    #[arg(value_name = "DIR|FILE")]
    pub path: Option<PathBuf>,
}

/// Arguments of `policy show`.
#[derive(Clone, Debug, Args)]
pub struct PolicyShowArgs {
    /// What is to be looked at.
    #[command(flatten)]
    pub path: PolicyPath,
    /// All of it in Cedar's language
    #[arg(long)]
    pub cedar: bool,
}

/// Arguments of `policy test`.
#[derive(Clone, Debug, Args)]
pub struct PolicyTestArgs {
    /// Cases, in TOML; policy.test.toml beside policy.toml if not given
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A directory, or one file, in place of the policy in force
    #[arg(long, value_name = "DIR|FILE")]
    pub policy: Option<PathBuf>,
}

/// Arguments of `policy explain`.
#[derive(Clone, Debug, Args)]
pub struct PolicyExplainArgs {
    /// Number of an entry of the audit log, or a URL
    #[arg(value_name = "SEQ|URL")]
    pub what: String,
    /// Whose request it is
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub agent: String,
    /// Its method, or `connect` for a connection that stays encrypted
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,
    /// The connection it uses
    #[arg(long, value_name = "PROVIDER/NAME", value_parser = full_name)]
    pub connection: Option<String>,
    /// The profile it uses
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// When it is made; now if not given
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// A directory, or one file, in place of the policy in force
    #[arg(long, value_name = "DIR|FILE")]
    pub policy: Option<PathBuf>,
}

fn full_name(text: &str) -> Result<String, String> {
    let (provider, name) =
        text.split_once('/').ok_or("expected PROVIDER/NAME, such as github/work")?;
    Ok(format!("{}/{}", values::provider_name(provider)?, values::connection_name(name)?))
}
