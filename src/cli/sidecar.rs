//! `authsome sidecar` and `authsome trust`.

use std::{
    ffi::OsString,
    path::{self, PathBuf},
};

use clap::{Args, ValueEnum};

use crate::{
    config::{run::RunConfig, values},
    protocol::{Egress, EnvFrom, HostPort, ResolveRule},
};

/// Where the agent's container finds what it is to trust, unless said otherwise.
const TRUST_DIR: &str = "/run/authsome";
/// The variable that says otherwise.
const TRUST_DIR_VARIABLE: &str = "AUTHSOME_TRUST_DIR";

const HELP: &str = "\
For a container that shares the network namespace of an agent's container (docker run --network
container:NAME, or a pod). Whatever that sends to port 443 arrives here; requests to hosts that a
provider claims carry your credential. Its container needs NET_ADMIN, and SETUID and SETGID to become
--user; what serves requests keeps none of them. The agent's container must have no capability: --cap-drop ALL. NET_RAW alone would let
it mark its own connections and get round this.

If it dies, port 443 is closed for the agent until it is back. If it is stopped, the rules go.

Each flag up to --upstream-ca is also a key of [run] in $AUTHSOME_HOME/config.toml.

Examples:
  authsome sidecar --from-env --egress providers
  authsome sidecar --credentials /run/secrets --connect github=env:GH_TOKEN
  authsome sidecar --ready                    exit code 0 when it is ready (a health check)

JSON, when it is ready: {v, status: ready, probed: [ADDRESS], connections: [NAME], stored: [NAME],
trust_dir}";

const TRUST_HELP: &str = "\
Formats: `env` is docker's --env-file, `shell` exports, `docker` flags of docker run, `kubernetes`
a part of a container's specification. The values are no secrets.

JSON: {v, dir, env: {NAME: VALUE}}";

/// Who answers names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// Whoever answers them without us.
    Leave,
    /// The sidecar: no query leaves until a connection is allowed.
    Capture,
}

/// How `trust` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `NAME=value` lines.
    Env,
    /// `export` lines.
    Shell,
    /// Flags of `docker run`.
    Docker,
    /// A part of a container's specification.
    Kubernetes,
}

/// `PROVIDER[/NAME][:FIELD]=SOURCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Field; none: the only secret.
    pub field: Option<String>,
    /// Where its value lies, as `login --from` has it.
    pub source: String,
}

/// Arguments of `sidecar`.
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct SidecarArgs {
    /// Use this connection of a provider (repeatable)
    #[arg(long, value_name = "PROVIDER=NAME", value_parser = values::connection)]
    pub connection: Vec<(String, String)>,
    /// Set a variable to a connection's placeholder: that of its first secret, or of FIELD (repeatable)
    #[arg(long, value_name = "NAME=PROVIDER/CONNECTION[:FIELD]", value_parser = values::env)]
    pub env: Vec<EnvFrom>,
    /// Hosts no provider claims: `open` passes them through; `providers` refuses them, and whatever
    /// else the agent would send but for names and answers
    #[arg(long, value_name = "open|providers", value_parser = values::egress)]
    pub egress: Option<Egress>,
    /// Let the agent reach this host whatever --egress says (repeatable)
    #[arg(long, value_name = "HOST[:PORT]", value_parser = values::host_port)]
    pub allow: Vec<HostPort>,
    /// Dial this address for a host, as curl's --resolve; `*` is any host (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDR[:PORT]", value_parser = values::resolve)]
    pub resolve: Vec<ResolveRule>,
    /// Also trust these roots of upstream servers, PEM (repeatable)
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Vec<PathBuf>,
    /// Whom to become when the rules are in place
    #[arg(long, value_name = "UID[:GID]", default_value = "65532", value_parser = user)]
    pub user: (u32, u32),
    /// Port that connections are redirected to; 0: any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Who answers the agent's names
    #[arg(long, value_enum, default_value_t = Names::Leave)]
    pub dns: Names,
    /// Directory that the agent's container sees too (read-only): roots, variables
    #[arg(long, value_name = "DIR", env = TRUST_DIR_VARIABLE, default_value = TRUST_DIR)]
    pub trust_dir: PathBuf,
    /// Where the agent sees it, if elsewhere
    #[arg(long, value_name = "DIR")]
    pub trust_path: Option<PathBuf>,
    /// Roots for the agent in place of this system's, PEM
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,
    /// Directory of files that hold a secret each, named PROVIDER or PROVIDER.CONNECTION (repeatable)
    #[arg(long, value_name = "DIR", help_heading = "Credentials")]
    pub credentials: Vec<PathBuf>,
    /// Connect a provider whose secret lies in `env:NAME`, `file:PATH` or what else `login --from`
    /// takes (repeatable)
    #[arg(
        long,
        value_name = "PROVIDER[/NAME][:FIELD]=SOURCE",
        value_parser = connect,
        help_heading = "Credentials"
    )]
    pub connect: Vec<Connect>,
    /// Connect every provider whose variables are set in the environment
    #[arg(long, help_heading = "Credentials")]
    pub from_env: bool,
    /// Serve the dashboard on 127.0.0.1, which is the agent's too
    #[arg(long)]
    pub dashboard: bool,
    /// Only say, by the exit code, whether the sidecar in this container is ready
    #[arg(long)]
    pub ready: bool,
}

/// Arguments of `trust`.
#[derive(Clone, Debug, Args)]
#[command(after_help = TRUST_HELP)]
pub struct TrustArgs {
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Env)]
    pub format: Format,
    /// Where the agent sees the directory
    #[arg(long, value_name = "DIR", env = TRUST_DIR_VARIABLE, default_value = TRUST_DIR)]
    pub dir: PathBuf,
}

/// Where a sidecar shares what its agents need, as far as the environment says.
#[must_use]
pub fn trust_dir(environment: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let named = environment(TRUST_DIR_VARIABLE).filter(|value| !value.is_empty());
    named.map_or_else(|| TRUST_DIR.into(), PathBuf::from)
}

impl SidecarArgs {
    /// The flags of a run as settings, paths made absolute.
    #[must_use]
    pub fn settings(&self) -> RunConfig {
        let absolute = |path: &PathBuf| path::absolute(path).unwrap_or_else(|_| path.clone());
        RunConfig {
            connection: self.connection.iter().cloned().collect(),
            env: self.env.clone(),
            egress: self.egress,
            allow: self.allow.clone(),
            resolve: self.resolve.clone(),
            upstream_ca: self.upstream_ca.iter().map(absolute).collect(),
            ..RunConfig::default()
        }
    }

    /// Where the agent sees the shared directory.
    #[must_use]
    pub fn shown(&self) -> &PathBuf {
        self.trust_path.as_ref().unwrap_or(&self.trust_dir)
    }
}

/// Hint that goes with every error of a command line that names a source: what stands there in its place
/// may be a secret.
pub(super) fn connect_hint(args: &[OsString]) -> Option<&'static str> {
    let named = args.iter().any(|arg| arg.to_string_lossy().starts_with("--connect"));
    named.then_some("--connect PROVIDER=SOURCE, such as github=env:GH_TOKEN")
}

fn user(text: &str) -> Result<(u32, u32), String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| {
        let wrong = |_| "expected UID or UID:GID, in numbers".to_owned();
        text.parse().map_err(wrong)
    };
    Ok((number(uid)?, number(gid)?))
}

fn connect(text: &str) -> Result<Connect, String> {
    // Not repeated: it may be a secret in the wrong place.
    let expected = || "expected PROVIDER=SOURCE, such as github=env:GH_TOKEN".to_owned();
    let (name, source) = text.split_once('=').ok_or_else(expected)?;
    let (name, field) = match name.split_once(':') {
        Some((name, field)) => (name, Some(field.to_owned())),
        None => (name, None),
    };
    let (provider, connection) = name.split_once('/').unwrap_or((name, "default"));
    Ok(Connect {
        provider: values::provider_name(provider)?,
        connection: values::connection_name(connection)?,
        field,
        source: source.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_named_as_far_as_needed() {
        let parsed = connect("github=env:GH_TOKEN").unwrap();
        assert_eq!((&*parsed.provider, &*parsed.connection), ("github", "default"));
        let parsed = connect("twilio/work:auth_token=file:/run/secrets/a=b").unwrap();
        assert_eq!(parsed.field.as_deref(), Some("auth_token"));
        assert_eq!(parsed.source, "file:/run/secrets/a=b");
    }

    #[test]
    fn what_is_no_connection_is_not_repeated() {
        let error = connect("hunter2").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_group_is_the_users_unless_it_is_named() {
        assert_eq!(user("7"), Ok((7, 7)));
        assert_eq!(user("7:8"), Ok((7, 8)));
        assert!(user("nobody").is_err());
    }
}
