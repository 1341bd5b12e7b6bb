//! What `authsome doctor` finds out inside a run: the agent of a run of its own, which is this program
//! again, looks for every way out and at every program's trust, as an agent would.
//!
//! ```text
//! doctor   opens sockets, a key and a list of what must be out of reach: Questions, on standard input
//! run      as for any agent: the same namespace, mounts, environment, rights
//! agent    inside::main: tries all of it, and prints Seen, one JSON object a line
//! doctor   adds what arrived at its sockets, and judges
//! ```
//!
//! Nothing in here knows the vault, a provider or the daemon; no secret is in a question or an answer.
//! It fails loudly: a check that cannot be made is one that fails, and an agent that says nothing is one
//! that saw nothing.

mod clients;
mod finding;
mod inside;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

pub use self::{
    clients::{Client, Trust},
    finding::{Finding, State},
    inside::{AGENT_ARGUMENT, main},
};

/// What must be out of an agent's reach, and what it is to look at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Questions {
    /// Sockets on the host's loopback that listen.
    pub loopback: Vec<SocketAddr>,
    /// Datagram sockets on the host's other addresses.
    pub own: Vec<SocketAddr>,
    /// Name of an abstract socket of the host's that listens (unix(7)).
    pub abstract_socket: Option<String>,
    /// Sockets of the host's in the file system that lead out.
    pub sockets: Vec<PathBuf>,
    /// Processes of the host's that must not be seen.
    pub processes: Vec<Process>,
    /// Description of a key in the session keyring of the host's.
    pub key: Option<String>,
    /// The home of authsome.
    pub home: PathBuf,
    /// The names of what is in it.
    pub home_entries: Vec<String>,
    /// Name servers to ask beside those that are configured.
    pub resolvers: Vec<IpAddr>,
    /// Variables that hold credentials of providers.
    pub variables: Vec<String>,
    /// Whose trust to look at.
    pub clients: Clients,
}

/// Which clients are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clients {
    /// None.
    #[default]
    None,
    /// Those that answer within seconds.
    Quick,
    /// Also those that have to compile first.
    All,
}

/// A process, told from others that had or get its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What it is.
    pub what: String,
    /// Its number in the host's pid namespace.
    pub pid: u32,
    /// When it was started, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

impl Process {
    /// The process with this number, if there is one that can be seen.
    #[must_use]
    pub fn find(what: &str, pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold blanks and parentheses, and ends with the last one.
        let (_, fields) = stat.rsplit_once(')')?;
        let started = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { what: what.to_owned(), pid, started })
    }
}

/// What the agent saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// A check.
    Check(Finding),
    /// A client's trust.
    Client(Client),
    /// Of [`Questions::variables`], those that are set: a SHA-256 of each value, in hexadecimal.
    Variables(BTreeMap<String, String>),
    /// There is no more.
    End,
}

/// A SHA-256 in hexadecimal, by which values are compared without being told.
#[must_use]
pub fn digest(value: &[u8]) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_number_and_by_when_it_began() {
        let own = Process::find("this", std::process::id()).unwrap();
        assert!(own.started > 0);
        assert_eq!(Process::find("this", std::process::id()), Some(own));
        assert_eq!(Process::find("none", 0), None);
    }
}
