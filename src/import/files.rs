//! Small files of a home.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Error;

/// Nothing but a database is longer.
const MAX_BYTES: u64 = 256 * 1024;

/// A file's content; none if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    bytes(path, MAX_BYTES)
}

/// A file's content if it has at most `limit` bytes; none if it is not there.
pub(super) fn bytes(path: &Path, limit: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    match path.metadata() {
        // Opening a pipe would wait for somebody to write to it.
        Ok(metadata) if !metadata.is_file() => {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        Ok(metadata) if metadata.len() > limit => {
            return Err(Error::TooLong { path: path.to_owned(), limit });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let mut content = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(Error::TooLong { path: path.to_owned(), limit });
    }
    Ok(Some(content))
}

/// A configuration file; what is missing or broken is as if it were empty, as in that product.
pub(super) fn config<T: DeserializeOwned + Default>(path: &Path) -> T {
    let content = read(path).ok().flatten();
    content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
}

/// The names in a directory, sorted; none if it is not there.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Read { path: directory.to_owned(), source };
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // That product makes no other names than these.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}
