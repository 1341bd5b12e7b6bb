//! What each of the two processes keeps: the guard `CAP_NET_ADMIN`, the worker nothing.

use std::{fs, io};

use caps::{CapSet, Capability};
use nix::{
    sys::prctl,
    unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid},
};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::privileges;

/// Whom the sidecar's processes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Lines of `/proc/self/status` that must say that nothing is left (proc_pid_status(5)). Not the
/// bounding set: to empty that takes a right of its own, and `no_new_privs` makes it meaningless.
const SETS: [&str; 4] = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];

/// Becomes `user` with the right to make rules and marked sockets, and no other; for good.
///
/// # Errors
/// The user could not be become, or the right not be kept.
pub fn keep_network_rights(user: User) -> Result<(), Error> {
    let failed = |source| Error::Rights { what: "keep only CAP_NET_ADMIN", source };
    // As far as it can be: see `SETS`.
    for other in caps::all().into_iter().filter(|one| *one != Capability::CAP_NET_ADMIN) {
        let _ = caps::drop(None, CapSet::Bounding, other);
    }
    become_user(user, true)?;
    let only = [Capability::CAP_NET_ADMIN].into_iter().collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &only).map_err(|error| failed(io::Error::other(error)))?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(|error| failed(io::Error::other(error)))?;
    prctl::set_no_new_privs().map_err(|error| failed(error.into()))?;
    prctl::set_dumpable(false).map_err(|error| failed(error.into()))
}

/// Becomes `user` without any right, and without a way to get one.
pub(super) fn give_up_all(user: User) -> Result<(), Error> {
    let failed = |source| Error::Rights { what: "give up every right", source };
    prctl::set_no_new_privs().map_err(|error| failed(error.into()))?;
    // As far as it can be: see `SETS`.
    let _ = caps::clear(None, CapSet::Bounding);
    caps::clear(None, CapSet::Ambient).map_err(|error| failed(io::Error::other(error)))?;
    become_user(user, false)?;
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| failed(io::Error::other(error)))?;
    }
    privileges::die_with_parent().map_err(failed)?;
    prctl::set_dumpable(false).map_err(|error| failed(error.into()))?;
    let status = fs::read_to_string("/proc/self/status").map_err(failed)?;
    no_right_is_left(&status).map_err(failed)
}

fn become_user(user: User, keep: bool) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if (geteuid(), getegid()) == (uid, gid) {
        return Ok(());
    }
    let failed = |source| Error::Rights { what: "become an unprivileged user", source };
    prctl::set_keepcaps(keep).map_err(|error| failed(error.into()))?;
    setgroups(&[gid]).map_err(|error| failed(error.into()))?;
    setresgid(gid, gid, gid).map_err(|error| failed(error.into()))?;
    setresuid(uid, uid, uid).map_err(|error| failed(error.into()))
}

/// Does a process's `/proc/PID/status` say that it has no capability?
///
/// # Errors
/// The first set in which one is left, or of which nothing is said.
pub fn no_right_is_left(status: &str) -> io::Result<()> {
    for set in SETS {
        let value = status.lines().find_map(|line| line.strip_prefix(set)).map(str::trim);
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
        CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n";

    #[test]
    fn a_right_that_is_left_is_noticed_in_each_set_that_counts() {
        no_right_is_left(CLEAN).unwrap();
        for set in SETS {
            let left = CLEAN.replace(&format!("{set}\t0"), &format!("{set}\t2"));
            assert!(no_right_is_left(&left).is_err(), "{set}");
        }
    }

    #[test]
    fn a_missing_line_is_no_proof() {
        assert!(no_right_is_left("CapInh:\t0000000000000000\n").is_err());
    }
}
