//! Where the numbers of a namespace's processes begin.
//!
//! They are its own, and would begin at 2 in each: the commands of two runs would have the same, and so
//! would the files and sockets that programs name after their number in a directory that runs share.
//! Claude Code's sandbox is one that then fails.

#![cfg(target_os = "linux")]

use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
};

/// Where pids begin again after the highest one (`RESERVED_PIDS` of the kernel).
const FIRST: u64 = 300;
/// As many different beginnings, all below the smallest usual `kernel.pid_max`.
const RANGE: u64 = 30_000;

/// Has the next process get some number (`kernel.ns_last_pid`, pid_namespaces(7)). For pid 1, while it has its
/// rights and the namespace's own `/proc`.
///
/// # Errors
/// A kernel without `CONFIG_CHECKPOINT_RESTORE`, or a lower `kernel.pid_max`.
pub(crate) fn scatter() -> io::Result<()> {
    let last = FIRST + RandomState::new().hash_one(FIRST) % RANGE;
    let mut file = File::options().write(true).open("/proc/sys/kernel/ns_last_pid")?;
    file.write_all(last.to_string().as_bytes())
}
