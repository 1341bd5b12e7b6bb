//! The sidecar's certificate authority, which outlives it: an agent that has read its roots goes on
//! trusting the sidecar that comes back.
//!
//! It lies in the home, 0600, as the master key does; where that is a temporary directory, so is this.

use std::{
    io::{self, Read as _},
    time::{Duration, SystemTime},
};

use crate::{
    interceptor::RunCa,
    paths::{self, Home},
    protocol::{ErrorKind, ErrorReply, RunCaKey, Secret},
};

/// How long an authority is good for.
const LIFETIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// What must be left of that at a start: no agent should meet its end.
const LEFT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Its file in the home.
const FILE: &str = "sidecar-ca.json";
/// It is far shorter.
const LONGEST: u64 = 64 * 1024;

/// The home's authority, made if there is none that will last.
///
/// # Errors
/// It cannot be made, or its file is others' to read.
pub(super) fn authority(home: &Home) -> Result<RunCaKey, ErrorReply> {
    let path = home.root().join(FILE);
    let paths = |error: paths::Error| ErrorReply::caused(ErrorKind::Failed, &error, error.hint());
    if let Some(file) = paths::open_private(&path).map_err(paths)? {
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let read = file.take(LONGEST).read_to_end(&mut text);
        // One that cannot be read is replaced: nobody can serve with it either.
        if let Ok(found) =
            read.map_err(drop).and_then(|_| serde_json::from_slice(&text).map_err(drop))
            && lasts(&found)
        {
            return Ok(found);
        }
    }
    let failed = |error: &dyn std::error::Error| ErrorReply::caused(ErrorKind::Failed, error, None);
    let (certificate, key) = RunCa::generate_for(LIFETIME).map_err(|error| failed(&error))?;
    let made = RunCaKey { certificate, key: Secret(key) };
    let text = serde_json::to_vec(&made).map_err(|error| failed(&error))?;
    paths::write_private(&path, &zeroize::Zeroizing::new(text)).map_err(paths)?;
    Ok(made)
}

/// The authority's certificate, PEM, if there is one.
#[must_use]
pub fn certificate(home: &Home) -> Option<String> {
    /// The key beside it stays where it is.
    #[derive(serde::Deserialize)]
    struct Public {
        certificate: String,
    }
    let file = paths::open_private(&home.root().join(FILE)).ok()??;
    let mut text = zeroize::Zeroizing::new(Vec::new());
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok().map(|Public { certificate }| certificate)
}

/// Has a sidecar served this home? Root without the rights of root, as in its container, cannot look
/// into it, and there nobody else's home would be root's to name.
#[must_use]
pub fn has_served(home: &Home) -> bool {
    match home.root().join(FILE).symlink_metadata() {
        Ok(_) => true,
        Err(error) => {
            error.kind() == io::ErrorKind::PermissionDenied && nix::unistd::geteuid().is_root()
        }
    }
}

fn lasts(found: &RunCaKey) -> bool {
    let ca = RunCa::from_pem(&found.certificate, &found.key.0);
    ca.is_ok_and(|ca| ca.not_after() > SystemTime::now() + LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        home.ensure().unwrap();
        (directory, home)
    }

    #[test]
    fn the_next_start_has_the_same_authority() {
        let (_kept, home) = home();
        let first = authority(&home).unwrap();
        assert_eq!(authority(&home).unwrap().certificate, first.certificate);
    }

    #[test]
    fn one_that_cannot_be_read_is_replaced() {
        let (_kept, home) = home();
        paths::write_private(&home.root().join(FILE), b"{").unwrap();
        assert!(lasts(&authority(&home).unwrap()));
    }
}
