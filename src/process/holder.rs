//! One process, seen through its directory in `/proc`.
//!
//! The directory is held open: it stays that process's, and is of no use once it has ended, whoever
//! gets its number then. Whose owner we are not, or what is not dumpable, cannot be looked into.

use std::{ffi::CStr, mem::MaybeUninit, os::fd::OwnedFd, sync::Arc};

use rustix::{
    fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw},
    io::Errno,
};

use super::Process;

/// Longest link that is read; the kernel gives no longer path.
const PATH_MAX: usize = 4096;
/// Room for `socket:[4294967295]`, `net:[4026531840]`.
const LINK_MAX: usize = 64;
/// `/proc/PID/stat` up to the parent's id, and the process's whole `comm`.
const STAT_MAX: usize = 256;

/// What a search may still cost, in links read. It is one thread's time for all runs.
pub(super) struct Budget(pub(super) u32);

impl Budget {
    /// [`Errno::NOBUFS`] where there is nothing left: the search ends, whatever it has found.
    fn spend(&mut self) -> Result<(), Errno> {
        self.0 = self.0.checked_sub(1).ok_or(Errno::NOBUFS)?;
        Ok(())
    }
}

/// `/proc`.
pub(super) fn root() -> Result<OwnedFd, Errno> {
    openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Is this process (`PID`, or a thread's `PID/task/TID`) in the network namespace that its link in
/// `/proc` calls so?
pub(super) fn is_in(root: &OwnedFd, process: &str, network: &str, budget: &mut Budget) -> bool {
    let mut buffer = [0_u8; LINK_MAX];
    budget.spend().is_ok()
        && readlinkat_raw(root, format!("{process}/ns/net"), &mut buffer[..])
            .is_ok_and(|length| buffer.get(..length) == Some(network.as_bytes()))
}

/// A process that may hold a socket.
#[derive(Debug)]
pub(super) struct Holder {
    pid: u32,
    directory: OwnedFd,
}

impl Holder {
    pub(super) fn open(root: &OwnedFd, pid: u32) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { pid, directory: openat(root, pid.to_string(), flags, Mode::empty())? })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its parent, in the numbers of our own pid namespace.
    pub(super) fn parent(&self) -> Option<u32> {
        let mut buffer = [0_u8; STAT_MAX];
        parent(self.read("stat", &mut buffer)?)
    }

    /// Calls `found` for each socket in a table of descriptors (`fd`, or a thread's), with the name of
    /// its link and its inode.
    pub(super) fn sockets(
        &self,
        table: &str,
        space: &mut [MaybeUninit<u8>],
        budget: &mut Budget,
        mut found: impl FnMut(&CStr, u64),
    ) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let table = openat(&self.directory, table, flags, Mode::empty())?;
        let mut entries = RawDir::new(&table, space);
        let mut link = [0_u8; LINK_MAX];
        while let Some(entry) = entries.next() {
            let entry = entry?;
            budget.spend()?;
            // Closed meanwhile, or `..`, which is no link.
            let Ok(length) = readlinkat_raw(&table, entry.file_name(), &mut link[..]) else {
                continue;
            };
            if let Some(inode) = socket(link.get(..length).unwrap_or_default()) {
                found(entry.file_name(), inode);
            }
        }
        Ok(())
    }

    /// Its threads, for the rare ones that have a table of their own.
    pub(super) fn threads(&self, space: &mut [MaybeUninit<u8>]) -> Result<Vec<u32>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        numbers(&openat(&self.directory, "task", flags, Mode::empty())?, space)
    }

    /// What it is, if it still holds this socket at this place: it may have become another program.
    pub(super) fn name(&self, link: &str, inode: u64) -> Option<Process> {
        let mut buffer = [0_u8; PATH_MAX];
        let executable = match readlinkat_raw(&self.directory, "exe", &mut buffer[..]) {
            Ok(length) => Arc::from(String::from_utf8_lossy(buffer.get(..length)?)),
            Err(_) => Arc::from(format!("[{}]", self.comm()?)),
        };
        let mut buffer = [0_u8; LINK_MAX];
        let length = readlinkat_raw(&self.directory, link, &mut buffer[..]).ok()?;
        (socket(buffer.get(..length)?) == Some(inode))
            .then_some(Process { pid: self.pid, executable })
    }

    fn comm(&self) -> Option<String> {
        let mut buffer = [0_u8; STAT_MAX];
        Some(String::from_utf8_lossy(self.read("comm", &mut buffer)?.trim_ascii_end()).into_owned())
    }

    fn read<'b>(&self, file: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.directory, file, flags, Mode::empty()).ok()?;
        let length = rustix::io::read(file, &mut *buffer).ok()?;
        buffer.get(..length)
    }
}

/// Names of a directory that are numbers, in its order.
pub(super) fn numbers(
    directory: &OwnedFd,
    space: &mut [MaybeUninit<u8>],
) -> Result<Vec<u32>, Errno> {
    let mut entries = RawDir::new(directory, space);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        if let Some(number) = number(entry?.file_name().to_bytes()) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// `socket:[123]`.
fn socket(link: &[u8]) -> Option<u64> {
    number(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// The fourth field of proc_pid_stat(5). The second may hold whatever a process calls itself, but
/// after its last bracket there are only numbers.
fn parent(stat: &[u8]) -> Option<u32> {
    let end = memchr::memrchr(b')', stat)?;
    number(stat.get(end..)?.split(|byte| *byte == b' ').nth(2)?)
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    digits.iter().all(u8::is_ascii_digit).then_some(())?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_a_socket_is_one() {
        assert_eq!(socket(b"socket:[123]"), Some(123));
        for link in
            [&b"socket:[]"[..], b"socket:[-1]", b"socket:[+1]", b"pipe:[1]", b"/a/socket:[1]"]
        {
            assert_eq!(socket(link), None, "{}", link.escape_ascii());
        }
    }

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parent(b"12 (sh) S 34 1 1"), Some(34));
        assert_eq!(parent(b"12 (a) S 99 (b) R 34 1 1"), Some(34));
        assert_eq!(parent(b"12 (sh) S"), None);
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn a_directory_is_never_that_of_the_next_process_with_its_number() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let holder = Holder::open(&root().unwrap(), child.id()).unwrap();
        assert_eq!(holder.parent(), Some(std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder.parent(), None);
        assert_eq!(holder.comm(), None);
    }

    #[test]
    fn what_a_search_may_cost_ends() {
        let holder = Holder::open(&root().unwrap(), std::process::id()).unwrap();
        let mut space = vec![MaybeUninit::uninit(); 4096];
        let ended = holder.sockets("fd", &mut space, &mut Budget(1), |_, _| {});
        assert_eq!(ended, Err(Errno::NOBUFS));
    }
}
