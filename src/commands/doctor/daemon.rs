//! The daemon: does it answer, is it of this version, and what is wrong with what it holds.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use crate::{
    commands::{Context, login_command},
    daemon::client::Client,
    doctor::{Finding, State},
    protocol::{ConnectionView, ErrorKind, ErrorReply, Request, Status, VaultReport},
};

/// A daemon answers at once; a machine that is busy may let it wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that is there and says nothing: nobody else could serve the home.
pub(super) fn unresponsive(context: &Context) -> Option<Finding> {
    let pid = Client::unresponsive(&context.home, PATIENCE)?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which ends with the last parenthesis (proc_pid_stat(5)).
    let stopped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
    Some(if stopped {
        let detail = format!("process {pid} serves the home and is stopped");
        Finding::fail("daemon", detail, Some(format!("kill -CONT {pid}")))
    } else {
        let detail = format!("process {pid} serves the home and does not answer");
        Finding::fail("daemon", detail, Some(format!("kill {pid}")))
    })
}

/// Why none could be started; where another program holds the lock, that is why.
pub(super) fn not_started(context: &Context, error: ErrorReply) -> Finding {
    match lock_holder(&context.home.daemon_lock()) {
        Some(pid) if !is_ours(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let lock = context.home.daemon_lock();
            let detail =
                format!("{} is held by {} (pid {pid}), no daemon", lock.display(), name.trim());
            Finding::fail("daemon", detail, Some(format!("kill {pid}")))
        }
        _ => Finding::failed("daemon", error),
    }
}

/// The process with a lock on the file, from the kernel's list: `1: FLOCK ADVISORY WRITE 77 fe:00:1234 0 EOF`
/// (proc_locks(5)).
fn lock_holder(path: &Path) -> Option<u32> {
    let inode = fs::metadata(path).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let held = fields.get(1) == Some(&"FLOCK")
            && fields.get(5)?.rsplit_once(':').is_some_and(|(_, number)| number == inode);
        fields.get(4).filter(|_| held)?.parse().ok()
    })
}

fn is_ours(pid: u32) -> bool {
    let path = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    path(&pid.to_string()).is_some_and(|exe| Some(exe) == path("self")) || name.trim() == "authsome"
}

/// All that it can be asked.
pub(super) fn checks(client: &mut Client) -> Vec<Finding> {
    let mut findings = version(client);
    let vault = vault(client);
    // Without it nobody can say what is in it, and that it is why has been said.
    findings.extend((vault.state != State::Fail).then(|| logins(client)));
    findings.push(vault);
    findings
}

fn version(client: &mut Client) -> Vec<Finding> {
    match client.call::<Status>(Request::Status) {
        Ok(status) if status.version == env!("CARGO_PKG_VERSION") => {
            let detail = format!(
                "pid {}, version {}, {} run(s), master key in the {}",
                status.pid,
                status.version,
                status.runs.len(),
                status.master_key
            );
            vec![Finding::ok("daemon", detail), dashboard(status)]
        }
        Ok(status) => vec![Finding::fail(
            "daemon",
            format!("version {}, this is {}", status.version, env!("CARGO_PKG_VERSION")),
            Some("authsome daemon stop".to_owned()),
        )],
        Err(error) => vec![Finding::failed("daemon", error)],
    }
}

/// Logins by browser come back to it.
fn dashboard(status: Status) -> Finding {
    match status.dashboard {
        Some(url) => Finding::ok("dashboard", url),
        None => Finding::warn(
            "dashboard",
            "not served: its port is another program's",
            "set `dashboard_port` in config.toml, then authsome daemon stop",
        ),
    }
}

/// Connections that a run could not use.
fn logins(client: &mut Client) -> Finding {
    let request = Request::Connections { provider: None };
    let views: Vec<ConnectionView> = match client.call(request) {
        Ok(views) => views,
        Err(error) => return Finding::failed("connections", error),
    };
    if let Some(view) = views.iter().find(|view| view.status == "source_failed") {
        let reason = view.reason.as_deref().unwrap_or("its value does not come");
        return Finding::warn(
            "connections",
            format!("{}/{} cannot be used: {reason}", view.provider, view.connection),
            format!(
                "authsome get {} --connection {} --show-secret",
                view.provider, view.connection
            ),
        );
    }
    match views.iter().find(|view| view.status == "needs_login") {
        None => Finding::ok("connections", format!("{} usable", views.len())),
        Some(view) => Finding::warn(
            "connections",
            format!("{}/{} needs a new login", view.provider, view.connection),
            login_command(view),
        ),
    }
}

fn vault(client: &mut Client) -> Finding {
    match client.call::<VaultReport>(Request::VerifyVault) {
        Ok(report) if report.damaged.is_empty() => {
            Finding::ok("vault", format!("{} record(s), all readable", report.records))
        }
        Ok(report) => Finding::fail(
            "vault",
            report.damaged.join("; "),
            Some("log in again to the connections that are named".to_owned()),
        ),
        // Asked again, a store says the same of what its disk holds.
        Err(error) if error.message.contains("corrupted") => Finding::fail(
            "vault",
            error.message,
            Some(
                "authsome vault restore BACKUP; without one, authsome daemon stop, move the store away and \
                 log in again"
                    .to_owned(),
            ),
        ),
        // A key that was read once is not read again.
        Err(ErrorReply { message, hint: Some(hint), .. }) if message.contains("master key") => {
            Finding::fail("vault", message, Some(format!("{hint}; then authsome daemon stop")))
        }
        Err(error) => Finding::failed("vault", error),
    }
}

/// What else it knows to be wrong, and nobody has said yet.
pub(super) fn problems(client: &mut Client, said: &[Finding]) -> Vec<Finding> {
    // Without the vault it has said so; then there is nobody to ask.
    let problems: Vec<ErrorReply> = client.call(Request::Problems).unwrap_or_default();
    problems
        .into_iter()
        .filter(|problem| !said.iter().any(|finding| is_about(finding, problem)))
        .map(|problem| match problem.kind {
            ErrorKind::Unavailable => Finding::failed("requests", problem),
            ErrorKind::Failed
            | ErrorKind::Usage
            | ErrorKind::NotFound
            | ErrorKind::LoginNeeded
            | ErrorKind::Exists => {
                Finding::warn("requests", problem.message, problem.hint.unwrap_or_default())
            }
        })
        .collect()
}

/// Does it say the same, or the same mend of a part of it?
fn is_about(finding: &Finding, problem: &ErrorReply) -> bool {
    finding.detail.contains(&problem.message)
        || matches!((&finding.mend, &problem.hint), (Some(own), Some(hint)) if own.starts_with(hint))
}
