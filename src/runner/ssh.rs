//! The system's configuration of ssh(1), as a file of the agent's own user.
//!
//! ssh ends with "Bad owner or permissions" at a file that `/etc/ssh/ssh_config` includes and that is
//! neither its user's nor root's; and in a user namespace that maps one id, what is root's looks as if it
//! were nobody's. So such files are covered with copies, which are the user's. Where one cannot be read,
//! ssh could not read it either.

use std::{fs, path::Path};

use crate::trust::Overlay;

/// Where distributions have the main file include others from.
const DIRECTORIES: [&str; 3] =
    ["/etc/ssh/ssh_config.d", "/usr/etc/ssh/ssh_config.d", "/etc/crypto-policies/back-ends"];
/// Names of the copies in the trust directory begin like this.
const COPIES: &str = "ssh";
/// No configuration is longer.
const LONGEST: u64 = 1 << 20;

/// Adds the copies.
pub(super) fn add_to(overlay: &mut Overlay) {
    for directory in DIRECTORIES {
        add(overlay, Path::new(directory));
    }
}

fn add(overlay: &mut Overlay, directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if !is_configuration(&path) {
            continue;
        }
        let Ok(contents) = fs::read(&path) else { continue };
        let copy = Path::new(COPIES).join(overlay.files.len().to_string());
        overlay.files.push((copy.clone(), contents));
        overlay.mounts.push((copy, path));
    }
}

/// A file, or a link to one, with a name that is included.
fn is_configuration(path: &Path) -> bool {
    let named =
        path.extension().is_some_and(|extension| extension == "conf" || extension == "config");
    named && fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_is_included_is_covered_with_its_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        crate::paths::write_private(&path("10.conf"), b"one").unwrap();
        crate::paths::write_private(&path("README"), b"two").unwrap();
        fs::create_dir(path("20.conf")).unwrap();
        std::os::unix::fs::symlink("10.conf", path("30.conf")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("40.conf")).unwrap();
        let mut overlay = Overlay::default();
        overlay.files.push(("before".into(), Vec::new()));

        add(&mut overlay, directory.path());

        let mut covered: Vec<_> = overlay.mounts.iter().map(|(_, target)| target.clone()).collect();
        covered.sort();
        assert_eq!(covered, [path("10.conf"), path("30.conf")]);
        for (copy, _) in &overlay.mounts {
            assert!(overlay.files.contains(&(copy.clone(), b"one".to_vec())));
        }
    }

    #[test]
    fn a_machine_without_ssh_has_nothing_to_cover() {
        let mut overlay = Overlay::default();
        add(&mut overlay, Path::new("/nonexistent"));
        assert!(overlay.files.is_empty() && overlay.mounts.is_empty());
    }
}
