//! One row of the matrix: a client, what it was seen to do, and what is expected of it.
//!
//! A row is run three times. Before anything is connected the upstream shows a certificate that nobody
//! trusts: a client that sends a request then does not verify, and proves nothing. With the connection
//! there, the upstream must see the credential. And once more without variables (`env -i`), but for
//! those that the client cannot do its work without.
//!
//! What was seen is written to a file before it is judged, so that `scripts/matrix` can print the whole
//! table, failures too.

use std::{
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::account::Account;
use crate::support::{Program, Scene, Seen, write};

/// How long one client may take; the slowest starts a JVM that compiles.
const LIMIT: Duration = Duration::from_secs(90);
/// For one that is expected not to come through: it may try again for long.
const SHORT_LIMIT: Duration = Duration::from_secs(15);

/// What a client is known to do without variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bare {
    Trusts,
    /// And why not.
    Refuses(&'static str),
}

/// One client.
#[derive(Clone, Debug)]
pub(super) struct Row {
    group: &'static str,
    name: &'static str,
    command: Vec<String>,
    account: Account,
    protocol: &'static str,
    files: Vec<(&'static str, String)>,
    environment: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    needs: Vec<&'static str>,
    bare: Bare,
    lasting: bool,
    own_roots: bool,
    path: &'static str,
    note: &'static str,
}

/// How a client ended.
#[derive(Debug)]
enum Fate {
    Ended(ExitStatus),
    /// It had done what it was run for.
    Enough,
    OutOfTime,
}

#[derive(Debug)]
struct Ended {
    fate: Fate,
    said: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n{}", self.fate, self.said)
    }
}

impl Ended {
    fn succeeded(&self) -> bool {
        matches!(self.fate, Fate::Ended(status) if status.success())
    }

    fn well(&self) -> bool {
        self.succeeded() || matches!(self.fate, Fate::Enough)
    }
}

impl Row {
    pub(super) fn new<I: IntoIterator<Item: Into<String>>>(
        group: &'static str,
        name: &'static str,
        account: Account,
        command: I,
    ) -> Self {
        Self {
            group,
            name,
            command: command.into_iter().map(Into::into).collect(),
            account,
            protocol: "h1",
            files: Vec::new(),
            environment: Vec::new(),
            variables: Vec::new(),
            needs: Vec::new(),
            bare: Bare::Trusts,
            lasting: false,
            own_roots: false,
            path: "",
            note: "",
        }
    }

    /// What it speaks when it may choose: `h1` if this is not called.
    pub(super) fn speaks(mut self, protocol: &'static str) -> Self {
        self.protocol = protocol;
        self
    }

    /// A file in the directory where it starts, which is its home.
    pub(super) fn file(mut self, name: &'static str, contents: impl Into<String>) -> Self {
        self.files.push((name, contents.into()));
        self
    }

    /// A variable that it cannot do without; a run with the connection sets its own placeholder.
    pub(super) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// A variable of the shell that the run is started from.
    pub(super) fn environment(mut self, name: &'static str, value: String) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Variables that it keeps under `env -i`; none of them is about trust.
    pub(super) fn needs<const N: usize>(mut self, names: [&'static str; N]) -> Self {
        self.needs.extend(names);
        self
    }

    /// It does not trust the run without variables, and why.
    pub(super) fn refuses_bare(mut self, why: &'static str) -> Self {
        self.bare = Bare::Refuses(why);
        self
    }

    /// It goes on about the answer: what it was run for is done when the credential has been seen.
    pub(super) fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// The user has roots of its own, that of the upstream among them: what is spliced works too.
    pub(super) fn with_own_roots(mut self) -> Self {
        self.own_roots = true;
        self
    }

    /// The part of the address that the request with the credential is known by.
    pub(super) fn asks(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(super) fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// Runs it, writes its line, and insists on what is expected.
    pub(super) fn check(self) {
        let scene = Scene::new();
        for (name, contents) in &self.files {
            write(&scene.user_home().join(name), contents.as_bytes());
        }

        let stranger = self.meet_stranger(&scene);
        let (refused, offered) = (stranger.is_ok(), *stranger.as_ref().unwrap_or(&"h1"));
        self.account.connect(&scene);
        let (seen, ended) = self.with_credential(&scene, &self.command, LIMIT);
        let injected = seen.is_some();
        let spoken = seen.as_ref().map_or(offered, |seen| protocol_of(seen, offered));
        let limit = if self.bare == Bare::Trusts { LIMIT } else { SHORT_LIMIT };
        let (bare, bare_ended) = self.with_credential(&scene, &self.bare_command(), limit);

        let line = [
            self.group,
            self.name,
            yes(injected),
            yes(injected && refused),
            spoken,
            match self.bare {
                Bare::Refuses(_) if bare.is_none() => "no",
                Bare::Trusts | Bare::Refuses(_) => yes(bare.is_some()),
            },
            &self.notes(),
        ]
        .join("\t");
        write(&self.record(), format!("{line}\n").as_bytes());

        let name = self.name;
        if let Err(why) = stranger {
            panic!("{name} proves nothing: {why}");
        }
        assert!(injected, "{name}: no request had the credential\n{ended}");
        assert!(ended.well(), "{name} failed: {ended}");
        assert_eq!(spoken, self.protocol, "{name}");
        match self.bare {
            Bare::Trusts => {
                assert!(bare.is_some(), "{name} without variables: {bare_ended}");
                assert!(bare_ended.well(), "{name} without variables: {bare_ended}");
            }
            Bare::Refuses(why) => assert!(
                bare.is_none(),
                "{name} trusts the run without variables: \"{why}\" is no longer true"
            ),
        }
    }

    /// Runs it against a certificate that nothing makes it trust. What it would have spoken; or why it
    /// cannot be said to have turned away.
    fn meet_stranger(&self, scene: &Scene) -> Result<&'static str, String> {
        let host = self.account.host;
        let knocks = || scene.upstream.knocks().into_iter().filter(|knock| knock.name == host);
        // Some verify when the handshake is done: those end by themselves, having sent nothing.
        let command = with_variables("exec env", &self.variables, &self.command);
        let ended = Client::start(self, scene, &command, false)
            .until(LIMIT, || knocks().any(|knock| knock.broken));
        let sent = scene.upstream.seen();
        let Some(knock) = knocks().max_by_key(|knock| knock.broken) else {
            return Err(format!("it never tried\n{ended}"));
        };
        if !sent.is_empty() || (!knock.broken && ended.succeeded()) {
            return Err(format!("it sent {sent:?} to whom it had no reason to trust\n{ended}"));
        }
        Ok(if knock.h2 { "h2" } else { "h1" })
    }

    /// Runs it with the connection there. The first request that had the credential, and how it ended.
    fn with_credential(
        &self,
        scene: &Scene,
        command: &[String],
        limit: Duration,
    ) -> (Option<Seen>, Ended) {
        let before = scene.upstream.seen().len();
        let (header, value) = self.account.sent();
        let found = || {
            scene.upstream.seen().into_iter().skip(before).find(|seen| {
                seen.header(header) == Some(value.as_str()) && seen.uri.contains(self.path)
            })
        };
        let mut child = Client::start(self, scene, command, true);
        let ended = child.until(limit, || self.lasting && found().is_some());
        (found(), ended)
    }

    /// The command with no variables but those it needs.
    fn bare_command(&self) -> Vec<String> {
        let keep: Vec<_> = self.needs.iter().map(|name| (*name, format!("${{{name}}}"))).collect();
        with_variables("exec env -i", &keep, &self.command)
    }

    fn notes(&self) -> String {
        let why = match self.bare {
            Bare::Trusts => "",
            Bare::Refuses(why) => why,
        };
        [why, self.note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
    }

    /// Where the line goes.
    fn record(&self) -> PathBuf {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix");
        std::fs::create_dir_all(&directory).unwrap();
        directory.join(self.name.replace([' ', '/'], "-"))
    }
}

/// A client that runs.
#[derive(Debug)]
struct Client {
    child: Child,
    said: tempfile::NamedTempFile,
}

impl Client {
    fn start(row: &Row, scene: &Scene, command: &[String], connected: bool) -> Self {
        let mut program = scene.run(command);
        for (name, value) in row.environment.iter().chain(&row.variables) {
            program = program.env(name, value);
        }
        if row.own_roots && connected {
            program = program.env("SSL_CERT_FILE", scene.ca_file());
        }
        let said = tempfile::NamedTempFile::new().unwrap();
        let Program { mut command, .. } = program;
        command.stdin(Stdio::null());
        let output = said.reopen().unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Self { child: command.spawn().unwrap(), said }
    }

    /// Waits until it has ended, or ends it when `enough` is so or the time is up.
    fn until(&mut self, limit: Duration, enough: impl Fn() -> bool) -> Ended {
        let deadline = Instant::now() + limit;
        let fate = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Fate::Ended(status);
            }
            let enough = enough();
            if enough || Instant::now() > deadline {
                // Everything in its namespace ends with it.
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                break if enough { Fate::Enough } else { Fate::OutOfTime };
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Ended { fate, said: std::fs::read_to_string(self.said.path()).unwrap_or_default() }
    }
}

/// A command of a shell that sets variables by means of the one it is given.
fn with_variables(env: &str, variables: &[(&str, String)], command: &[String]) -> Vec<String> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let script = format!("{env} {} \"$@\"", variables.join(" "));
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()];
    shell.into_iter().chain(command.iter().cloned()).collect()
}

fn protocol_of(seen: &Seen, offered: &'static str) -> &'static str {
    if seen.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")) {
        "grpc"
    } else if seen.header("upgrade").is_some() {
        "ws"
    } else {
        offered
    }
}

/// In capitals where it should be otherwise.
fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "NO" }
}
