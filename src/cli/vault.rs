//! `vault`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Hint that goes with every refusal to take a passphrase as an argument.
pub const PASSPHRASE_HINT: &str =
    "give it when asked, or with --passphrase-stdin or --passphrase-file PATH";

const ROTATE: &str = "\
Runs go on meanwhile, and a crash at any moment costs nothing: what is left is completed by the next
start, or by doing it again. Without flags both kinds of keys are exchanged.

A copy of the vault that was made before can still be read with the key it had then. If somebody may
have such a copy and the key, also exchange what is in it: log in again, and revoke the old credentials.

JSON: {v, data, master, profiles: [{profile, records, damaged}]}";

const BACKUP: &str = "\
In it are the connections of all profiles, configuration, provider definitions, identities and policies;
not the audit log, and not the master key: a restored home gets a new one. It is encrypted under a
passphrase. Without it nobody can read the backup, you neither.

Examples:
  authsome vault backup ~/authsome.backup
  authsome vault backup /mnt/usb/authsome.backup --passphrase-file /run/secrets/backup

Exit code 7 if FILE exists (--force replaces it).
JSON: {v, file, profiles, records, files, left_out: [SENTENCE]}";

const RESTORE: &str = "\
Puts a home that is as it was when the backup was made in the place of this one. A home that has a vault
is replaced with --force only, and kept beside the new one. If anything fails, nothing has changed.

The new master key lies in a file, or under the passphrase of the backup if a passphrase protected it;
to put it into the OS keyring: authsome vault move-key keyring.

Exit code 7 if there is a vault.
JSON: {v, home, replaced: PATH|null, master_key, profiles, records, files}";

const MOVE: &str = "\
  file        in the home, readable by you only
  keyring     in the keyring of the operating system
  passphrase  in the home, under a passphrase: the vault is locked whenever the daemon starts, until
              `authsome vault unlock`; asked again, it changes the passphrase

config.toml is changed to say so. A disk may keep what was deleted from it for a while: after moving the
key away from its file, `authsome vault rotate` makes a copy of it worthless.

Exit code 7 if there is another key at that place (--force replaces it).
JSON: {v, from, to}";

const UNLOCK: &str = "\
For a vault whose master key is under a passphrase. The daemon keeps the key in memory until it stops, or
until `authsome vault lock`. Without a key there, this is the first passphrase, and makes one.

Examples:
  authsome vault unlock
  authsome vault unlock --passphrase-file \"$CREDENTIALS_DIRECTORY/authsome\"

JSON: {v, status: unlocked|open}";

const LOCK: &str = "\
The daemon forgets the key, and ends. Open runs go on without network until the vault is unlocked.

JSON: {v, status: locked|locking}";

/// Arguments of `vault`.
#[derive(Clone, Debug, Args)]
pub struct VaultArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: VaultCommand,
}

/// Verbs of `vault`.
#[derive(Clone, Debug, Subcommand)]
pub enum VaultCommand {
    /// Show whether it is open, and where its key is
    #[command(
        after_help = "JSON: {v, vault: open|locked|new, master_key: file|keyring|passphrase}"
    )]
    Status,
    /// Read every record
    #[command(after_help = "Exit code 1 if one is damaged.\n\
        JSON: {v, intact, profiles: [{profile, records, damaged: [SENTENCE]}]}")]
    Verify,
    /// Exchange keys
    #[command(after_help = ROTATE)]
    Rotate(RotateArgs),
    /// Write everything into one encrypted file
    #[command(after_help = BACKUP)]
    Backup(BackupArgs),
    /// Make the home what a backup holds
    #[command(after_help = RESTORE)]
    Restore(RestoreArgs),
    /// Keep the master key elsewhere
    #[command(after_help = MOVE)]
    MoveKey(MoveKeyArgs),
    /// Give the passphrase
    #[command(after_help = UNLOCK)]
    Unlock(UnlockArgs),
    /// Forget the passphrase
    #[command(after_help = LOCK)]
    Lock,
}

/// Where a passphrase comes from; without any, it is asked for.
#[derive(Clone, Debug, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from standard input
    #[arg(long, group = "passphrase")]
    pub passphrase_stdin: bool,
    /// Read the passphrase from this file
    #[arg(long, value_name = "PATH", group = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `vault rotate`.
#[derive(Clone, Copy, Debug, Args)]
pub struct RotateArgs {
    /// Only the data keys: every record is encrypted again
    #[arg(long)]
    pub data: bool,
    /// Only the master key, which the data keys are under
    #[arg(long)]
    pub master: bool,
}

/// Arguments of `vault backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// File to write
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
    /// Where the passphrase comes from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Arguments of `vault restore`.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// File to read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a home that has a vault; it is kept beside the new one
    #[arg(long)]
    pub force: bool,
    /// Where the passphrase comes from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Where a master key can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// In a file of the home.
    File,
    /// In the keyring of the operating system.
    Keyring,
    /// In a file of the home, under a passphrase.
    Passphrase,
}

/// Arguments of `vault move-key`.
#[derive(Clone, Debug, Args)]
pub struct MoveKeyArgs {
    /// file, keyring or passphrase
    #[arg(value_name = "PLACE", value_enum, hide_possible_values = true)]
    pub place: Place,
    /// Replace another key that is there
    #[arg(long)]
    pub force: bool,
    /// Where the passphrase comes from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Arguments of `vault unlock`.
#[derive(Clone, Debug, Args)]
pub struct UnlockArgs {
    /// Where the passphrase comes from.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}
