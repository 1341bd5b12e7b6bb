//! The file that names variables which a daemon takes over from whoever starts it. Names only: a line each.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
    path::Path,
};

use super::{Error, Result, open_private, write_private};

/// Most bytes that are read of it.
const MAX_BYTES: u64 = 64 * 1024;

/// Names these variables, and no others. Touches the file only if it names others.
///
/// # Errors
/// As [`write_private`].
pub fn name_variables(path: &Path, names: &BTreeSet<String>) -> Result<()> {
    if named_variables(path) == *names {
        return Ok(());
    }
    if names.is_empty() {
        return match std::fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { action: "remove", path: path.to_owned(), source })
            }
            Ok(()) | Err(_) => Ok(()),
        };
    }
    let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
    write_private(path, lines.as_bytes())
}

/// The variables that are named; none where the file cannot be read or is another's.
#[must_use]
pub fn named_variables(path: &Path) -> BTreeSet<String> {
    let mut text = String::new();
    if let Ok(Some(file)) = open_private(path)
        && file.take(MAX_BYTES).read_to_string(&mut text).is_err()
    {
        return BTreeSet::new();
    }
    text.lines().map(str::to_owned).filter(|name| is_name(name)).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written_and_none_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("variables");
        let names = BTreeSet::from(["A_KEY".to_owned(), "B_KEY".to_owned()]);
        assert_eq!(named_variables(&path), BTreeSet::new());
        name_variables(&path, &names).unwrap();
        assert_eq!(named_variables(&path), names);
        name_variables(&path, &BTreeSet::new()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_name_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("variables");
        write_private(&path, b"A=b\n\nA_KEY\n").unwrap();
        assert_eq!(named_variables(&path), BTreeSet::from(["A_KEY".to_owned()]));
    }
}
