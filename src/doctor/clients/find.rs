//! Where a client is: on the `PATH`, and for Python also in the environments that a project has.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Stands for every Python there is.
pub(super) const PYTHON: &str = "python";
/// No more Pythons than this are tried.
const MOST: usize = 5;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
}

/// The first of this name on the `PATH`; of Python all.
pub(super) fn all(program: &str) -> Vec<Found> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = if program == PYTHON {
        pythons(&path, env::var_os("VIRTUAL_ENV").as_deref())
    } else {
        on_path(&path, program).take(1).collect()
    };
    found.into_iter().map(|path| Found { path }).collect()
}

fn on_path(path: &OsStr, name: &str) -> impl Iterator<Item = PathBuf> {
    env::split_paths(path).map(move |directory| directory.join(name)).filter(|path| runs(path))
}

/// Those that are one: `/bin/python3` and `/usr/bin/python3`. A virtual environment's is a link to
/// another, and yet has packages of its own.
fn pythons(path: &OsStr, environment: Option<&OsStr>) -> Vec<PathBuf> {
    let projects =
        environment.map(PathBuf::from).into_iter().chain(["venv", ".venv"].map(PathBuf::from));
    let candidates = projects.map(|root| root.join("bin/python3")).filter(|path| runs(path));
    let (mut found, mut known) = (Vec::new(), Vec::new());
    for candidate in candidates.chain(on_path(path, "python3")) {
        let Some(own) = identity(&candidate) else { continue };
        if !known.contains(&own) && found.len() < MOST {
            known.push(own);
            found.push(candidate);
        }
    }
    found
}

fn identity(python: &Path) -> Option<PathBuf> {
    let directory = python.parent()?.canonicalize().ok()?;
    let own = directory.parent().is_some_and(|root| root.join("pyvenv.cfg").exists());
    if own { Some(directory) } else { python.canonicalize().ok() }
}

fn runs(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn one_python_under_two_names_is_one_and_an_environments_is_another() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        program(&at("usr/bin/python3"));
        std::os::unix::fs::symlink(at("usr/bin"), at("bin")).unwrap();
        fs::create_dir_all(at("project/bin")).unwrap();
        fs::File::create(at("project/pyvenv.cfg")).unwrap();
        std::os::unix::fs::symlink(at("usr/bin/python3"), at("project/bin/python3")).unwrap();
        let path = env::join_paths([at("usr/bin"), at("bin")]).unwrap();
        let found = pythons(&path, Some(at("project").as_os_str()));
        assert_eq!(found, [at("project/bin/python3"), at("usr/bin/python3")]);
    }

    #[test]
    fn what_cannot_be_executed_is_not_found() {
        let root = tempfile::tempdir().unwrap();
        fs::File::create(root.path().join("curl")).unwrap();
        assert_eq!(on_path(root.path().as_os_str(), "curl").count(), 0);
    }
}
