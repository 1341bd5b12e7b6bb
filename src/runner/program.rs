//! The names of our own program: what the user types the next time, outside, must not be what an agent
//! has put there.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// As what it is looked for in the `PATH`, however this process was called.
const NAME: &str = "authsome";

/// Absolute names under which the running program is found: its own, the one it was called by, and
/// those in the `PATH`. One that has been deleted or replaced since it started has none.
pub(super) fn names(env: &BTreeMap<OsString, OsString>) -> Vec<PathBuf> {
    let own = std::env::current_exe().ok();
    let called = std::env::args_os().next().map(PathBuf::from);
    let called_name = called.as_deref().and_then(Path::file_name).map(OsStr::to_owned);
    let mut candidates: Vec<PathBuf> = own.into_iter().collect();
    candidates.extend(called.filter(|path| path.components().count() > 1).and_then(absolute));
    for directory in env.get(OsStr::new("PATH")).into_iter().flat_map(std::env::split_paths) {
        let names = [Some(OsStr::new(NAME)), called_name.as_deref()];
        candidates.extend(names.into_iter().flatten().filter_map(|n| absolute(directory.join(n))));
    }
    netns::ourselves().map_or_else(|_| Vec::new(), |program| keep_ours(candidates, &program))
}

fn absolute(path: PathBuf) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

fn keep_ours(mut names: Vec<PathBuf>, program: &Path) -> Vec<PathBuf> {
    let number =
        |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let Some(ours) = number(program) else { return Vec::new() };
    names.sort_unstable();
    names.dedup();
    names.retain(|name| number(name) == Some(ours));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_second_names_of_the_program_are_its_names_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["authsome", "other"] {
            crate::paths::write_private(&at(name), b"").unwrap();
        }
        std::os::unix::fs::symlink("authsome", at("link")).unwrap();
        std::fs::hard_link(at("authsome"), at("second")).unwrap();
        let all = ["authsome", "other", "link", "second", "missing"].map(at).to_vec();
        let found = keep_ours(all, &at("authsome"));
        assert_eq!(found, ["authsome", "link", "second"].map(at));
    }
}
