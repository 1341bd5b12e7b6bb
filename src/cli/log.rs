//! `log`: what happened, and whether the record of it is whole.

use std::time::SystemTime;

use clap::{Args, Subcommand};

use crate::audit::{
    Filter, Kind,
    filter::{Moment, StatusRange},
};

/// Arguments of `log`.
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  authsome log --decision deny --since 2h\n  \
        authsome log -f --agent builder --host '*.github.com'\n\n\
        JSON: {v, entries: [ENTRY]}; --follow: {v, entry} a line. ENTRY: {v, seq, time, kind, \
        profile, run, agent, user, process, executable, operation, connection, method, host, port, \
        path, decision, policy, status, error, bytes_sent, bytes_received, duration_ms, torn, lost, \
        deleted, checkpoint, cut, prev, hash}, without what there is nothing to say of"
)]
pub struct LogArgs {
    /// How many entries, from the end
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 50)]
    pub lines: usize,
    /// Go on as entries are added
    #[arg(short, long)]
    pub follow: bool,
    /// Which entries.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// What else to do with it.
    #[command(subcommand)]
    pub command: Option<LogCommand>,
}

/// Verbs of `log`.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Check that no entry was changed or removed
    #[command(after_help = "Exit code 1 if one was.\n\n\
        JSON: {v, verified, records, begins, files, recovered, lost, head: {seq, hash}, \
        signed: {seq, time, key, key_from: daemon|file|head}|null, \
        problem: {file, line, byte, fault, message}|null}")]
    Verify,
}

/// Which entries are wanted: those that fit all of these.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which entries (all that is said must fit)")]
pub struct FilterArgs {
    /// Of this agent identity
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Of the run whose id begins so
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// With this connection: `work` or `github/work`
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// With a connection of this provider
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// To this host; `*.example.com` for all below it
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// So decided: allow (all but deny), deny, inject, forward, splice, answer
    #[arg(long, value_name = "DECISION", value_parser = DECISIONS)]
    pub decision: Option<String>,
    /// Of this kind
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<Kind>,
    /// Not before: `2h`, `7d` ago, `2026-01-02` or `2026-01-02T03:04:05Z`
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Of this program: its process id, path or file name
    #[arg(long, value_name = "PROCESS")]
    pub process: Option<String>,
    /// Answered so: `404`, `4xx` or `400-499`
    #[arg(long, value_name = "STATUS")]
    pub status: Option<StatusRange>,
}

const DECISIONS: [&str; 6] = ["allow", "deny", "inject", "forward", "splice", "answer"];

impl FilterArgs {
    /// The same for entries, `now` being now.
    #[must_use]
    pub fn filter(&self, now: SystemTime) -> Filter {
        let Self { kind, since, until, status, .. } = *self;
        Filter {
            agent: self.agent.clone(),
            run: self.run.clone(),
            connection: self.connection.clone(),
            provider: self.provider.clone(),
            host: self.host.clone(),
            decision: self.decision.clone(),
            kind,
            since: since.map(|moment| moment.resolve(now)),
            until: until.map(|moment| moment.resolve(now)),
            process: self.process.clone(),
            status,
        }
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.into_iter().map(Kind::as_str).collect();
        format!("expected one of {}", known.join(", "))
    })
}
