//! Verbs about providers and their connections.

use std::{convert::Infallible, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::{config::values, protocol::ResolveRule};

/// Values of `--flow`.
const FLOWS: [&str; 5] = ["pkce", "device_code", "dcr_pkce", "client_credentials", "api_key"];

/// A connection in JSON, as several verbs have it.
macro_rules! connection_json {
    () => {
        "{provider, connection, default, status, fields, secret_fields, sources, \
         created_at, last_used_at, expires_at, scopes, reason}"
    };
}

const LOGIN: &str = concat!(
    "\
On a terminal the secret is asked for and not shown. It is never an argument: other users of the
machine can read those, and the shell remembers them.

Examples:
  authsome login openai
  pass show openai | authsome login openai --secret-stdin
  authsome login twilio --field account_sid=AC123 --secret-env TWILIO_AUTH_TOKEN

A secret that lies elsewhere can stay there: with --from it is fetched when a request needs it, and
the vault holds only where from. Commands run without a shell, outside of any run, with the daemon's
environment. Agents do not see the file's directory, nor the variable.
  authsome login openai --from env:OPENAI_KEY
  authsome login anthropic --from file:/run/secrets/anthropic
  authsome login github --from 'command:gh auth token'
  authsome login twilio --field account_sid=AC123 --from auth_token=keyring:twilio/me

A provider with OAuth is logged in to in the browser, or with a code on another device; the command
waits for it. So does the URL of a server that says itself how to log in, as MCP servers do.
  authsome login github
  authsome login https://mcp.example.com/mcp
  authsome login gitlab --base-url https://git.example.com --client-id ID --client-secret-stdin

Exit code 7 if the connection exists with another value (--force replaces it).
JSON: for OAuth one object for each step, {v, step: needs_client|browser|device, …}; last:
      {v, step: done (OAuth), status: stored|replaced|unchanged, hosts, connection: ",
    connection_json!(),
    "}"
);

/// Arguments of `login`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = LOGIN,
    override_usage = "authsome login [OPTIONS] PROVIDER"
)]
pub struct LoginArgs {
    /// Provider, such as github
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Name of the connection
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = values::connection_name)]
    pub connection: String,
    /// Replace an existing connection
    #[arg(long, visible_alias = "replace")]
    pub force: bool,
    /// Value of a field that is no secret (repeatable)
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field_value)]
    pub fields: Vec<FieldValue>,
    /// Read the secret from standard input; one a line if there are several
    #[arg(long, group = "source")]
    pub secret_stdin: bool,
    /// Read the secret from this variable (repeatable if there are several)
    #[arg(long, value_name = "VAR", group = "source")]
    pub secret_env: Vec<String>,
    /// Read the secret from this file; one a line if there are several
    #[arg(long, value_name = "PATH", group = "source")]
    pub secret_file: Option<PathBuf>,
    /// Store where a secret lies in place of it: `env:NAME`, `file:PATH`, `command:PROGRAM ARG…` or
    /// `keyring:SERVICE/USER` (repeatable if there are several: FIELD=SOURCE)
    #[arg(long, value_name = "SOURCE", value_parser = pointer, conflicts_with = "flow")]
    pub from: Vec<FieldValue>,
    /// Do not fetch it now to see whether that works
    #[arg(long, requires = "from")]
    pub no_check: bool,
    /// How: pkce, device_code, dcr_pkce, client_credentials or api_key; without: the provider's own way
    #[arg(long, value_name = "FLOW", value_parser = FLOWS, help_heading = "OAuth")]
    pub flow: Option<String>,
    /// Scopes to ask for in place of the provider's usual ones
    #[arg(long, value_name = "A,B", value_delimiter = ',', help_heading = "OAuth")]
    pub scopes: Vec<String>,
    /// Instance of a provider that is hosted by yourself, such as `https://git.example.com`
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    pub base_url: Option<String>,
    /// Your own client at the provider
    #[arg(long, value_name = "ID", help_heading = "OAuth")]
    pub client_id: Option<String>,
    /// Read the client's secret (or its private key, PEM) from standard input
    #[arg(long, conflicts_with = "secret_stdin", help_heading = "OAuth")]
    pub client_secret_stdin: bool,
    /// Open no browser: say what to open, and take the address it ends on
    #[arg(long, help_heading = "OAuth")]
    pub no_browser: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", help_heading = "OAuth")]
    pub timeout: Option<u64>,
    /// Dial this address for a host, as curl's --resolve (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDR[:PORT]", value_parser = values::resolve, help_heading = "OAuth")]
    pub resolve: Vec<ResolveRule>,
    /// Also trust these roots, PEM (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "OAuth")]
    pub upstream_ca: Vec<PathBuf>,
    /// Catches a secret given as an argument, to refuse it without keeping or repeating it.
    #[arg(hide = true, value_parser = forget)]
    pub surplus: Vec<()>,
}

/// `NAME=VALUE` of `--field`. `Debug` hides the value: people put secrets there.
#[derive(Clone)]
pub struct FieldValue {
    /// Field name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

fn field_value(text: &str) -> Result<FieldValue, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok(FieldValue { name: name.to_owned(), value: value.to_owned() })
}

/// `[FIELD=]SOURCE` of `--from`; without a field the name is empty. Sources have a colon, fields none.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
fn pointer(text: &str) -> Result<FieldValue, Infallible> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.contains(':')).unwrap_or(("", text));
    Ok(FieldValue { name: name.to_owned(), value: value.to_owned() })
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of a value parser")]
fn forget(_: &str) -> Result<(), Infallible> {
    Ok(())
}

/// Arguments of `list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, connections: [", connection_json!(),
    "], providers: [{name, display_name, auth_type, source: bundled|custom, connections}]}"
))]
pub struct ListArgs {
    /// Also show the providers without a connection
    #[arg(short, long)]
    pub all: bool,
}

/// Arguments of `inspect`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, provider: {name, display_name, auth_type, source, hosts, fields, …}, connections: [",
    connection_json!(), "]}"
))]
pub struct InspectArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
}

/// Arguments of `get`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, connection: ", connection_json!(), ", secrets: {FIELD: VALUE}};\n      with --field \
     {v, provider, connection, field, value, redacted}"
))]
pub struct GetArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Connection; without: the provider's default
    #[arg(long, value_name = "NAME", value_parser = values::connection_name)]
    pub connection: Option<String>,
    /// Write only this field's value
    #[arg(long, value_name = "FIELD")]
    pub field: Option<String>,
    /// Write secrets as they are
    #[arg(long)]
    pub show_secret: bool,
}

/// How `export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// `NAME=value`, as a .env file
    Env,
    /// `export NAME='value'`, for `eval`
    Shell,
    /// A JSON object
    Json,
}

const EXPORT: &str = "\
Examples:
  eval \"$(authsome export github --format shell)\"
  authsome export --format env > .env

A provider's default connection gets the provider's own variables; others have their name appended.
JSON: {v, credentials: {NAME: VALUE}}";

/// Arguments of `export`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXPORT)]
pub struct ExportArgs {
    /// Provider; without: all
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Connection; without: all of the provider's
    #[arg(long, value_name = "NAME", requires = "provider", value_parser = values::connection_name)]
    pub connection: Option<String>,
    /// How to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Env)]
    pub format: ExportFormat,
}

/// Arguments of `set-default`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!("JSON: {v, connection: ", connection_json!(), "}"))]
pub struct SetDefaultArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Connection
    #[arg(value_name = "CONNECTION", value_parser = values::connection_name)]
    pub connection: String,
}

/// Arguments of `logout`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, removed: [", connection_json!(), " with remote: revoked|unsupported|failed, problem]}"
))]
pub struct LogoutArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Connection; may be left out if there is only one
    #[arg(long, value_name = "NAME", value_parser = values::connection_name)]
    pub connection: Option<String>,
}

/// Arguments of `revoke`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, removed: [", connection_json!(), " with remote: revoked|unsupported|failed, problem]}"
))]
pub struct RevokeArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
}

/// Arguments of `remove`.
#[derive(Clone, Debug, Args)]
#[command(after_help = concat!(
    "JSON: {v, removed: [", connection_json!(), "], definition: PATH|null}"
))]
pub struct RemoveArgs {
    /// Provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
}

/// Arguments of `register`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Shows which hosts it will claim, and asks. A definition decides where your \
        credentials are sent:\nread it before you say yes.\n\nExit code 7 if it is registered already (--force replaces it).\n\
        JSON: {v, status: registered|cancelled, provider, path, hosts, overrides, findings}"
)]
pub struct RegisterArgs {
    /// Definition, TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a custom definition of the same name
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Arguments of `scan`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Also names files of your home that hold other programs' secrets, with the flag of \
        `run` that hides them.\n\nJSON: {v, findings: [{provider, connection, variables, sources, status, note}], \
        files: [{path, what, hide}]}\n      status: found|connected|incomplete|unlikely|ambiguous, \
        with --import also imported|unchanged|different"
)]
pub struct ScanArgs {
    /// Files, or directories with .env files; without: this directory
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Store what is found
    #[arg(long)]
    pub import: bool,
    /// Name of the connections
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = values::connection_name)]
    pub connection: String,
}
