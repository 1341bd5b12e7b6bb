//! `authsome demo`: the product's one sentence, shown and checked on this machine, offline.
//!
//! It makes a home of its own, starts a TLS server in the place of an API, stores a credential, and
//! runs a real client as the agent, through the same `authsome run` as everybody. Then it compares
//! what the agent had and sent with what the server received. Nothing is claimed that was not
//! observed, and one observation that is missing fails the whole.

pub mod agent;
mod upstream;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

use self::{agent::Observation, upstream::Upstream};
use crate::{
    daemon::client::Client,
    paths::Home,
    protocol::{ConnectionView, ErrorKind, ErrorReply, Request, Secret},
};

/// Hidden first argument that makes this program the demo's agent.
pub const AGENT_ARGUMENT: &str = "__demo_agent";
/// The API that the local server stands for.
const HOST: &str = "api.openai.com";
const PROVIDER: &str = "openai";

/// What was seen, and what follows from it.
#[derive(Debug)]
pub struct Report {
    /// What the agent sent, as it says: its own request line and header.
    pub sent: String,
    /// What the server received, its credential shown: it was made for this.
    pub received: String,
    /// What came back to the agent from a server that echoes the credential.
    pub answered: String,
    /// What was checked, and whether it was so.
    pub checks: Vec<Check>,
}

/// One thing that must be so.
#[derive(Debug)]
pub struct Check {
    /// What must be so.
    pub what: &'static str,
    /// Was it?
    pub seen: bool,
    /// What was seen.
    pub detail: String,
}

/// Runs the demonstration.
///
/// # Errors
/// It could not be carried out. (That something was not so is no error but a [`Check`].)
pub fn demonstrate() -> Result<Report, ErrorReply> {
    let directory = tempfile::Builder::new()
        .prefix("authsome-demo-")
        .tempdir()
        .map_err(|error| failed(format!("cannot make a temporary home: {error}")))?;
    let secret = demo_secret()?;
    let upstream = Upstream::start()
        .map_err(|error| failed(format!("cannot start the demo's server: {error}")))?;
    let home = Home::for_user(directory.path(), |_| None)
        .and_then(|home| home.ensure().map(|()| home))
        .map_err(|error| failed(error.to_string()))?;
    let daemon = Daemon::start(&home)?;
    daemon.store(&secret)?;
    let observed = run_agent(&home, directory.path(), &upstream);
    drop(daemon);
    let (output, observation) = observed?;
    Ok(judge(&secret, &output, &observation, &upstream))
}

/// The demo's own daemon; stopped when dropped.
struct Daemon<'a>(&'a Home);

impl<'a> Daemon<'a> {
    fn start(home: &'a Home) -> Result<Self, ErrorReply> {
        Client::connect_or_start(home).map(|_| Self(home))
    }

    fn store(&self, secret: &SecretString) -> Result<(), ErrorReply> {
        let fields = [("api_key".to_owned(), Secret(secret.clone()))].into();
        let request = Request::PutConnection {
            provider: PROVIDER.to_owned(),
            connection: "default".to_owned(),
            fields,
            replace: false,
        };
        Client::connect_or_start(self.0)?.call::<ConnectionView>(request).map(drop)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Ok(Some(mut client)) = Client::connect(self.0) {
            let _ = client.call::<()>(Request::Stop);
            // It closes the connection when it has gone; the home can be removed then.
            let _ = client.call::<()>(Request::Status);
        }
    }
}

/// Runs this program as the agent, through `authsome run`. Returns all that the agent wrote.
fn run_agent(
    home: &Home,
    directory: &Path,
    upstream: &Upstream,
) -> Result<(Vec<u8>, Observation), ErrorReply> {
    let own = std::env::current_exe()
        .map_err(|error| failed(format!("cannot find this program: {error}")))?;
    let ca = directory.join("upstream-ca.pem");
    crate::paths::write_private(&ca, upstream.ca.as_bytes())
        .map_err(|error| failed(error.to_string()))?;
    let again =
        netns::ourselves().map_err(|error| failed(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(again);
    command
        .arg("run")
        .args(["--resolve", &format!("{HOST}:443:127.0.0.1:{}", upstream.port)])
        .arg("--upstream-ca")
        .arg(&ca)
        .arg("--")
        .arg(own)
        .args([AGENT_ARGUMENT, &format!("https://{HOST}/v1/models"), &upstream.port.to_string()])
        .env("AUTHSOME_HOME", home.root())
        // The demo's home has one profile.
        .env_remove("AUTHSOME_PROFILE")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output =
        command.output().map_err(|error| failed(format!("cannot run the agent: {error}")))?;
    if !output.status.success() {
        return Err(ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("the demo's agent did not get through ({})", output.status),
            hint: Some("authsome doctor".to_owned()),
        });
    }
    let observation = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("the demo's agent answered nothing readable".to_owned()))?;
    Ok((output.stdout, observation))
}

fn judge(
    secret: &SecretString,
    output: &[u8],
    observation: &Observation,
    upstream: &Upstream,
) -> Report {
    let real = secret.expose_secret();
    let placeholder = &observation.placeholder;
    let received = upstream.received();
    let leaked = forms(real).into_iter().find(|form| contains(output, form));
    let checks = vec![
        Check {
            what: "the agent had a placeholder, not the key",
            seen: !placeholder.is_empty() && placeholder != real,
            detail: format!("OPENAI_API_KEY={placeholder}"),
        },
        Check {
            what: "no proxy variable was set",
            seen: observation.proxy_variables.is_empty(),
            detail: listing(&observation.proxy_variables, "none"),
        },
        Check {
            what: "the server received the key",
            seen: received.iter().any(|header| header == &format!("Bearer {real}")),
            detail: format!("{} request(s)", received.len()),
        },
        Check {
            what: "the response that echoed it showed the placeholder",
            seen: observation.response.contains(placeholder.as_str()),
            detail: observation.response.trim().to_owned(),
        },
        Check {
            what: "environment, files, processes and response held no secret",
            seen: leaked.is_none() && observation.looked_at > 0,
            detail: format!("{} places looked at", observation.looked_at),
        },
        Check {
            what: "nothing leads out directly",
            seen: observation.direct.is_some() && observation.interfaces == ["lo"],
            detail: format!(
                "interfaces: {}; 127.0.0.1:{}: {}",
                observation.interfaces.join(", "),
                upstream.port,
                observation.direct.as_deref().unwrap_or("connected")
            ),
        },
    ];
    Report {
        sent: format!(
            "GET /v1/models, Authorization: Bearer {placeholder}  ({})",
            observation.client
        ),
        received: received.first().map_or_else(
            || "nothing".to_owned(),
            |header| format!("GET /v1/models, Authorization: {header}"),
        ),
        answered: observation.response.trim().to_owned(),
        checks,
    }
}

/// A secret as it is and as it is commonly encoded.
fn forms(secret: &str) -> Vec<String> {
    vec![secret.to_owned(), STANDARD.encode(secret), hex::encode(secret)]
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn listing(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

/// A key in the API's format that opens nothing anywhere.
fn demo_secret() -> Result<SecretString, ErrorReply> {
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes)
        .map_err(|error| failed(format!("the kernel gives no random numbers: {error}")))?;
    Ok(SecretString::from(format!("sk-proj-{}", hex::encode(bytes))))
}

fn failed(message: String) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_encoded() {
        for form in forms("sk-secret") {
            assert!(contains(format!("x{form}y").as_bytes(), &form));
        }
        assert!(!contains(b"nothing", "sk-secret"));
    }
}
