//! Ways out by the file system and by other processes: sockets, the vault, what `/proc` shows.

use std::{
    fs::{self, File},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    path::Path,
};

use super::BROKEN;
use crate::doctor::{Finding, Process, Questions};

/// What authsome itself puts into the home for the agent to see.
const OURS: &str = "trust";

pub(super) fn checks(questions: &Questions) -> Vec<Finding> {
    vec![
        abstract_socket(questions.abstract_socket.as_deref()),
        sockets(questions),
        vault(&questions.home, &questions.home_entries),
        processes(&questions.processes),
        tracing(),
    ]
}

fn abstract_socket(name: Option<&str>) -> Finding {
    const NAME: &str = "abstract sockets";
    let Some(name) = name else {
        return Finding::fail(NAME, "none could be made to try it with", Some(BROKEN.to_owned()));
    };
    let reached = SocketAddr::from_abstract_name(name)
        .and_then(|address| UnixStream::connect_addr(&address))
        .is_ok();
    let wrong = if reached { vec![format!("@{name} is reached")] } else { Vec::new() };
    Finding::unless(NAME, &wrong, "the host's are out of reach", BROKEN)
}

fn sockets(questions: &Questions) -> Finding {
    let wrong: Vec<String> = questions
        .sockets
        .iter()
        .filter(|path| UnixStream::connect(path).is_ok())
        .map(|path| format!("{} is reached", path.display()))
        .collect();
    let good = match questions.sockets.len() {
        0 => "none is here".to_owned(),
        number => format!("{number} that lead out are covered"),
    };
    Finding::unless("sockets in files", &wrong, good, BROKEN)
}

fn vault(home: &Path, entries: &[String]) -> Finding {
    const NAME: &str = "vault directory";
    let mut wrong: Vec<String> = entries
        .iter()
        .filter(|name| *name != OURS && home.join(name).symlink_metadata().is_ok())
        .map(|name| format!("{} is seen", home.join(name).display()))
        .collect();
    let attempt = home.join(".authsome-doctor");
    if File::create_new(&attempt).is_ok() {
        let _ = fs::remove_file(&attempt);
        wrong.push(format!("{} can be written to", home.display()));
    }
    Finding::unless(NAME, &wrong, "covered, and cannot be written to", BROKEN)
}

fn processes(outside: &[Process]) -> Finding {
    let wrong: Vec<String> = outside
        .iter()
        .filter(|process| Process::find(&process.what, process.pid).as_ref() == Some(process))
        .map(|process| format!("{} (pid {}) is seen", process.what, process.pid))
        .collect();
    let named: Vec<&str> = outside.iter().map(|process| process.what.as_str()).collect();
    Finding::unless("processes outside", &wrong, format!("{} unseen", named.join(", ")), BROKEN)
}

/// Opening a process's memory asks the kernel the same as ptrace(2) does (`PTRACE_MODE_ATTACH`).
fn tracing() -> Finding {
    let mut wrong = Vec::new();
    for file in ["mem", "environ", "root"] {
        let path = format!("/proc/1/{file}");
        let opened = match file {
            "root" => fs::read_link(&path).map(drop),
            _ => {
                File::open(&path).and_then(|mut file| io::Read::read(&mut file, &mut [0])).map(drop)
            }
        };
        // Memory is opened before its first page is asked for, which nothing is mapped at.
        let denied = opened.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        if !denied {
            wrong.push(format!("{path} can be opened"));
        }
    }
    Finding::unless(
        "tracing",
        &wrong,
        "the namespace's init can be neither traced nor read",
        BROKEN,
    )
}
