//! certifi's `cacert.pem`: requests, httpx and pip read it and no system file.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// Copies of certifi below a `site-packages`.
const COPIES: [&str; 2] = ["certifi/cacert.pem", "pip/_vendor/certifi/cacert.pem"];

/// Every `cacert.pem` of the Python environments that this environment, or `program`, would use.
pub(super) fn bundles(env: &BTreeMap<OsString, OsString>, program: Option<&Path>) -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        program.and_then(Path::parent).and_then(prefix_of).into_iter().collect();
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        prefixes.extend(variable(env, name));
    }
    if let Some(path) = env.get(OsStr::new("PATH")) {
        for directory in std::env::split_paths(path) {
            if let Some(prefix) = prefix_of(&directory) {
                prefixes.push(prefix);
            }
        }
    }
    let home = variable(env, "HOME");
    let pyenv =
        variable(env, "PYENV_ROOT").or_else(|| home.as_ref().map(|home| home.join(".pyenv")));
    prefixes.extend(pyenv.iter().flat_map(|root| children(&root.join("versions"))));
    if let Some(home) = home {
        prefixes.push(home.join(".local"));
        prefixes.extend(children(&home.join(".local/pipx/venvs")));
        prefixes.extend(children(&home.join(".local/share/pipx/venvs")));
        prefixes.extend(children(&home.join(".local/share/uv/tools")));
        prefixes.extend(children(&home.join(".local/share/uv/python")));
    }
    prefixes.extend([PathBuf::from("/usr"), PathBuf::from("/usr/local")]);
    // A virtual environment that nobody activated but that lies where the agent starts.
    prefixes.extend(["venv", ".venv"].map(PathBuf::from));
    prefixes.sort();
    prefixes.dedup();
    prefixes.iter().flat_map(|prefix| site_packages(prefix)).flat_map(copies).collect()
}

fn variable(env: &BTreeMap<OsString, OsString>, name: &str) -> Option<PathBuf> {
    env.get(OsStr::new(name)).map(PathBuf::from)
}

/// The prefix whose `bin` this directory is, if it has a Python.
fn prefix_of(bin: &Path) -> Option<PathBuf> {
    let python = bin.join("python3").canonicalize().ok()?;
    // Through the link for a real installation, and not through it for a virtual environment.
    let real = python.parent()?.parent()?.to_owned();
    let own = bin.parent()?.to_owned();
    if own.join("pyvenv.cfg").exists() { Some(own) } else { Some(real) }
}

fn children(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    ["lib", "lib64"]
        .iter()
        .flat_map(|lib| children(&prefix.join(lib)))
        .filter(|path| {
            path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python"))
        })
        .flat_map(|python| [python.join("site-packages"), python.join("dist-packages")])
        .collect()
}

fn copies(site_packages: PathBuf) -> impl Iterator<Item = PathBuf> {
    COPIES.iter().map(move |copy| site_packages.join(copy)).filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_environments_copies_are_found() {
        let prefix = tempfile::tempdir().unwrap();
        let certifi = prefix.path().join("lib/python3.12/site-packages/certifi");
        std::fs::create_dir_all(&certifi).unwrap();
        let bundle = certifi.join("cacert.pem");
        crate::paths::write_private(&bundle, b"").unwrap();
        let env = BTreeMap::from([("VIRTUAL_ENV".into(), prefix.path().as_os_str().to_owned())]);
        assert!(bundles(&env, None).contains(&bundle));
    }
}
