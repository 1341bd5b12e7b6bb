//! The command line: verbs, flags and their help. No logic.
//!
//! Each verb's `--help` ends with the members of its JSON object; see [`crate::output`] for what they
//! have in common. What a usage error may repeat is decided in [`usage`].

mod approve;
mod connections;
mod identity;
mod import;
mod log;
mod machine;
mod manual;
mod policy;
mod run;
mod shell;
mod sidecar;
pub mod usage;
mod vault;

use clap::{Args, Parser, Subcommand};

pub use self::{
    approve::{ApproveArgs, DenyArgs, Extent},
    connections::{
        ExportArgs, ExportFormat, FieldValue, GetArgs, InspectArgs, ListArgs, LoginArgs,
        LogoutArgs, RegisterArgs, RemoveArgs, RevokeArgs, ScanArgs, SetDefaultArgs,
    },
    identity::{IdentityArgs, IdentityCommand, ProfileArgs, ProfileCommand},
    import::ImportArgs,
    log::{FilterArgs, LogArgs, LogCommand},
    machine::{
        CompletionsArgs, DaemonArgs, DaemonCommand, DaemonLogsArgs, DemoArgs, DoctorArgs, InitArgs,
        ServeArgs, UiArgs, WhoamiArgs,
    },
    manual::ManualArgs,
    policy::{
        PolicyArgs, PolicyCommand, PolicyExplainArgs, PolicyPath, PolicyShowArgs, PolicyTestArgs,
    },
    run::RunArgs,
    shell::{Kind as ShellKind, ShellArgs},
    sidecar::{Connect, Format, Names, SidecarArgs, TrustArgs, trust_dir},
    vault::{
        BackupArgs, MoveKeyArgs, PASSPHRASE_HINT, PassphraseArgs, Place, RestoreArgs, RotateArgs,
        UnlockArgs, VaultArgs, VaultCommand,
    },
};
use crate::config;

const EXAMPLES: &str = "\
Examples:
  authsome login openai                 store a key (asked for, never shown)
  authsome run -- claude                run an agent; its requests to GitHub carry the key
  authsome scan --import                take the keys from this directory's .env files

Exit codes: 0 done, 1 failed, 2 usage, 3 no such provider or connection, 4 login needed,
5 daemon or vault unavailable, 7 already exists. `run`: the agent's own; 125 if authsome failed
before the agent started, 126 or 127 if the agent cannot be executed, 128+n if signal n ended it.";

/// Run an AI agent without giving it your credentials.
///
/// The agent runs in its own network namespace. Its requests to known services get your credential
/// on their way out; the agent never holds it.
#[derive(Debug, Parser)]
#[command(name = "authsome", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every verb.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Use this profile
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "AUTHSOME_PROFILE",
        value_parser = config::values::profile_name,
        display_order = 998
    )]
    pub profile: Option<String>,
    /// Act as this agent identity, in runs and where secrets are shown
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        value_parser = identity::agent_name,
        display_order = 999
    )]
    pub identity: Option<String>,
    /// Write one JSON object
    #[arg(long, global = true, display_order = 1000)]
    pub json: bool,
    /// Say more on standard error
    #[arg(short, long, global = true, display_order = 1001)]
    pub verbose: bool,
    /// No colours
    #[arg(long, global = true, display_order = 1002)]
    pub no_color: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an agent
    Run(RunArgs),
    /// Start a shell in a run, or make agents start in one
    Shell(ShellArgs),
    /// Connect a provider: by OAuth, or with a key
    Login(LoginArgs),
    /// Show connections and providers
    List(ListArgs),
    /// Show a provider's definition and connections
    Inspect(InspectArgs),
    /// Show a connection
    Get(GetArgs),
    /// Write credentials as variables (real secrets)
    Export(ExportArgs),
    /// Choose the connection a provider uses
    SetDefault(SetDefaultArgs),
    /// Delete a connection, and revoke it at the provider
    Logout(LogoutArgs),
    /// Delete and revoke all connections of a provider
    Revoke(RevokeArgs),
    /// Delete a provider's connections and its custom definition
    Remove(RemoveArgs),
    /// Add a provider definition
    Register(RegisterArgs),
    /// Find keys in .env files and the environment
    Scan(ScanArgs),
    /// Take over what the earlier authsome (Python) has stored
    Import(ImportArgs),
    /// Show or approve requests that wait for you
    Approve(ApproveArgs),
    /// Deny a request that waits for you
    Deny(DenyArgs),
    /// Agents' identities: who acts, provably
    Identity(IdentityArgs),
    /// Profiles: separate sets of connections
    Profile(ProfileArgs),
    /// Guard the network namespace of a container that shares it
    Sidecar(SidecarArgs),
    /// Show what the agent's container needs beside a sidecar
    Trust(TrustArgs),
    /// Open the dashboard in a browser
    Ui(UiArgs),
    /// Show user, profile, identity, home, daemon and version
    Whoami(WhoamiArgs),
    /// Show or verify the audit log
    Log(LogArgs),
    /// Write, check and explain the policy: which agent may do what
    Policy(PolicyArgs),
    /// Keys of the vault, backups, passphrase
    Vault(VaultArgs),
    /// Control the daemon (it starts by itself)
    Daemon(DaemonArgs),
    /// Check that everything works here
    Doctor(DoctorArgs),
    /// See it work, without an account
    Demo(DemoArgs),
    /// Make the home directory and show what is where
    Init(InitArgs),
    /// Write a completion script
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(ManualArgs),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        assert!(Cli::try_parse_from(["authsome", "--json", "list"]).unwrap().global.json);
        assert!(Cli::try_parse_from(["authsome", "list", "--json"]).unwrap().global.json);
    }
}
