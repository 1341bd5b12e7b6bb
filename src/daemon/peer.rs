//! Is a client one of ours, or an agent that reached the socket after all?
//!
//! `$AUTHSOME_HOME` is covered in a run's namespace, and the socket with it; this is the second lock
//! on that door. A run's processes are in a pid namespace below the daemon's, which their
//! `/proc/<pid>/status` says to everybody (`NSpid`, proc_pid_status(5)): no need to trace a client,
//! and none could be, being unreadable. On macOS a run's processes have a group that nobody else has,
//! which the kernel tells of them (getpeereid(3)); in a proxied run only the profile covers the socket.

use std::os::unix::net::UnixStream;

#[cfg(target_os = "linux")]
use rustix::net::sockopt::socket_peercred;
use rustix::process::getuid;

use super::wire;
use crate::protocol::{ErrorKind, ErrorReply, Reply};

/// Why a client is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The kernel does not say who it is, or it is in a pid namespace beside ours (there its number
    /// is 0, which is none).
    #[error("a client whose process is unknown")]
    Unknown(#[source] rustix::io::Errno),
    /// The socket's mode already keeps others out; a mode can be changed by mistake.
    #[error("a client of the user {0}")]
    OtherUser(u32),
    /// It has ended, or `/proc` does not show it.
    #[cfg(target_os = "linux")]
    #[error("a client that /proc does not show")]
    Unseen(#[source] std::io::Error),
    /// It is in a pid namespace below ours: an agent.
    #[error("a client inside a run or a container")]
    Inside,
}

/// Checks who is at the other end: the daemon's user or root, in the daemon's pid namespace. Whoever
/// is refused is told so, or would take us for a daemon that has died, and look for another.
///
/// # Errors
/// Anybody else, and whoever cannot be told.
pub(super) fn check(stream: &UnixStream) -> Result<(), Error> {
    identify(stream).inspect_err(|error| {
        let reply = Reply::<()>::Error(ErrorReply {
            kind: ErrorKind::Unavailable,
            message: format!("the daemon does not serve {error}"),
            hint: match error {
                Error::Inside => Some("run this outside, where the daemon was started".to_owned()),
                Error::Unknown(_) | Error::OtherUser(_) => None,
                #[cfg(target_os = "linux")]
                Error::Unseen(_) => None,
            },
        });
        // A new socket has room for a line; and a client that is refused has no claim on our time.
        let _ = stream.set_nonblocking(true);
        let _ = wire::send(stream, &reply, &[]);
    })
}

/// The process at the other end.
#[cfg(target_os = "linux")]
pub(super) fn process(stream: &UnixStream) -> Option<u32> {
    let peer = socket_peercred(stream).ok()?;
    Some(peer.pid.as_raw_nonzero().get().cast_unsigned())
}

/// The process at the other end (`LOCAL_PEERPID`).
#[cfg(target_os = "macos")]
pub(super) fn process(stream: &UnixStream) -> Option<u32> {
    use nix::sys::socket::{getsockopt, sockopt::LocalPeerPid};
    getsockopt(stream, LocalPeerPid).ok().map(i32::cast_unsigned)
}

/// Is the other end this user's, or root's?
pub(super) fn is_own(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    let uid = socket_peercred(stream).map(|peer| peer.uid.as_raw());
    #[cfg(target_os = "macos")]
    let uid = nix::unistd::getpeereid(stream).map(|(uid, _)| uid.as_raw());
    uid.is_ok_and(|uid| uid == getuid().as_raw() || uid == 0)
}

#[cfg(target_os = "linux")]
fn identify(stream: &UnixStream) -> Result<(), Error> {
    let peer = socket_peercred(stream).map_err(Error::Unknown)?;
    if peer.uid != getuid() && !peer.uid.is_root() {
        return Err(Error::OtherUser(peer.uid.as_raw()));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", peer.pid.as_raw_nonzero()))
        .map_err(Error::Unseen)?;
    if is_beside_us(&status) { Ok(()) } else { Err(Error::Inside) }
}

/// What a run's process cannot change is its group.
#[cfg(target_os = "macos")]
fn identify(stream: &UnixStream) -> Result<(), Error> {
    let (uid, gid) = nix::unistd::getpeereid(stream)
        .map_err(|error| Error::Unknown(rustix::io::Errno::from_raw_os_error(error as i32)))?;
    if uid.as_raw() != getuid().as_raw() && !uid.is_root() {
        return Err(Error::OtherUser(uid.as_raw()));
    }
    if netns::pf::is_of_a_run(gid.as_raw()) { Err(Error::Inside) } else { Ok(()) }
}

/// One number: the process has none in a namespace below. A kernel without the line has no pid
/// namespaces.
#[cfg(target_os = "linux")]
fn is_beside_us(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .is_none_or(|numbers| numbers.split_ascii_whitespace().count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_a_namespace_below_is_inside() {
        assert!(is_beside_us("Name:\ta\nNSpid:\t4711\nNSpgid:\t1\n"));
        assert!(!is_beside_us("Name:\ta\nNSpid:\t4711\t12\nNSpgid:\t1\n"));
        assert!(!is_beside_us("NSpid:\n"));
    }

    #[test]
    fn ourselves_are_served() {
        let (near, _far) = UnixStream::pair().unwrap();
        check(&near).unwrap();
    }
}
