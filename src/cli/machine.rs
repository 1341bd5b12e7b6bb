//! Verbs about this machine: home, daemon, checks.

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// Arguments of `init`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Optional: every verb makes what it needs.\n\nJSON: {v, status: initialized|exists, home, config, providers, audit_log, daemon_log}"
)]
pub struct InitArgs {}

/// Arguments of `ui`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The link works once, for a minute: whoever has it is you.\n\nJSON: {v, url}"
)]
pub struct UiArgs {
    /// Only print the link
    #[arg(long)]
    pub no_browser: bool,
}

/// Arguments of `whoami`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "JSON: {v, user, home, profile, identity: {name, agent, did, default, \
    created_at}|null, version, daemon: {running, version, pid, \
    uptime_seconds, runs, master_key, dashboard, error}, connections: NUMBER|null}")]
pub struct WhoamiArgs {}

/// Arguments of `doctor`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "It starts a run, tries every way out of it from inside, and has each client of this \
    machine make a request there. Exit code 1 if a check fails; a client that does not trust the run fails \
    none: its requests do.\n\n\
    JSON: {v, ready, checks: [{name, status: ok|warn|fail, message, hint}],\n       \
    clients: [{name, program, trust: trusts|distrusts|proxied|failed|missing, message, hint}],\n       \
    fixed: [{message, done}]}"
)]
pub struct DoctorArgs {
    /// Mend what can be mended without a question; as root (sudo) also the machine's settings
    #[arg(long)]
    pub fix: bool,
    /// Leave the clients out
    #[arg(long, conflicts_with = "slow")]
    pub quick: bool,
    /// Try the clients that have to compile, too
    #[arg(long)]
    pub slow: bool,
    /// Be the run
    #[arg(long, hide = true)]
    pub stage: bool,
}

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {}

/// Arguments of `daemon`.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: DaemonCommand,
}

/// Verbs of `daemon`.
#[derive(Clone, Debug, Subcommand)]
pub enum DaemonCommand {
    /// Be the daemon, in the foreground
    Serve(ServeArgs),
    /// Start it
    #[command(after_help = "JSON: {v, status: started|already_running, daemon: {…}}")]
    Start,
    /// Stop it, after its open requests
    #[command(after_help = "JSON: {v, status: stopped|stopping|not_running}")]
    Stop,
    /// Show how it is
    #[command(
        after_help = "JSON: {v, running, daemon: {version, pid, uptime_seconds, runs, master_key,\n       audit: {public_key, seq, hash, writable, error, lost, when_unwritable, alarm}}|null}"
    )]
    Status,
    /// Show its log
    #[command(after_help = "JSON: {v, path, lines}")]
    Logs(DaemonLogsArgs),
}

/// Arguments of `daemon serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Start another process that serves, and return
    #[arg(long, hide = true)]
    pub detach: bool,
    /// Write the log to the home's file
    #[arg(long, hide = true)]
    pub logged: bool,
}

/// Arguments of `daemon logs`.
#[derive(Clone, Debug, Args)]
pub struct DaemonLogsArgs {
    /// How many lines, from the end
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 80)]
    pub lines: usize,
}

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  authsome completions zsh > ~/.zfunc/_authsome")]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: Shell,
}
