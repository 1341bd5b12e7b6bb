//! Which files of a home go into a backup.
//!
//! All that a person wrote or that can't be made again: configuration, provider definitions, identities,
//! policies, whatever else a later version keeps there. Not what belongs to this machine or this moment:
//! the daemon's and the dashboard's files, the master key (a restored home gets a new one), the vaults
//! (their records are in the backup) and the audit log, which tells what happened here.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{paths::Home, vault::backup::FILE_MAX};

/// Beginnings of names at the top of a home that stay there.
const STAYS: [&str; 5] = [".", "audit.", "daemon.", "dashboard.", "master.key"];

/// Directories deeper than this are nobody's.
const DEPTH_MAX: usize = 8;

/// Files of a home.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Path in the home, and on this machine.
    pub(super) files: Vec<(String, PathBuf)>,
    /// One sentence for each that can't be taken.
    pub(super) left_out: Vec<String>,
}

/// What of `home` goes into a backup beside the records.
pub(super) fn of(home: &Home) -> Found {
    let mut found = Found::default();
    walk(home.root(), "", 0, &mut found);
    found.files.sort();
    found
}

/// A file's contents.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > FILE_MAX {
        return Err(io::Error::other("it is too large for a backup"));
    }
    // As large as it needs to be from the start: growing would leave copies behind.
    let mut contents = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(FILE_MAX as u64).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Where in `home` a file of a backup belongs; none if it would lead elsewhere, or does not belong into
/// a backup.
pub(super) fn place(home: &Home, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let stays = name.is_empty() || STAYS.iter().any(|start| name.starts_with(start));
    (plain && !stays && !is_in_vault(name)).then(|| home.root().join(path))
}

fn walk(directory: &Path, prefix: &str, depth: usize, found: &mut Found) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            found.left_out.push(format!("{}: {error}", directory.display()));
            return;
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            found.left_out.push(format!("{}: its name is no text", path.display()));
            continue;
        };
        if (depth == 0 && STAYS.iter().any(|start| name.starts_with(start))) || is_in_vault(&name) {
            continue;
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            // People keep such files elsewhere and link to them; a linked directory could be anything.
            Ok(kind) if kind.is_file() => found.files.push((name, path)),
            Ok(kind) if kind.is_dir() && !is_link && depth < DEPTH_MAX => {
                walk(&path, &format!("{name}/"), depth + 1, found);
            }
            Ok(_) => found.left_out.push(format!("{name}: it is no regular file")),
            Err(error) => found.left_out.push(format!("{name}: {error}")),
        }
    }
}

/// Is it a vault, `profiles/NAME/vault`, or in one?
fn is_in_vault(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some("profiles") && parts.nth(1) == Some("vault")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::{create_private_dir, write_private};

    fn home(dir: &Path) -> Home {
        Home::resolve(|name| (name == "AUTHSOME_HOME").then(|| dir.into())).unwrap()
    }

    #[test]
    fn what_a_person_wrote_is_taken_and_what_belongs_to_the_machine_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["providers", "profiles/default/vault", "identities"] {
            create_private_dir(&dir.path().join(name)).unwrap();
        }
        for name in [
            "config.toml",
            "providers/own.toml",
            "identities/claude.key",
            "profiles/default/notes",
            "profiles/default/vault/db",
            "master.key",
            "master.key.next",
            "audit.log",
            "daemon.lock",
            ".config.toml.tmp",
        ] {
            write_private(&dir.path().join(name), b"x").unwrap();
        }
        let found = of(&home(dir.path()));
        let names: Vec<&str> = found.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "config.toml",
                "identities/claude.key",
                "profiles/default/notes",
                "providers/own.toml"
            ]
        );
        assert!(found.left_out.is_empty());
    }

    #[test]
    fn a_file_of_a_backup_cannot_lead_out_of_the_home_or_into_its_keys() {
        let home = home(Path::new("/h"));
        assert_eq!(place(&home, "providers/a.toml").unwrap(), Path::new("/h/providers/a.toml"));
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "providers/../../x",
            "master.key",
            "audit.log",
            "profiles/default/vault/db",
        ] {
            assert!(place(&home, name).is_none(), "{name}");
        }
    }
}
