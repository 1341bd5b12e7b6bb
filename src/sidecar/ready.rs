//! Is the sidecar of this container ready? A file says so, and of whom: one that was left behind by a
//! guard that was killed says it of nobody that lives.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// The file's name in the shared directory.
pub(super) const FILE: &str = "ready";

/// What the file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// The guard.
    pid: u32,
    /// When it was started, in clock ticks since the machine was (proc_pid_stat(5)): a number is given
    /// out again, and in a container it is always 1.
    started: u64,
}

impl Ready {
    /// Of the process that started this one.
    pub(super) fn of_parent() -> Option<Self> {
        Self::of(nix::unistd::getppid().as_raw().cast_unsigned())
    }

    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: started(&stat)? })
    }
}

/// Does the directory say that a sidecar is ready which is still there?
#[must_use]
pub fn is_ready(directory: &Path) -> bool {
    guard_of(directory).is_some()
}

/// The guard of the sidecar that the directory says is ready, if it is still there.
#[must_use]
pub fn guard_of(directory: &Path) -> Option<u32> {
    let said: Ready = serde_json::from_slice(&fs::read(directory.join(FILE)).ok()?).ok()?;
    (Ready::of(said.pid).as_ref() == Some(&said)).then_some(said.pid)
}

/// The 22nd field, of a process that has not ended. The second, in parentheses, may hold anything.
fn started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ready: &Ready) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let text = serde_json::to_vec(ready).unwrap();
        crate::paths::write_private(&directory.path().join(FILE), &text).unwrap();
        directory
    }

    #[test]
    fn what_a_living_process_has_said_counts() {
        assert!(is_ready(said(&Ready::of(std::process::id()).unwrap()).path()));
    }

    #[test]
    fn what_an_earlier_process_of_the_same_number_has_said_does_not() {
        let mut ready = Ready::of(std::process::id()).unwrap();
        ready.started -= 1;
        assert!(!is_ready(said(&ready).path()));
    }

    #[test]
    fn a_program_may_be_called_anything() {
        assert_eq!(started(&stat("a) b", "S")), Some(22));
    }

    #[test]
    fn a_process_that_waits_to_be_reaped_has_ended() {
        assert_eq!(started(&stat("a", "Z")), None);
    }

    fn stat(name: &str, state: &str) -> String {
        let fields: Vec<String> = (4..30).map(|n| n.to_string()).collect();
        format!("1 ({name}) {state} {}", fields.join(" "))
    }
}
