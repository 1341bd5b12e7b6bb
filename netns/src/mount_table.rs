//! Where else a directory can be reached: other mounts of the same file system.
//!
//! A bind mount shows a part of a file system at a second place (proc_pid_mountinfo(5)); covering one
//! place leaves the others. It knows nothing of why they are to be covered. What it cannot see are
//! layers: the lower and upper directories of an overlay are another file system's.

#![cfg(target_os = "linux")]

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// `major:minor` of the file system.
    device: Vec<u8>,
    /// What of the file system is shown.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

/// Other paths at which `directory`, or a part of it, can be reached. `directory` is absolute and
/// without symbolic links, and not yet covered.
///
/// # Errors
/// If the table cannot be read.
pub(crate) fn aliases(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let table = parse(&fs::read("/proc/self/mountinfo")?);
    let own = fs::metadata(directory)?;
    let mut found = candidates(&table, directory);
    // A place that something else is mounted over shows something else: only what is really there
    // is an alias. A part of the directory has no number to compare.
    found.retain(|(path, whole)| match fs::metadata(path) {
        Ok(there) => !whole || (there.dev(), there.ino()) == (own.dev(), own.ino()),
        Err(_) => false,
    });
    Ok(found.into_iter().map(|(path, _)| path).collect())
}

/// Paths by the table alone, and whether each is the whole directory.
fn candidates(table: &[Mount], directory: &Path) -> Vec<(PathBuf, bool)> {
    // Of several mounts at one place the last is the one that is seen.
    let Some(home) = table
        .iter()
        .filter(|mount| directory.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
    else {
        return Vec::new();
    };
    let Ok(rest) = directory.strip_prefix(&home.point) else { return Vec::new() };
    let inside = joined(&home.root, rest);
    let mut found = Vec::new();
    for mount in table.iter().filter(|mount| mount.device == home.device) {
        let candidate = if let Ok(rest) = inside.strip_prefix(&mount.root) {
            (joined(&mount.point, rest), true)
        } else if mount.root.starts_with(&inside) {
            (mount.point.clone(), false)
        } else {
            continue;
        };
        // What lies below the directory is covered with it.
        if !candidate.0.starts_with(directory) && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}

/// As `Path::join`, without a slash behind for nothing.
fn joined(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) }
}

fn parse(table: &[u8]) -> Vec<Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
            Some(Mount { device: device.to_owned(), root: path(root), point: path(point) })
        })
        .collect()
}

/// Undoes the table's escapes: three octal digits for space, tab, newline and backslash.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<3>().filter(|_| first == b'\\').and_then(|digits| {
            std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 8).ok())
        });
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 22 8:2 /@home /home rw,relatime shared:1 - btrfs /dev/sdb rw\n\
        31 22 8:2 / /mnt/all\\040of\\134it rw - btrfs /dev/sdb rw\n\
        32 22 8:2 /@home/u/.local/share/authsome/profiles /srv/p rw - btrfs /dev/sdb rw\n\
        33 22 8:2 /@home/v /v rw - btrfs /dev/sdb rw\n\
        34 22 8:1 /home /old rw - ext4 /dev/sda1 rw\n";

    #[test]
    fn every_mount_of_the_same_place_is_an_alias() {
        let found = candidates(&parse(TABLE), Path::new("/home/u/.local/share/authsome"));
        assert_eq!(
            found,
            [
                (PathBuf::from("/mnt/all of\\it/@home/u/.local/share/authsome"), true),
                (PathBuf::from("/srv/p"), false),
            ]
        );
    }

    #[test]
    fn a_directory_that_is_a_mount_of_its_own_is_found_by_its_source() {
        let table = b"22 1 8:1 / / rw - ext4 a rw\n23 22 8:1 /data/a /home/a rw - ext4 a rw\n";
        let found = candidates(&parse(table), Path::new("/home/a"));
        assert_eq!(found, [(PathBuf::from("/data/a"), true)]);
    }

    #[test]
    fn the_own_place_is_no_alias() {
        let found = candidates(&parse(TABLE), Path::new("/etc/authsome"));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn what_cannot_be_parsed_is_skipped() {
        assert_eq!(parse(b"\n1 2\n"), []);
        assert_eq!(path(b"a\\04"), Path::new("a\\04"));
        assert_eq!(path(b"\\777").as_os_str().as_bytes(), b"\\777");
    }
}
