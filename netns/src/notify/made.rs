//! Sockets that the supervisor makes for the command, where it may not take those of the command's own.
//!
//! A container's filter may refuse pidfd_getfd(2). Then `socket` is asked about as well: the socket is made
//! here, installed in the command (`SECCOMP_IOCTL_NOTIF_ADDFD`), and a duplicate is kept until it is connected
//! or listens. A call names a descriptor; `/proc/PID/fd` tells whose inode that is, and the call is carried out
//! on the duplicate. What is not known is refused.
//!
//! A send is let go on here, since nothing that the command holds can reach more than it is connected to: it
//! has streams, whose messages' addresses the kernel ignores, and instead of datagram sockets [`Stand`]s.
//!
//! A duplicate keeps a port and its place in our table taken, so those that no process of the run has any
//! more are looked for from time to time.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::libc;
use rustix::{
    fs::fstat,
    io::{Errno, fcntl_dupfd_cloexec},
    net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt::socket_type},
};

use super::{
    answer::Answer, descendants, mediator::Mediator, stand::Stand, sys, sys::Request,
    target::Target,
};

/// Duplicates that are kept, at most, in descriptors; well below the usual limit of 1024.
const MOST: usize = 640;
/// From here on, those that are gone are looked for whenever the number has doubled.
const MANY: usize = 80;
/// Inode numbers that are remembered, at most.
const MOST_PAST: usize = 65_536;

/// What is kept of a socket.
enum Held {
    /// A duplicate.
    Plain(OwnedFd),
    /// What stands in for a datagram socket.
    Stand(Arc<Stand>),
}

impl Held {
    /// How many descriptors it takes.
    fn weight(&self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Stand(_) => Stand::DESCRIPTORS,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Stand(stand) = self {
            stand.end();
        }
    }
}

/// What a socket has become of which no duplicate is kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// It is connected.
    Connected,
    /// It listens.
    Listens,
}

#[derive(Default)]
struct Table {
    held: HashMap<u64, Held>,
    past: HashMap<u64, Past>,
    look_at: usize,
}

/// The sockets that were made.
#[derive(Clone, Default)]
pub(super) struct Made(Arc<Mutex<Table>>);

impl Made {
    /// A socket to act on: the command's own, or the one that its stand-in has.
    ///
    /// # Errors
    /// `EISCONN`, for one that is connected or listens; `EACCES`, for one that is not known.
    pub(super) fn find(&self, target: &Target, number: u64) -> Result<OwnedFd, Errno> {
        let inode = target.inode(number)?;
        let table = self.table();
        match (table.held.get(&inode), table.past.get(&inode)) {
            (Some(Held::Plain(socket)), _) => fcntl_dupfd_cloexec(socket, 0),
            (Some(Held::Stand(stand)), _) => fcntl_dupfd_cloexec(stand.real(), 0),
            (None, Some(_)) => Err(Errno::ISCONN),
            (None, None) => Err(Errno::ACCESS),
        }
    }

    /// The stand-in that a descriptor is.
    pub(super) fn stand(&self, target: &Target, number: u64) -> Option<Arc<Stand>> {
        match self.table().held.get(&target.inode(number).ok()?)? {
            Held::Stand(stand) => Some(Arc::clone(stand)),
            Held::Plain(_) => None,
        }
    }

    /// What has become of a socket.
    pub(super) fn past(&self, target: &Target, number: u64) -> Option<Past> {
        self.table().past.get(&target.inode(number).ok()?).copied()
    }

    /// Keeps no duplicate of a stream any more: its end must be seen when the command closes it.
    pub(super) fn let_go(&self, socket: &OwnedFd, past: Past) {
        let Ok(found) = fstat(socket) else { return };
        let mut table = self.table();
        if table.held.remove(&found.st_ino).is_some() {
            if table.past.len() >= MOST_PAST {
                table.past.clear();
            }
            table.past.insert(found.st_ino, past);
        }
    }

    /// Looks for sockets that no process of the run has any more, and forgets them.
    pub(super) fn collect(&self) {
        // One may be on its way from one process to the next while we look.
        let used = used().and_then(|first| Some(&first | &used()?));
        let mut table = self.table();
        // Where one of them cannot be looked into, all are kept.
        if let Some(used) = used {
            table.held.retain(|inode, _| used.contains(inode));
        }
        table.look_at = MANY.max(2 * table.weight());
    }

    fn make_room(&self) -> Result<(), Errno> {
        let full = |weight| weight + Stand::DESCRIPTORS > MOST;
        let weight = {
            let table = self.table();
            if table.weight() < table.look_at.max(MANY) && !full(table.weight()) {
                return Ok(());
            }
            drop(table);
            self.collect();
            self.table().weight()
        };
        if full(weight) { Err(Errno::NFILE) } else { Ok(()) }
    }

    fn keep(&self, inode: u64, held: Held) {
        self.table().held.insert(inode, held);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn weight(&self) -> usize {
        self.held.values().map(Held::weight).sum()
    }
}

/// Refuses to hand the command, as its standard streams, a socket whose sends would have to be looked at.
///
/// # Errors
/// One of them is one.
pub(super) fn refuse_others(input: &[OwnedFd]) -> io::Result<()> {
    let (output, error) = (io::stdout(), io::stderr());
    let streams = input.iter().map(AsFd::as_fd).chain([output.as_fd(), error.as_fd()]);
    for stream in streams {
        // What is no socket has no kind.
        let Ok(kind) = socket_type(stream) else { continue };
        if kind != SocketType::STREAM && kind != SocketType::SEQPACKET {
            return Err(io::Error::other("a standard stream is a socket for datagrams"));
        }
    }
    Ok(())
}

impl Mediator {
    /// `socket`, of a kind that the filter has let through.
    pub(super) fn socket(&self, request: &Request) -> Result<Answer, Errno> {
        let made = self.made.as_ref().ok_or(Errno::NOSYS)?;
        let [family, kind, protocol, ..] = request.args.map(low);
        made.make_room()?;
        let family = AddressFamily::from_raw(u16::try_from(family).map_err(|_| Errno::INVAL)?);
        let flags = SocketFlags::from_bits_retain(kind & !sys::SOCKET_TYPE);
        if flags.difference(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) != SocketFlags::empty() {
            return Err(Errno::INVAL);
        }
        let cloexec = flags.contains(SocketFlags::CLOEXEC);
        let flags = flags | SocketFlags::CLOEXEC;
        let kind = SocketType::from_raw(kind & sys::SOCKET_TYPE);
        let protocol = std::num::NonZero::new(protocol).map(rustix::net::Protocol::from_raw);
        if kind == SocketType::DGRAM {
            let (stand, theirs) = Stand::make(family, flags, protocol)?;
            let inode = fstat(&theirs)?.st_ino;
            made.keep(inode, Held::Stand(stand));
            sys::give(&self.listener, request.id, &theirs, cloexec)?;
        } else {
            let socket = socket_with(family, kind, flags, protocol)?;
            let inode = fstat(&socket)?.st_ino;
            sys::give(&self.listener, request.id, &socket, cloexec)?;
            made.keep(inode, Held::Plain(socket));
        }
        Ok(Answer::Given)
    }

    /// A socket to act on.
    pub(super) fn descriptor(&self, target: &Target, number: u64) -> Result<OwnedFd, Errno> {
        match &self.made {
            None => target.descriptor(number),
            Some(made) => made.find(target, number),
        }
    }
}

/// The lower half of a register.
fn low(register: u64) -> u32 {
    u32::try_from(register & u64::from(u32::MAX)).unwrap_or_default()
}

/// The sockets of all processes of the run; none if one cannot be looked into.
fn used() -> Option<HashSet<u64>> {
    let mut used = HashSet::new();
    for pid in descendants::all() {
        let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(_) => return None,
        };
        for entry in entries {
            match entry.and_then(|entry| fs::read_link(entry.path())) {
                Ok(link) => used.extend(link.to_str().and_then(super::target::socket_inode)),
                Err(error) if is_gone(&error) => {}
                Err(_) => return None,
            }
        }
    }
    Some(used)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}
