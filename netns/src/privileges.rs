//! Giving up every right, and making sure of it.

#![cfg(target_os = "linux")]

use std::{fs, io};

use caps::CapSet;
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::{spec::Credentials, sys};

/// Lines of `/proc/self/status` that must say that no capability is left (proc_pid_status(5)).
const CAPABILITY_SETS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

/// Makes this process, and so all it starts, one without capabilities and without a way to get any;
/// with `user`, that user. Nested user namespaces stay possible: they bring their own capabilities
/// (user_namespaces(7)).
pub(crate) fn drop_all(user: Option<&Credentials>) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    caps::clear(None, CapSet::Bounding).map_err(io::Error::other)?;
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    if let Some(user) = user {
        become_user(user)?;
    }
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    die_with_parent()?;
    prctl::set_dumpable(false)?;
    sys::join_new_session_keyring()?;
    sys::forbid_typing_into_terminals()?;
    verify(&fs::read_to_string("/proc/self/status")?, &CAPABILITY_SETS)
}

/// The same where there is no namespace: a process without `CAP_SETPCAP` keeps its bounding set, of which
/// it can make nothing with `no_new_privs`. It stays dumpable.
pub(crate) fn drop_outside_a_namespace(user: Option<&Credentials>) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    let bounded = caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP)
        .map_err(io::Error::other)?;
    if bounded {
        caps::clear(None, CapSet::Bounding).map_err(io::Error::other)?;
    }
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    if let Some(user) = user {
        become_user(user)?;
    }
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::clear(None, set).map_err(io::Error::other)?;
    }
    // A change of ids has taken that away (prctl(2)).
    prctl::set_dumpable(true)?;
    sys::join_new_session_keyring()?;
    sys::forbid_typing_into_terminals()?;
    let sets = CAPABILITY_SETS.into_iter().filter(|set| bounded || *set != "CapBnd:");
    let sets: Vec<&str> = sets.collect();
    verify(&fs::read_to_string("/proc/self/status")?, &sets)
}

/// SIGKILL when the process that started this one ends. A change of ids clears it (prctl(2)).
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

fn become_user(user: &Credentials) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    Ok(())
}

fn verify(status: &str, sets: &[&str]) -> io::Result<()> {
    for set in sets {
        let value = status.lines().find_map(|line| line.strip_prefix(*set)).map(str::trim);
        if value.is_none_or(|value| value.is_empty() || value.bytes().any(|digit| digit != b'0')) {
            return Err(io::Error::other(format!("a capability is left in {set}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: &str = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
        CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n";

    #[test]
    fn no_capability_passes() {
        verify(CLEAN, &CAPABILITY_SETS).unwrap();
    }

    #[test]
    fn a_left_capability_is_noticed_in_each_set() {
        for set in CAPABILITY_SETS {
            let left = CLEAN.replace(&format!("{set}\t0"), &format!("{set}\t2"));
            assert!(verify(&left, &CAPABILITY_SETS).is_err(), "{set}");
        }
    }

    #[test]
    fn a_missing_line_is_no_proof() {
        assert!(verify("CapInh:\t0000000000000000\n", &CAPABILITY_SETS).is_err());
    }
}
