//! The bundles that Python packages bring: requests, httpx and pip read certifi's and no system file,
//! botocore and grpc their own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::places::{Places, children};

/// Bundles below a `site-packages`.
const COPIES: [&str; 6] = [
    "certifi/cacert.pem",
    "pip/_vendor/certifi/cacert.pem",
    "botocore/cacert.pem",
    "grpc/_cython/_credentials/roots.pem",
    "httplib2/cacerts.txt",
    "stripe/data/ca-certificates.crt",
];
/// Variables that name an environment.
const VARIABLES: [&str; 3] = ["VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"];
/// Directories with an environment in each entry, below the home directory.
const PARENTS: [&str; 7] = [
    ".local/pipx/venvs",
    ".local/share/pipx/venvs",
    ".local/share/uv/tools",
    ".local/share/uv/python",
    ".local/share/mise/installs/python",
    ".asdf/installs/python",
    ".conda/envs",
];
/// Environments below the home directory: the user's own packages, Poetry, what conda installs.
const OWN: [&str; 6] =
    [".local", ".local/share/pypoetry/venv", "miniconda3", "miniforge3", "anaconda3", "mambaforge"];
/// Environments of the system.
const SYSTEM: [&str; 3] = ["/usr", "/usr/local", "/opt/conda"];
/// OpenSSL's default where conda made it, below an environment.
const CONDA: [&str; 2] = ["ssl/cacert.pem", "ssl/cert.pem"];

/// Every bundle of the Python environments that this environment, or `program`, would use.
pub(super) fn bundles(places: &Places<'_>, program: Option<&Path>) -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        program.and_then(Path::parent).and_then(prefix_of).into_iter().collect();
    prefixes.extend(VARIABLES.iter().filter_map(|name| places.variable(name)));
    prefixes.extend(places.programs().filter_map(|directory| prefix_of(&directory)));
    let pyenv = places.variable("PYENV_ROOT").or_else(|| places.home(".pyenv"));
    prefixes.extend(pyenv.iter().flat_map(|root| children(&root.join("versions"))));
    let parents = PARENTS.iter().filter_map(|path| places.home(path));
    prefixes.extend(parents.flat_map(|parent| children(&parent)));
    prefixes.extend(OWN.iter().filter_map(|path| places.home(path)));
    prefixes.extend(SYSTEM.iter().map(|path| places.system(path)));
    // A virtual environment that nobody activated but that lies where the agent starts.
    prefixes.extend(["venv", ".venv"].map(PathBuf::from));
    prefixes.sort();
    prefixes.dedup();
    prefixes.iter().flat_map(|prefix| within(prefix)).collect()
}

/// The prefix whose `bin` this directory is, if it has a Python.
fn prefix_of(bin: &Path) -> Option<PathBuf> {
    let python = bin.join("python3").canonicalize().ok()?;
    // Through the link for a real installation, and not through it for a virtual environment.
    let real = python.parent()?.parent()?.to_owned();
    let own = bin.parent()?.to_owned();
    if own.join("pyvenv.cfg").exists() { Some(own) } else { Some(real) }
}

fn within(prefix: &Path) -> Vec<PathBuf> {
    let copies = |packages: PathBuf| COPIES.map(|copy| packages.join(copy));
    let packages = site_packages(prefix).into_iter().flat_map(copies);
    packages.chain(CONDA.map(|path| prefix.join(path))).filter(|path| path.is_file()).collect()
}

/// Where packages are below a prefix: `lib/python3.12/site-packages`, Debian's without the minor
/// version. What the interpreter is called tells the name; a `lib` may be too large to search.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let real = prefix.join("bin/python3").canonicalize().ok();
    let named = real.as_deref().and_then(Path::file_name).map(OsStr::to_owned);
    let mut found = Vec::new();
    for lib in ["lib", "lib64"].map(|lib| prefix.join(lib)) {
        let pythons = children(&lib).into_iter().filter(|path| is_python(path));
        found.extend(pythons);
        found.extend(named.iter().map(|name| lib.join(name)));
        found.push(lib.join("python3"));
    }
    found.sort();
    found.dedup();
    let packages = found.into_iter().flat_map(|python| {
        ["site-packages", "dist-packages"].map(|packages| python.join(packages))
    });
    packages.filter(|path| path.is_dir()).collect()
}

fn is_python(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("python"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_large_library_directory_is_not_searched_for_the_interpreters_own() {
        let prefix = tempfile::tempdir().unwrap();
        let at = |path: &str| prefix.path().join(path);
        for number in 0..200 {
            std::fs::create_dir_all(at(&format!("lib/other{number}"))).unwrap();
        }
        std::fs::create_dir_all(at("lib/python3.14t/site-packages")).unwrap();
        std::fs::create_dir_all(at("bin")).unwrap();
        crate::paths::write_private(&at("bin/python3.14t"), b"").unwrap();
        std::os::unix::fs::symlink("python3.14t", at("bin/python3")).unwrap();
        assert_eq!(site_packages(prefix.path()), [at("lib/python3.14t/site-packages")]);
    }

    #[test]
    fn a_virtual_environments_copies_are_found() {
        let prefix = tempfile::tempdir().unwrap();
        let packages = prefix.path().join("lib/python3.12/site-packages");
        for copy in COPIES {
            let bundle = packages.join(copy);
            std::fs::create_dir_all(bundle.parent().unwrap()).unwrap();
            crate::paths::write_private(&bundle, b"").unwrap();
        }
        let env = BTreeMap::from([("VIRTUAL_ENV".into(), prefix.path().as_os_str().to_owned())]);
        let root = tempfile::tempdir().unwrap();
        let found = bundles(&Places::new(root.path(), &env), None);
        assert_eq!(found, COPIES.map(|copy| packages.join(copy)));
    }
}
