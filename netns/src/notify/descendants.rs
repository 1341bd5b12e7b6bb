//! The end of everything that a process has started, where no pid namespace sees to it.
//!
//! As a subreaper (`PR_SET_CHILD_SUBREAPER`, prctl(2)) it is the parent of whatever has lost its own, so all
//! are found by their parents' numbers.

use std::{collections::HashMap, fs};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Ends all descendants of this process and waits until they are gone.
pub(super) fn end() {
    loop {
        for pid in all() {
            // One that has ended since needs no signal.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // Of those that live, one is a child: its end is waited for, and those that it leaves become ours.
        match waitpid(None, None) {
            Err(Errno::ECHILD) => return,
            Ok(_) | Err(_) => while_there_are_dead(),
        }
    }
}

fn while_there_are_dead() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// All descendants of this process.
pub(super) fn all() -> Vec<i32> {
    below(std::process::id().cast_signed(), &parents())
}

/// The parent of each process that can be seen.
fn parents() -> HashMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect()
}

/// The fourth field of proc_pid_stat(5). The second, the name, may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn below(root: i32, parents: &HashMap<i32, i32>) -> Vec<i32> {
    let is_below = |pid: &&i32| {
        let mut at = **pid;
        // No chain is longer than there are processes; a number reused meanwhile could close a circle.
        for _ in 0..parents.len() {
            match parents.get(&at) {
                Some(parent) if *parent == root => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().filter(is_below).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grandchildren_are_below_and_siblings_are_not() {
        let parents = HashMap::from([(1, 0), (10, 1), (11, 10), (12, 11), (20, 1)]);
        let mut found = below(10, &parents);
        found.sort_unstable();
        assert_eq!(found, [11, 12]);
    }

    #[test]
    fn a_circle_is_below_nobody() {
        assert!(below(1, &HashMap::from([(5, 6), (6, 5)])).is_empty());
    }

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parent("7 (a) S 9 (b)) S 42 7 7"), Some(42));
    }
}
