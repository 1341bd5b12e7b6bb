//! Shows files of our own in a directory together with what is there.
//!
//! One overlay mount does it (Linux 5.11, in a user namespace too). Where the kernel or a policy does
//! not let us, the directory is copied into ours, and ours is shown in its place.

#![cfg(target_os = "linux")]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use crate::mounts::{SEALED, bind, link, write};

/// Shows the directory `source` of `root`, which can still be written to, over and with the directory
/// `target`; both are absolute and without symbolic links. Files of ours hide those of the same name.
pub(crate) fn merge(root: &Path, source: &Path, target: &Path) -> io::Result<()> {
    if overlay(&root.join(source), target).is_ok() {
        return Ok(());
    }
    copy(root, source, target)?;
    Ok(bind(&root.join(source), target)?)
}

/// Two lower layers and no upper one: read-only.
fn overlay(source: &Path, target: &Path) -> io::Result<()> {
    let path = |path: &Path| {
        // What means something in the option is not worth escaping.
        path.to_str()
            .filter(|text| !text.contains([':', ',', '\\']))
            .map(ToOwned::to_owned)
            .ok_or(io::ErrorKind::InvalidInput)
    };
    let option = format!("lowerdir={}:{}", path(source)?, path(target)?);
    let flags = SEALED | MsFlags::MS_RDONLY;
    Ok(mount(Some("authsome"), target, Some("overlay"), flags, Some(option.as_str()))?)
}

/// Links are copied as links. What cannot be read is left out: the command could not read it either.
fn copy(root: &Path, source: &Path, target: &Path) -> io::Result<()> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        for entry in fs::read_dir(target.join(&below)).into_iter().flatten().flatten() {
            let name = below.join(entry.file_name());
            let (theirs, ours) = (target.join(&name), source.join(&name));
            let kind = entry.file_type()?;
            let copied = if kind.is_dir() {
                waiting.push(name);
                continue;
            } else if kind.is_symlink() {
                link(root, &ours, &fs::read_link(theirs)?)
            } else {
                let Ok(contents) = fs::read(theirs) else { continue };
                write(root, &ours, &contents)
            };
            match copied {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_links_and_lets_ours_win() {
        let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| write(target.path(), Path::new(name), text.as_bytes());
        put("a.pem", "theirs").unwrap();
        put("below/b.pem", "theirs").unwrap();
        put("own.0", "theirs").unwrap();
        std::os::unix::fs::symlink("a.pem", target.path().join("0a.0")).unwrap();
        write(root.path(), Path::new("certs/own.0"), b"ours").unwrap();

        copy(root.path(), Path::new("certs"), target.path()).unwrap();

        let seen = |name: &str| fs::read_to_string(root.path().join("certs").join(name)).unwrap();
        assert_eq!(
            ["own.0", "a.pem", "below/b.pem", "0a.0"].map(seen),
            ["ours", "theirs", "theirs", "theirs"]
        );
        assert!(root.path().join("certs/0a.0").is_symlink());
    }
}
