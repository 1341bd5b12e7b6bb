//! The files of one log: the one that is written, and the full ones, each named by its first line.
//!
//! `audit.log` is written; `audit.000000000001.log` has line 1 and those that follow it, up to the next
//! file's first. A full file keeps its name until it is deleted, so whoever reads needs no lock: it
//! lists, opens, and lists again.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Error, Result};
use crate::paths;

/// How often a reader looks again when files changed their names under it.
const ATTEMPTS: usize = 16;

/// A full file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Number of its first line.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// All files at one moment.
#[derive(Debug)]
pub(super) struct Segments {
    /// Oldest first.
    pub(super) sealed: Vec<Sealed>,
    /// None: nothing was written yet.
    pub(super) active: Option<File>,
}

impl Segments {
    /// Opens the one that is written; full ones are opened when they are read.
    pub(super) fn open(log: &Path) -> Result<Self> {
        let mut before = sealed(log)?;
        for _ in 0..ATTEMPTS {
            let active = paths::open_private(log)?;
            let after = sealed(log)?;
            if before == after {
                return Ok(Self { sealed: after, active });
            }
            before = after;
        }
        Err(Error::Read {
            path: log.to_owned(),
            source: io::Error::other("its files change faster than they can be listed"),
        })
    }
}

/// The full files, oldest first.
pub(super) fn sealed(log: &Path) -> Result<Vec<Sealed>> {
    let error = |source| Error::Read { path: log.to_owned(), source };
    let directory = match log.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(error(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(error)?.path();
        let Some(first) = first_of(log, &path) else { continue };
        found.push(Sealed { first, path });
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}

/// The name of the full file that begins with line `first`.
pub(super) fn sealed_path(log: &Path, first: u64) -> PathBuf {
    let mut name = stem(log);
    name.push(format!(".{first:012}"));
    name.push(suffix(log));
    log.with_file_name(name)
}

fn first_of(log: &Path, path: &Path) -> Option<u64> {
    let digits = path
        .file_name()?
        .to_str()?
        .strip_prefix(stem(log).to_str()?)?
        .strip_suffix(suffix(log).to_str()?)?
        .strip_prefix('.')?;
    let first = digits.parse().ok()?;
    (sealed_path(log, first).file_name() == path.file_name()).then_some(first)
}

fn stem(log: &Path) -> OsString {
    log.file_stem().unwrap_or_default().to_owned()
}

fn suffix(log: &Path) -> OsString {
    let mut suffix = OsString::new();
    if let Some(extension) = log.extension() {
        suffix.push(".");
        suffix.push(extension);
    }
    suffix
}

/// A file that belongs to the log: its name with another extension.
pub(super) fn beside(log: &Path, extension: &str) -> PathBuf {
    log.with_extension(extension)
}

/// A small private file's contents; none if there is no such file. What is longer is cut.
pub(super) fn read_all(path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = paths::open_private(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_found_by_their_names_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("audit.log");
        let names = [
            "audit.log",
            "audit.head",
            "audit.000000000900.log",
            "audit.000000000001.log",
            "audit.1000000000000.log",
            "audit.7.log",
            "audit.x.log",
            "other.000000000001.log",
            "audit.000000000001.log.gz",
        ];
        for name in names {
            paths::write_private(&dir.path().join(name), b"").unwrap();
        }
        let found: Vec<u64> = sealed(&log).unwrap().iter().map(|segment| segment.first).collect();
        assert_eq!(found, [1, 900, 1_000_000_000_000]);
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_files() {
        let segments = Segments::open(Path::new("/nonexistent/audit.log")).unwrap();
        assert!(segments.sealed.is_empty() && segments.active.is_none());
    }
}
