//! `authsome daemon start|stop|status|logs`.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Context, Error, count, log, whoami::running};
use crate::{
    cli::DaemonLogsArgs,
    daemon::client::Client,
    protocol::{Request, Status, audit::AuditView},
};

/// How long `stop` waits for open requests before it says that they go on.
const STOP_WAIT: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(20);

/// No more of the log than this is read.
const LOG_TAIL_BYTES: u64 = 1 << 20;

pub(super) fn start(context: &Context) -> Result<(), Error> {
    let was_running = Client::connect(&context.home)?.is_some();
    let status: Status = context.client()?.call(Request::Status)?;
    let word = if was_running { "already_running" } else { "started" };
    let members = json!({ "status": word, "daemon": running(&status) });
    Ok(context.output.result(members, |text| {
        let word = if was_running { "is running already" } else { "started" };
        text.line(format!("The daemon {word}, pid {}.", status.pid));
    })?)
}

pub(super) fn stop(context: &Context) -> Result<(), Error> {
    let word = match Client::connect(&context.home)? {
        None => "not_running",
        Some(mut client) => {
            client.call::<()>(Request::Stop)?;
            if gone(context)? { "stopped" } else { "stopping" }
        }
    };
    Ok(context.output.result(json!({ "status": word }), |text| {
        text.line(match word {
            "stopped" => "The daemon has stopped.",
            "stopping" => "The daemon stops when its open requests are done.",
            _ => "The daemon is not running.",
        });
    })?)
}

/// Waits for the daemon to end; has it, before patience has?
pub(super) fn gone(context: &Context) -> Result<bool, Error> {
    let start = Instant::now();
    while start.elapsed() < STOP_WAIT {
        if Client::connect(&context.home)?.is_none() {
            return Ok(true);
        }
        thread::sleep(STOP_POLL);
    }
    Ok(false)
}

pub(super) fn status(context: &Context) -> Result<(), Error> {
    let status: Option<Status> = match Client::connect(&context.home)? {
        Some(mut client) => Some(client.call(Request::Status)?),
        None => None,
    };
    let audit = status.as_ref().and_then(|_| log::view(context));
    let mut daemon = status.as_ref().map(running);
    if let (Some(Value::Object(daemon)), Some(audit)) = (&mut daemon, &audit) {
        daemon.insert("audit".to_owned(), json!(audit));
    }
    let members = json!({ "running": status.is_some(), "daemon": daemon });
    Ok(context.output.result(members, |text| {
        let Some(status) = &status else {
            text.line("The daemon is not running.");
            text.dim("It starts by itself when a command needs it.");
            return;
        };
        text.pairs([
            ("pid", status.pid.to_string()),
            ("version", status.version.clone()),
            ("uptime", format!("{} s", status.uptime_seconds)),
            ("master key", status.master_key.clone()),
            ("dashboard", status.dashboard.clone().unwrap_or_else(|| "not served".to_owned())),
            ("audit log", audit.as_ref().map_or_else(|| "unknown".to_owned(), audit_word)),
            ("runs", status.runs.len().to_string()),
        ]);
        for run in &status.runs {
            let requests = usize::try_from(run.requests).unwrap_or(usize::MAX);
            let requests = count(requests, "request");
            let ports: String = run
                .published
                .iter()
                .map(|port| format!(", localhost:{}", port.host_port))
                .collect();
            text.line(format!(
                "  {}  {}  {} s, {requests}{ports}",
                run.id, run.command, run.seconds
            ));
        }
    })?)
}

/// How the audit log is, in a few words.
fn audit_word(audit: &AuditView) -> String {
    let mut words = match &audit.error {
        Some(error) => format!("{error} (requests: {})", audit.when_unwritable),
        None => format!("signed up to {}", audit.seq),
    };
    if audit.lost > 0 {
        words.push_str(&format!("; {} events lost", audit.lost));
    }
    if let Some(alarm) = &audit.alarm {
        words.push_str(&format!("; tampered with: {alarm}"));
    }
    words
}

pub(super) fn logs(args: &DaemonLogsArgs, context: &Context) -> Result<(), Error> {
    let path = context.home.daemon_log();
    let log = match tail(&path) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let what = format_args!("cannot read {}", path.display());
            return Err(Error::caused(what, &error));
        }
    };
    let lines: Vec<&str> = log.lines().collect();
    let lines = lines.get(lines.len().saturating_sub(args.lines)..).unwrap_or_default();
    let members = json!({ "path": path.display().to_string(), "lines": lines });
    Ok(context.output.result(members, |text| {
        if lines.is_empty() {
            text.line("The daemon has logged nothing.");
        }
        for line in lines {
            text.line(line);
        }
    })?)
}

/// The end of a log, whole lines.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once('\n') {
        Some((_, whole)) if start > 0 => Ok(whole.to_owned()),
        _ => Ok(text),
    }
}
