//! The sidecar's two processes, as `/proc` tells them to everybody (proc_pid_status(5)).

use std::{fs, path::Path};

use super::RESTART;
use crate::{cli::SidecarArgs, commands::sidecar::guarded_by, doctor::Finding, sidecar::is_ready};

/// `CAP_NET_ADMIN` and nothing else (linux/capability.h).
const NETWORK_ALONE: u64 = 1 << 12;

/// A process that guards.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) pid: u32,
    pub(super) args: SidecarArgs,
}

impl Guard {
    /// The process of this number, if it is one.
    pub(super) fn of(pid: u32) -> Option<Self> {
        guarded_by(pid).map(|args| Self { pid, args })
    }

    /// The process that started this worker.
    pub(super) fn above(worker: u32) -> Option<Self> {
        Self::of(line(&status(worker), "PPid:")?.parse().ok()?)
    }
}

/// Is it there, does it watch, has it said that all is ready?
pub(super) fn guard(guard: Option<&Guard>, trust_dir: &Path) -> Finding {
    const NAME: &str = "guard";
    let fail = |detail: String, mend: String| Finding::fail(NAME, detail, Some(mend));
    let Some(Guard { pid, .. }) = guard else {
        return fail("there is none: nobody watches the rules".to_owned(), RESTART.to_owned());
    };
    let status = status(*pid);
    if line(&status, "State:").is_some_and(|state| state.starts_with(['T', 't'])) {
        return fail(
            format!("process {pid} is stopped: nobody watches the rules"),
            format!("kill -CONT {pid}"),
        );
    }
    if let Some(wrong) = rights_of_guard(&status) {
        return fail(format!("process {pid}: {wrong}"), RESTART.to_owned());
    }
    if !is_ready(trust_dir) {
        return fail(
            format!("process {pid} has not said in {} that it is ready", trust_dir.display()),
            "authsome doctor again in a few seconds; after that, docker logs SIDECAR".to_owned(),
        );
    }
    Finding::ok(NAME, format!("process {pid} is ready, with NET_ADMIN alone"))
}

/// It reads what the network sends: it may do nothing.
pub(super) fn worker(pid: u32) -> Finding {
    let wrong: Vec<String> = rights_of_worker(&status(pid)).into_iter().collect();
    let good = format!("process {pid} has no capability, and no way to one");
    Finding::unless("worker", &wrong, good, RESTART)
}

fn rights_of_guard(status: &str) -> Option<String> {
    for set in ["CapPrm:", "CapEff:"] {
        let held = line(status, set).and_then(|value| u64::from_str_radix(value, 16).ok());
        if held != Some(NETWORK_ALONE) {
            return Some(format!("{set} is not NET_ADMIN alone"));
        }
    }
    new_rights(status)
}

fn rights_of_worker(status: &str) -> Option<String> {
    let left = netns::shared::no_right_is_left(status).err().map(|error| error.to_string());
    left.or_else(|| new_rights(status))
}

fn new_rights(status: &str) -> Option<String> {
    (line(status, "NoNewPrivs:") != Some("1")).then(|| "setuid programs give it rights".to_owned())
}

/// Empty of a process that is gone, which then proves nothing.
fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

fn line<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "CapInh:\t00\nCapPrm:\t00\nCapEff:\t00\nCapAmb:\t00\nNoNewPrivs:\t1\n";
    const NETWORK: &str = "CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\nNoNewPrivs:\t1\n";

    #[test]
    fn a_worker_with_a_right_or_a_way_to_one_is_wrong() {
        assert_eq!(rights_of_worker(NONE), None);
        assert!(rights_of_worker(&NONE.replace("Prm:\t0", "Prm:\t1")).is_some());
        assert!(rights_of_worker(&NONE.replace("Privs:\t1", "Privs:\t0")).is_some());
        assert!(rights_of_worker("").is_some());
    }

    #[test]
    fn a_guard_with_another_right_or_a_way_to_one_is_wrong() {
        assert_eq!(rights_of_guard(NETWORK), None);
        assert!(rights_of_guard(&NETWORK.replace("Eff:\t0", "Eff:\t8")).is_some());
        assert!(rights_of_guard(&NETWORK.replace("Privs:\t1", "Privs:\t0")).is_some());
        assert!(rights_of_guard("").is_some());
    }

    #[test]
    fn this_process_guards_nothing() {
        assert!(Guard::of(std::process::id()).is_none());
    }
}
