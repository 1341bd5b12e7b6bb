//! `authsome manual`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `manual`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "One page a verb, in the directory itself; it is made if it is missing.\n\n\
        Example:\n  authsome manual ~/.local/share/man/man1\n\nJSON: {v, directory, pages}"
)]
pub struct ManualArgs {
    /// Where to write them
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
