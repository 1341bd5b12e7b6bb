//! The daemon's own log: what it does, to standard error, which its starter points at a file.
//!
//! Hosts and paths are the audit log's and not above debug here; secrets are at no level. `run` logs
//! nothing: the terminal is the agent's.
//!
//! What leaves the machine, if the user wants it to, is [`otlp`]'s.

pub mod otlp;

use tracing_subscriber::EnvFilter;

/// Starts logging. `AUTHSOME_LOG` takes tracing-subscriber's directives.
pub fn start(verbose: bool) {
    let default = if verbose { "authsome=debug" } else { "authsome=info" };
    let filter =
        EnvFilter::try_from_env("AUTHSOME_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second start in one process would be a mistake without consequences.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
