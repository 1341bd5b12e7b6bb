//! The proof, under filter and Landlock and before the command exists, that connections arrive and that
//! nothing else leads out.

use std::{
    fs::OpenOptions,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::{
    error::ProbeError,
    message::ProbeReport,
    probe::{connections_and_names, datagrams_are_refused},
};

/// A refusal takes no network.
const REFUSAL: Duration = Duration::from_secs(2);
/// A file that the command could make if what is hidden were not.
const WITNESS: &str = ".authsome-probe";

/// What must not be reached.
#[derive(Debug)]
pub(super) struct Forbidden {
    /// A listener on the loopback that is not the command's.
    pub(super) stranger: TcpListener,
    /// Directories that are hidden.
    pub(super) hidden: Vec<PathBuf>,
}

/// Proves it, or says what is wrong.
pub(super) fn run(
    run_id: &str,
    ipv6: bool,
    forbidden: &Forbidden,
) -> Result<ProbeReport, ProbeError> {
    datagrams_are_refused()?;
    let report = connections_and_names(run_id, true, ipv6)?;
    let local = forbidden.stranger.local_addr().map_err(|error| open("the loopback", &error))?;
    strangers_are_refused(local)?;
    if socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, None).is_ok() {
        return Err(ProbeError::Open { what: "a raw socket".to_owned() });
    }
    for directory in &forbidden.hidden {
        closed(directory)?;
    }
    Ok(report)
}

fn strangers_are_refused(local: SocketAddr) -> Result<(), ProbeError> {
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.port());
    match TcpStream::connect_timeout(&local, REFUSAL) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(open("the loopback", &error)),
        Ok(_) => Err(ProbeError::Open { what: format!("{local}, which is not the agent's") }),
    }
}

/// Nothing can be made in a directory that is hidden.
fn closed(directory: &Path) -> Result<(), ProbeError> {
    let witness = directory.join(WITNESS);
    match OpenOptions::new().write(true).create_new(true).open(&witness) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        // It is no directory, or gone.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        Err(error) => Err(open(&directory.display().to_string(), &error)),
        Ok(_) => {
            let _ = std::fs::remove_file(&witness);
            Err(ProbeError::Open { what: directory.display().to_string() })
        }
    }
}

fn open(what: &str, error: &io::Error) -> ProbeError {
    ProbeError::Open { what: format!("{what} ({error})") }
}
