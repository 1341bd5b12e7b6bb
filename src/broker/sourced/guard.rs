//! What a run must be kept from because values lie there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::super::snapshot::Snapshot;
use crate::{
    protocol::{ErrorKind, ErrorReply, RunOpened},
    source::Source,
};

/// Directories that programs need: hidden, they would leave nothing that runs.
const SHARED: [&str; 19] = [
    "/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/home", "/lib", "/lib64", "/proc", "/root",
    "/run", "/sbin", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/tmp",
];
/// Directories that none below is one's own in.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/usr"];

/// Adds to what a run is told: variables to remove from the agent's environment, directories to hide
/// from it, and files that it must not replace. Of every connection, whether the run uses it or not.
pub(in crate::broker) fn guard(snapshot: &Snapshot, opened: &mut RunOpened) {
    let sources = || snapshot.entries().flat_map(|entry| entry.sources.values());
    opened.remove_env.extend(variables(snapshot));
    let directories: BTreeSet<&Path> = sources().filter_map(Source::directory).collect();
    opened.hide.extend(directories.into_iter().map(Path::to_owned));
    let files: BTreeSet<&Path> = sources().flat_map(Source::files).collect();
    opened.keep.extend(files.into_iter().map(Path::to_owned));
}

/// Variables of the daemon's environment that connections name.
pub(in crate::broker) fn variables(snapshot: &Snapshot) -> BTreeSet<String> {
    let sources = snapshot.entries().flat_map(|entry| entry.sources.values());
    sources.filter_map(Source::variable).map(str::to_owned).collect()
}

/// Can the directory of a file be hidden from agents, and leave them able to work?
pub(super) fn check_directory(source: &Source, user_home: Option<&Path>) -> Result<(), ErrorReply> {
    let Some(directory) = source.directory() else { return Ok(()) };
    let needed = SHARED.iter().any(|shared| directory == Path::new(shared))
        || SYSTEM.iter().any(|system| directory.starts_with(system))
        || user_home.is_some_and(|home| home.starts_with(directory));
    if !needed {
        return Ok(());
    }
    Err(ErrorReply {
        kind: ErrorKind::Usage,
        message: format!(
            "the file lies in {}, which cannot be hidden from agents",
            directory.display()
        ),
        hint: Some("move it to a directory of its own: the whole of it is hidden".to_owned()),
    })
}

/// The user's home directory, from the password database rather than a variable; where it really is,
/// as the sources' directories are.
pub(super) fn user_home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map(|user| user.dir.canonicalize().unwrap_or(user.dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &str) -> bool {
        let source = Source::parse(&format!("file:{file}")).unwrap();
        check_directory(&source, Some(Path::new("/home/me"))).is_err()
    }

    #[test]
    fn a_directory_of_its_own_can_be_hidden() {
        for file in ["/run/secrets/key", "/home/me/.keys/openai", "/etc/app/key", "/srv/x/key"] {
            assert!(!refused(file), "{file}");
        }
    }

    #[test]
    fn what_programs_need_cannot() {
        for file in ["/key", "/etc/key", "/home/me/key", "/home/key", "/tmp/key", "/usr/lib/key"] {
            assert!(refused(file), "{file}");
        }
    }
}
