//! Where things are on this machine, for this environment: the one way in which the finders look at
//! the file system.
//!
//! They look at known places only, and of a directory at no more than so many entries: a run waits for
//! them. What cannot be read is not there.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// How many entries of a directory are looked at. Whoever has more installations of one language than
/// that has the variables still.
const ENTRIES: usize = 64;

/// A file system and an environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// What absolute paths begin at.
    root: &'a Path,
    env: &'a BTreeMap<OsString, OsString>,
}

impl<'a> Places<'a> {
    /// The file system below `root`, and an agent's environment, whose paths are absolute outside of it.
    pub(super) fn new(root: &'a Path, env: &'a BTreeMap<OsString, OsString>) -> Self {
        Self { root, env }
    }

    /// A place of the system.
    pub(super) fn system(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A place in the home directory; none where there is no home.
    pub(super) fn home(&self, path: &str) -> Option<PathBuf> {
        self.variable("HOME").map(|home| home.join(path))
    }

    /// A path that a variable names.
    pub(super) fn variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.env.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// What a path of a user's configuration means: `~/` and `${HOME}/` are the home directory.
    pub(super) fn named(&self, path: &str) -> Option<PathBuf> {
        let below = ["~/", "${HOME}/", "$HOME/"].iter().find_map(|home| path.strip_prefix(home));
        match below {
            Some(below) => self.home(below),
            None => path.starts_with('/').then(|| PathBuf::from(path)),
        }
    }

    /// The directories in which programs are looked for.
    pub(super) fn programs(&self) -> impl Iterator<Item = PathBuf> + use<'a> {
        self.env.get(OsStr::new("PATH")).into_iter().flat_map(std::env::split_paths)
    }
}

/// What is in a directory.
pub(super) fn children(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .map(|entries| entries.flatten().take(ENTRIES).map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_configuration_names_may_begin_at_home() {
        let env = BTreeMap::from([("HOME".into(), "/home/me".into())]);
        let places = Places::new(Path::new("/"), &env);
        for path in ["~/corp.pem", "${HOME}/corp.pem", "$HOME/corp.pem", "/home/me/corp.pem"] {
            assert_eq!(places.named(path), Some("/home/me/corp.pem".into()), "{path}");
        }
        assert_eq!(places.named("corp.pem"), None);
    }
}
