//! `import`.

use std::path::PathBuf;

use clap::Args;

const IMPORT: &str = "\
Reads the home of the earlier authsome (Python, versions 0.2 and 0.3) and stores the connections it
finds, and the definitions its user added. Nothing there is changed. A connection that is stored here
with another value is kept. Connections of other profiles than the active one get that profile's name
before their own.

Examples:
  authsome import --dry-run             what is there
  authsome import --yes                 all of it, definitions too
  authsome import ~/old --only work     one profile's, under their own names

Exit code 1 if something could not be read or was not stored, 3 if there is no such home.
JSON: {v, home, complete, connections: [{profile, from, provider, connection, kind: api_key|tokens,
      status, note}],
      clients: [{provider, status, note}],
      definitions: [{provider, origin, hosts, status, note}],
      unreadable: [{what, why, hint}]}
      status: found (--dry-run)|imported|replaced|unchanged|different|needs_login|unknown_provider|
      refused|skipped";

/// Arguments of `import`.
#[derive(Clone, Debug, Args)]
#[command(after_help = IMPORT)]
pub struct ImportArgs {
    /// Home of the earlier authsome; without: ~/.authsome
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Only this profile's or identity's connections
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Show what would be imported, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Register the definitions found, without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Replace connections and definitions that differ
    #[arg(long)]
    pub force: bool,
}
