//! Other commands beside a sidecar, as `docker exec` starts them: as root, whom its home does not belong
//! to.

use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::{
    paths::Home,
    protocol::{ErrorKind, ErrorReply},
};

/// Goes on, for good, as the user whom the home belongs to, if this is root and that is somebody else.
/// What root would make in there, the sidecar could not read.
///
/// # Errors
/// The user could not be become.
pub fn enter(home: &Home) -> Result<(), ErrorReply> {
    // One that is missing is for the daemon to make.
    let Ok(found) = home.root().metadata() else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
    if !geteuid().is_root() || uid.is_root() {
        return Ok(());
    }
    let become_it = || {
        setgroups(&[gid])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    };
    become_it().map_err(|error| ErrorReply {
        kind: ErrorKind::Failed,
        message: format!(
            "{} is user {uid}'s, whom root cannot become: {error}",
            home.root().display()
        ),
        hint: Some(format!("docker exec --user {uid}:{gid}")),
    })
}
