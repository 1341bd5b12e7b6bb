//! Is it a process of this group that made a connection?

use std::{io, net::SocketAddr};

use super::Caller;

/// Who made the connection from `own` to this port somewhere, if nobody but a process of the group can have.
/// Loopback addresses are nobody's: what comes from there was not redirected.
///
/// # Errors
/// It was another, or there is no telling.
#[cfg(target_os = "macos")]
pub fn member(own: SocketAddr, port: u16, gid: u32) -> io::Result<Caller> {
    use super::Process;

    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    let SocketAddr::V4(own) = own else { return Err(refused()) };
    if own.ip().is_loopback() {
        return Err(refused());
    }
    let peers = netns::darwin::peers(own, port)?;
    match peers.first() {
        Some(first) if peers.iter().all(|peer| peer.gid == gid) => Ok(Caller::known_as(Process {
            pid: first.pid,
            executable: first.executable.to_string_lossy().into(),
        })),
        _ => Err(refused()),
    }
}

/// The same: only macOS has connections that are told apart by their group.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "macos"))]
pub fn member(_own: SocketAddr, _port: u16, _gid: u32) -> io::Result<Caller> {
    Err(io::ErrorKind::Unsupported.into())
}
