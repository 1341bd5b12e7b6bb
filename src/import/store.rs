//! The two databases: a table of keys and values (0.2), and the cache of Python's `diskcache` (0.3).
//!
//! Opening a database in write-ahead mode, even to read it, makes files beside it or ignores what is
//! not checkpointed. So a private copy is opened, log included.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, Row, types::ValueRef};
use tempfile::TempDir;

use super::{Error, files};
use crate::paths;

/// Largest database that is read. Real ones have some hundred kilobytes.
const MAX_DATABASE: u64 = 128 << 20;

/// What SQLite keeps beside a database: the write-ahead log and the rollback journal.
const BESIDE: [&str; 3] = ["", "-wal", "-journal"];

/// How often a database that is being written to is copied before that is an error.
const ATTEMPTS: usize = 3;

/// `diskcache`'s ways to store a value: in the table as it is, and as text in a file.
const MODE_RAW: i64 = 1;
const MODE_TEXT: i64 = 3;

/// A key and its value, or why there is none.
pub(super) type Entry = (String, Result<String, Error>);

/// Everything in the table `kv` of the database at `path`.
pub(super) fn table(path: &Path) -> Result<Vec<Entry>, Error> {
    let copy = Copy::of(path)?;
    copy.rows("SELECT key, value FROM kv ORDER BY key", |row| Ok((row.get(0)?, Ok(row.get(1)?))))
}

/// Everything that has a text as its key in the cache in `directory`.
pub(super) fn cache(directory: &Path) -> Result<Vec<Entry>, Error> {
    let copy = Copy::of(&directory.join("cache.db"))?;
    let sql = "SELECT key, mode, filename, value FROM Cache \
        WHERE raw = 1 AND typeof(key) = 'text' ORDER BY key";
    copy.rows(sql, |row| Ok((row.get(0)?, value(directory, row)?)))
}

fn value(directory: &Path, row: &Row<'_>) -> rusqlite::Result<Result<String, Error>> {
    let other = Err(Error::Record { problem: "is stored in a way that is not read" });
    Ok(match (row.get(1)?, row.get_ref(3)?) {
        (MODE_RAW, ValueRef::Text(text)) => match str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => other,
        },
        (MODE_TEXT, _) => {
            let name: String = row.get(2)?;
            beside(directory, &name)
        }
        _ => other,
    })
}

/// A value that was too long for the table.
fn beside(directory: &Path, name: &str) -> Result<String, Error> {
    let problem = |problem| Err(Error::Record { problem });
    let name = Path::new(name);
    if !name.components().all(|component| matches!(component, Component::Normal(_))) {
        return problem("is said to be in a file outside the store");
    }
    let Some(content) = files::bytes(&directory.join(name), MAX_DATABASE)? else {
        return problem("is said to be in a file that is not there");
    };
    match str::from_utf8(&content) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => problem("is not text"),
    }
}

/// A database of our own with the content of another.
struct Copy {
    original: PathBuf,
    connection: Connection,
    /// Removed after the connection is closed.
    _directory: TempDir,
}

impl Copy {
    fn of(original: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Copy { path: original.to_owned(), source };
        let private = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().permissions(private).tempdir().map_err(failed)?;
        let copy = directory.path().join("copy.db");
        copy_all(original, &copy)?;
        // The copy's log is worked into it: for that it must be writable.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = |source| Error::Database { path: original.to_owned(), source };
        let connection = Connection::open_with_flags(&copy, flags).map_err(database)?;
        // What a schema could make SQLite do is not taken from somebody else's file.
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
            .map_err(database)?;
        Ok(Self { original: original.to_owned(), connection, _directory: directory })
    }

    fn rows<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        let rows = || {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([], read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        rows().map_err(|source| Error::Database { path: self.original.clone(), source })
    }
}

/// Copies a database and what is beside it as they were at one moment.
fn copy_all(original: &Path, copy: &Path) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let before = stamps(original);
        for suffix in BESIDE {
            let from = with_suffix(original, suffix);
            let to = with_suffix(copy, suffix);
            match files::bytes(&from, MAX_DATABASE)? {
                Some(content) => paths::write_private(&to, &content)
                    .map_err(|source| Error::Write { path: from, source })?,
                None if suffix.is_empty() => {
                    let source = io::ErrorKind::NotFound.into();
                    return Err(Error::Read { path: from, source });
                }
                // Left over from the attempt before.
                None if to.exists() => {
                    fs::remove_file(&to).map_err(|source| Error::Copy { path: from, source })?;
                }
                None => {}
            }
        }
        if before == stamps(original) {
            return Ok(());
        }
    }
    Err(Error::Changing { path: original.to_owned() })
}

/// Length and time of change of each file.
fn stamps(original: &Path) -> [Option<(u64, i64, i64)>; BESIDE.len()] {
    BESIDE.map(|suffix| {
        let found = fs::metadata(with_suffix(original, suffix)).ok()?;
        Some((found.len(), found.mtime(), found.mtime_nsec()))
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        paths::write_private(&path, &[b'x'; 5000]).unwrap();

        let error = table(&path).unwrap_err();

        assert!(matches!(&error, Error::Database { path: named, .. } if *named == path));
    }

    #[test]
    fn a_database_with_other_tables_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();

        assert!(matches!(table(&path), Err(Error::Database { .. })));
    }

    #[test]
    fn a_value_is_not_fetched_from_outside_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        paths::create_private_dir(&store).unwrap();
        let outside = directory.path().join("secret");
        paths::write_private(&outside, b"text").unwrap();

        for name in ["../secret", outside.to_str().unwrap(), "a/../../secret"] {
            assert!(matches!(beside(&store, name), Err(Error::Record { .. })), "{name}");
        }
    }
}
