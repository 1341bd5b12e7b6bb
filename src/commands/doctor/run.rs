//! The outside of the examined run: it starts it, asks its agent, and hears what that saw.

use std::{
    collections::BTreeMap,
    env, fs, io,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::{ffi::OsStrExt as _, fs::FileTypeExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use super::host::Host;

use crate::{
    commands::Context,
    daemon::client::Client,
    doctor::{self, Clients, Finding, Process, Questions, Seen, digest},
    protocol::{Request, Status},
    provider::Registry,
};

const NAME: &str = "redirection";

/// Name servers that programs ask past the system's: Google's, Cloudflare's over both families, and
/// systemd-resolved's.
const RESOLVERS: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)),
];

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) findings: Vec<Finding>,
    pub(super) clients: Vec<doctor::Client>,
}

/// Starts the run and has its agent look.
pub(super) fn inside(context: &Context, client: &mut Client, clients: Clients) -> Inside {
    let host = Host::open();
    let began = Instant::now();
    let asked = questions(context, client, &host, clients);
    let said = match stage(context, asked) {
        Ok(said) => said,
        Err(error) => {
            let finding = Finding::fail(NAME, format!("cannot start a run: {error}"), None);
            return Inside { findings: vec![finding], clients: Vec::new() };
        }
    };
    let mut inside = Inside::default();
    inside.findings.push(said.redirection(began));
    for seen in said.seen {
        match seen {
            Seen::Check(finding) => inside.findings.push(finding),
            Seen::Client(client) => inside.clients.push(client),
            Seen::Variables(values) => inside.findings.push(environment(&values)),
            Seen::End => inside.findings.push(host.nothing_arrived()),
        }
    }
    inside
}

fn questions(context: &Context, client: &mut Client, host: &Host, clients: Clients) -> Questions {
    let entries = fs::read_dir(context.home.root()).into_iter().flatten().flatten();
    let daemon = client.call::<Status>(Request::Status).ok();
    let mut processes = vec![Process::find("the doctor", std::process::id())];
    processes.push(daemon.and_then(|status| Process::find("the daemon", status.pid)));
    Questions {
        loopback: host.loopback.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
        own: host.own.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
        abstract_socket: host.named.as_ref().map(|(name, _)| name.clone()),
        sockets: sockets(context),
        processes: processes.into_iter().flatten().collect(),
        key: host.key.as_ref().map(|(name, _)| name.clone()),
        home: context.home.root().to_owned(),
        home_entries: entries.filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        resolvers: RESOLVERS.to_vec(),
        variables: variables(context),
        clients,
    }
}

/// Sockets that somebody listens at: the daemon's, and those that are hidden from every run.
fn sockets(context: &Context) -> Vec<PathBuf> {
    let uid = context.actor.owner().map_or_else(|| rustix::process::getuid().as_raw(), |o| o.uid);
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut found = vec![context.home.daemon_socket()];
    for path in netns::default_hidden(uid, runtime.as_deref()) {
        let below = fs::read_dir(&path).into_iter().flatten().flatten();
        found.extend(below.map(|entry| entry.path()));
        found.push(path);
    }
    found.retain(|path| is_listening(path));
    found
}

fn is_listening(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_ok()
}

/// Where clients look for the secrets of providers.
fn variables(context: &Context) -> Vec<String> {
    let (registry, _) = Registry::load(Some(&context.home.providers()));
    let fields = registry.iter().flat_map(|definition| &definition.fields);
    let mut names: Vec<String> = fields
        .filter(|field| field.secret)
        .flat_map(|field| field.env.iter().map(ToString::to_string))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// None of the user's own values may be the agent's.
fn environment(inside: &BTreeMap<String, String>) -> Finding {
    let wrong: Vec<String> = inside
        .iter()
        .filter(|(name, seen)| {
            env::var_os(name.as_str())
                .is_some_and(|own| !own.is_empty() && digest(own.as_bytes()) == **seen)
        })
        .map(|(name, _)| format!("{name} reaches the agent as it is"))
        .collect();
    let good = match inside.len() {
        0 => "no variable holds a credential".to_owned(),
        number => format!("{number} variable(s) hold placeholders, none a value of yours"),
    };
    Finding::unless("environment", &wrong, good, "unset it before authsome run")
}

/// What the run's process said.
#[derive(Debug, Default)]
struct Said {
    seen: Vec<Seen>,
    warnings: Vec<String>,
    error: Option<(String, Option<String>)>,
}

impl Said {
    /// The namespace was probed before the agent began; that it ended as it should proves the rest.
    fn redirection(&self, began: Instant) -> Finding {
        if let Some((message, hint)) = &self.error {
            return Finding::fail(NAME, message.clone(), hint.clone());
        }
        if !self.seen.iter().any(|seen| matches!(seen, Seen::End)) {
            let mend = Some("see `authsome daemon logs`".to_owned());
            return Finding::fail(NAME, "the run ended before everything was tried", mend);
        }
        let took = began.elapsed().as_millis();
        let detail = format!("a run was made, probed and examined from inside ({took} ms)");
        match self.warnings.first() {
            None => Finding::ok(NAME, detail),
            Some(warning) => Finding::warn(NAME, format!("{detail}; {warning}"), "see the warning"),
        }
    }

    /// One line of standard error: an object with `error` or `warning`, as [`crate::output`] writes it.
    fn note(&mut self, line: &str) {
        let Ok(value) = serde_json::from_str::<Value>(line) else { return };
        let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
        if let Some(message) = text("/error/message") {
            self.error = Some((message, text("/error/hint")));
        }
        self.warnings.extend(text("/warning/message"));
    }
}

/// Runs this program as the run and asks its agent.
fn stage(context: &Context, mut asked: Questions) -> io::Result<Said> {
    let mut command = Command::new("/proc/self/exe");
    let named = &context.named;
    for (flag, value) in [("--profile", &named.profile), ("--identity", &named.identity)] {
        if let Some(value) = value {
            command.arg(flag).arg(value);
        }
    }
    let mut child = command
        .args(["--json", "doctor", "--stage"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    asked.processes.extend(Process::find("the run", child.id()));
    let written = child.stdin.take().map(|mut stdin| {
        let line = serde_json::to_vec(&asked)?;
        stdin.write_all(&line)
    });
    let stderr = child.stderr.take();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut text));
        text
    });
    let mut said = Said::default();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        // Whatever else writes there is no answer.
        said.seen.extend(line.ok().and_then(|line| serde_json::from_str(&line).ok()));
    }
    child.wait()?;
    errors.join().unwrap_or_default().lines().for_each(|line| said.note(line));
    if said.error.is_none() && said.seen.is_empty() {
        written.transpose()?;
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_run_that_ends_before_the_end_is_a_failure() {
        let mut said = Said::default();
        assert_eq!(said.redirection(Instant::now()).state, State::Fail);
        said.seen.push(Seen::End);
        assert_eq!(said.redirection(Instant::now()).state, State::Ok);
    }

    #[test]
    fn what_the_run_says_of_itself_is_told_with_its_mend() {
        let mut said = Said::default();
        said.note(r#"{"v":1,"error":{"kind":"failed","message":"cannot x","hint":"do y"}}"#);
        let found = said.redirection(Instant::now());
        assert_eq!((found.detail.as_str(), found.mend.as_deref()), ("cannot x", Some("do y")));
    }

    #[test]
    fn a_value_that_is_the_users_own_is_a_leak() {
        let own = env::var("PATH").unwrap();
        let inside = |value: &str| [("PATH".to_owned(), digest(value.as_bytes()))].into();
        assert_eq!(environment(&inside(&own)).state, State::Fail);
        assert_eq!(environment(&inside("placeholder")).state, State::Ok);
    }
}
