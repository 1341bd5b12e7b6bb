//! What the commands use to speak to the daemon: blocking, one connection, no runtime.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::wire::Wire;
use crate::paths::{self, Home};
use crate::protocol::vault::VaultState;
use crate::protocol::{Envelope, ErrorKind, ErrorReply, ListenerKind, Reply, Request, RunEvent};

/// How long a daemon that is starting may take before a command gives up.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What the daemon takes over of the environment of whoever starts it: it outlives that shell, and
/// whatever else was set there (keys, a preloaded library) is none of its business.
const KEPT_VARIABLES: [&str; 17] = [
    "ALL_PROXY",
    "AUTHSOME_LOG",
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "HTTPS_PROXY",
    "LANG",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "https_proxy",
    "no_proxy",
];

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    events: Vec<RunEvent>,
    acting: Acting,
    vault: VaultState,
}

/// In which profile, and as which agent, something is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acting {
    /// Profile; none: the one in use.
    pub profile: Option<String>,
    /// Agent identity, where one was named.
    pub identity: Option<String>,
}

/// Whose daemon is started, when a root `run` acts for the user who called sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
}

/// One line of the daemon's start-up report on its standard output.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Started {
    /// It serves.
    Ready,
    /// Another one already holds the home.
    AlreadyRunning,
    /// It could not start.
    Error(ErrorReply),
}

impl Client {
    /// Connects to the daemon if there is one.
    pub fn connect(home: &Home) -> Result<Option<Self>, ErrorReply> {
        match UnixStream::connect(home.daemon_socket()) {
            Ok(stream) => Ok(Some(Self {
                wire: Wire::new(stream),
                events: Vec::new(),
                acting: Acting::default(),
                vault: VaultState::Open,
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(unavailable(
                format!("cannot connect to {}: {error}", home.daemon_socket().display()),
                None,
            )),
        }
    }

    /// The process that listens at the home's socket and does not answer within `limit`; none if there
    /// is no daemon, or one that answers.
    pub fn unresponsive(home: &Home, limit: Duration) -> Option<u32> {
        let stream = UnixStream::connect(home.daemon_socket()).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        stream.set_write_timeout(Some(limit)).ok()?;
        let peer = super::peer::process(&stream)?;
        let mut wire = Wire::new(stream);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let request = Request::Status;
        let asked = Envelope { version, profile: None, identity: None, request };
        let answered = wire.send(&asked, &[]).and_then(|()| wire.receive::<Value>());
        let late = answered.is_err_and(|error| {
            matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        });
        late.then_some(peer)
    }

    /// Connects to the daemon, starting it if there is none.
    pub fn connect_or_start(home: &Home) -> Result<Self, ErrorReply> {
        Self::connect_or_start_as(home, None)
    }

    /// As [`Client::connect_or_start`]; a daemon that is started takes over these variables too.
    pub fn connect_or_start_with(home: &Home, variables: &[String]) -> Result<Self, ErrorReply> {
        Self::connect_or_start_by(home, None, variables)
    }

    /// As [`Client::connect_or_start`], with the daemon running as `owner`.
    pub fn connect_or_start_as(home: &Home, owner: Option<&Owner>) -> Result<Self, ErrorReply> {
        Self::connect_or_start_by(home, owner, &[])
    }

    fn connect_or_start_by(
        home: &Home,
        owner: Option<&Owner>,
        variables: &[String],
    ) -> Result<Self, ErrorReply> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            // Asked something first: a daemon that was killed may still take a connection, and then
            // never answer.
            if let Some(mut client) = Self::connect(home)? {
                match client.ask::<Value>(Request::Status, &[]) {
                    Ok(Reply::Ok(status)) => {
                        // Another version's status may not say.
                        let vault = status.get("vault").cloned().map(serde_json::from_value);
                        client.vault = vault.and_then(Result::ok).unwrap_or_default();
                        return Ok(client);
                    }
                    // It lives, and has said why it does not serve us: no other would.
                    Ok(Reply::Error(error)) => return Err(error),
                    Err(_) => {}
                }
            }
            match start(home, owner, variables)? {
                Started::Ready => {}
                // It holds the lock but not yet the socket, or is on its way out: look again.
                Started::AlreadyRunning => std::thread::sleep(Duration::from_millis(20)),
                Started::Error(error) => return Err(error),
            }
            if Instant::now() > deadline {
                return Err(unavailable(
                    "the daemon holds its lock but does not answer".to_owned(),
                    Some(format!("see {}", home.daemon_log().display())),
                ));
            }
        }
    }

    /// The same, asking for this profile and as this agent from now on.
    #[must_use]
    pub fn acting(self, acting: Acting) -> Self {
        Self { acting, ..self }
    }

    /// Could the vaults be read when [`Client::connect_or_start`] asked?
    #[must_use]
    pub fn vault_state(&self) -> VaultState {
        self.vault
    }

    /// Asks, and waits for the answer.
    pub fn call<T: DeserializeOwned>(&mut self, request: Request) -> Result<T, ErrorReply> {
        self.call_with(request, &[])
    }

    /// Hands listening sockets over; returns when the daemon accepts on them.
    pub fn attach(
        &mut self,
        listeners: &[(ListenerKind, BorrowedFd<'_>)],
    ) -> Result<(), ErrorReply> {
        let kinds = listeners.iter().map(|(kind, _)| *kind).collect();
        let descriptors: Vec<_> = listeners.iter().map(|(_, descriptor)| *descriptor).collect();
        self.call_with::<Value>(Request::Attach { listeners: kinds }, &descriptors).map(drop)
    }

    /// What the daemon said unasked since the last look. Reads the socket only if `readable`;
    /// `None` when the daemon is gone.
    pub fn take_events(&mut self, readable: bool) -> Option<Vec<RunEvent>> {
        let mut first = readable;
        while first || self.wire.has_line() {
            first = false;
            match self.wire.receive::<Value>() {
                Ok(Some(value)) => {
                    if let Ok(event) = serde_json::from_value(value) {
                        self.events.push(event);
                    }
                }
                Ok(None) | Err(_) => return None,
            }
        }
        Some(std::mem::take(&mut self.events))
    }

    /// As [`Client::call`], with descriptors beside the request.
    pub fn call_with<T: DeserializeOwned>(
        &mut self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<T, ErrorReply> {
        match self.ask(request, descriptors)? {
            Reply::Ok(value) => Ok(value),
            Reply::Error(error) => Err(error),
        }
    }

    /// The daemon's answer; an error if there is none.
    fn ask<T: DeserializeOwned>(
        &mut self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Reply<T>, ErrorReply> {
        let Acting { profile, identity } = self.acting.clone();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let envelope = Envelope { version, profile, identity, request };
        // A daemon that refuses us says so and closes, without waiting for what we have to say.
        let sent = self.wire.send(&envelope, descriptors);
        loop {
            let received = self.wire.receive().map_err(lost)?;
            let value: Value = match (received, &sent) {
                (Some(value), _) => value,
                (None, Err(error)) => return Err(lost(error.kind().into())),
                (None, Ok(())) => {
                    return Err(unavailable(
                        "the daemon closed the connection".to_owned(),
                        Some("see `authsome daemon logs`".to_owned()),
                    ));
                }
            };
            if value.get("event").is_some() {
                if let Ok(event) = serde_json::from_value(value) {
                    self.events.push(event);
                }
                continue;
            }
            return serde_json::from_value(value).map_err(|_| {
                unavailable(
                    "the daemon's answer is not one this version knows".to_owned(),
                    Some("authsome daemon stop".to_owned()),
                )
            });
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}

fn unavailable(message: String, hint: Option<String>) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Unavailable, message, hint }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn lost(error: io::Error) -> ErrorReply {
    unavailable(format!("lost the daemon: {error}"), Some("see `authsome daemon logs`".to_owned()))
}

/// Variables that connections of any profile name.
fn named_by_profiles(home: &Home) -> BTreeSet<String> {
    let profiles = std::fs::read_dir(home.profiles()).into_iter().flatten().flatten();
    let names = profiles.filter_map(|entry| entry.file_name().into_string().ok());
    let files = names.filter_map(|name| home.variables(&name).ok());
    files.flat_map(|file| paths::named_variables(&file)).collect()
}

/// Starts a daemon and waits for its report.
fn start(home: &Home, owner: Option<&Owner>, variables: &[String]) -> Result<Started, ErrorReply> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        unavailable(format!("cannot start the daemon: {what}: {error}"), None)
    };
    // The daemon outlives us: what our caller left open, a lock most of all, must not stay open in it.
    netns::close_on_exec_above_stderr().map_err(|error| failed("descriptors", &error))?;
    let (reader, writer) = io::pipe().map_err(|error| failed("a pipe", &error))?;
    // Those that connections name, or are about to.
    let mut named = named_by_profiles(home);
    named.extend(variables.iter().cloned());
    let mut command =
        Command::new(netns::ourselves().map_err(|error| failed("execution", &error))?);
    command
        .arg0("authsome")
        .args(["daemon", "serve", "--detach"])
        .env_clear()
        .envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(named.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("AUTHSOME_HOME", home.root())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null());
    if let Some(owner) = owner {
        command.gid(owner.gid).uid(owner.uid).env("HOME", &owner.home).env("USER", &owner.name);
    }
    let mut child = command.spawn().map_err(|error| failed("execution", &error))?;
    // Else our copy of the pipe's writing end keeps it open.
    drop(command);
    let mut line = String::new();
    let read = BufReader::new(reader).read_line(&mut line);
    // What we started only starts the daemon, so that it is nobody's child.
    let status = child.wait().map(|status| status.to_string()).unwrap_or_default();
    match read {
        Ok(count) if count > 0 => serde_json::from_str(&line).map_err(|_| {
            unavailable("the daemon's start-up report is not readable".to_owned(), None)
        }),
        Ok(_) | Err(_) => Err(unavailable(
            format!("the daemon ended while starting ({status})"),
            Some(format!("see {}", home.daemon_log().display())),
        )),
    }
}
