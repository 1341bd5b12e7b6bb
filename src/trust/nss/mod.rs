//! NSS databases: Chrome, Chromium and Electron ask the user's for roots beside their own, and read
//! neither a bundle nor a variable.
//!
//! Each one there is is copied, the run's certificate added, and the copy shown in its place: writable,
//! since NSS opens no other, and gone with the run. NSS keeps a database in two SQLite files; what is
//! in them is documented only by its source (`lib/softoken/sdb.c`, `sftkdb.c`) and by what it writes.

mod database;
mod signature;

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{bundle, places::Places};

/// Where Chrome has looked always, and where it looks if there is none, relative to the home directory.
const CLASSIC: &str = ".pki/nssdb";
const MODERN: &str = ".local/share/pki/nssdb";
/// Chromium of Ubuntu's, which has a home of its own.
const SNAP: &str = "snap/chromium/current/.pki/nssdb";
/// Every place of a database, relative to the home directory.
const OWN: [&str; 3] = [CLASSIC, MODERN, SNAP];

/// As what browsers are found in the `PATH`.
const BROWSERS: [&str; 8] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "brave-browser",
    "microsoft-edge",
    "vivaldi",
    "opera",
];
/// Where tools that drive browsers keep theirs, relative to the home directory.
const BROWSER_CACHES: [&str; 2] = [".cache/ms-playwright", ".cache/puppeteer"];

/// Files of a database: certificates, keys, and which modules there are.
pub(super) const CERTIFICATES: &str = "cert9.db";
pub(super) const KEYS: &str = "key4.db";
const MODULES: &str = "pkcs11.txt";

/// The databases that this environment's programs would use.
pub(super) fn directories(places: &Places<'_>) -> Vec<PathBuf> {
    let data = places.variable("XDG_DATA_HOME").map(|data| data.join("pki/nssdb"));
    let candidates = OWN.iter().filter_map(|path| places.home(path)).chain(data);
    let mut found: Vec<_> = candidates
        .filter_map(|path| path.canonicalize().ok().filter(|path| path.is_dir()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The directory that is missing although a browser is there: without it nothing could be shown in
/// its place. The browser would make it when it first starts, empty too.
pub(super) fn missing(places: &Places<'_>) -> Option<PathBuf> {
    let home = places.home("").filter(|home| home.is_dir())?;
    let in_path = || {
        let mut programs = places.programs();
        programs.any(|directory| BROWSERS.iter().any(|name| directory.join(name).is_file()))
    };
    let cached = || BROWSER_CACHES.iter().any(|path| home.join(path).is_dir());
    (directories(places).is_empty() && (in_path() || cached())).then(|| home.join(CLASSIC))
}

/// The files of a copy of the database in `directory`, with the certificate of `pem` trusted for
/// servers: names and contents. None if that cannot be done; then it stays as it is.
pub(super) fn copy(directory: &Path, pem: &str) -> Option<Vec<(&'static str, Vec<u8>)>> {
    let base64: String = bundle::certificates(pem).next()?.split_ascii_whitespace().collect();
    let der = STANDARD.decode(base64).ok()?;
    let read = |name: &str| std::fs::read(directory.join(name)).ok();
    let (certificates, keys) =
        database::with_authority(read(CERTIFICATES), read(KEYS), &der).ok()?;
    let mut files = vec![(CERTIFICATES, certificates), (KEYS, keys)];
    files.extend(read(MODULES).map(|modules| (MODULES, modules)));
    Some(files)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ffi::OsString};

    use super::*;

    fn env(home: &Path, path: &Path) -> BTreeMap<OsString, OsString> {
        [("HOME", home), ("PATH", path)].map(|(name, value)| (name.into(), value.into())).into()
    }

    #[test]
    fn a_directory_is_missing_only_where_a_browser_is() {
        let (home, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let env = env(home.path(), bin.path());
        let places = Places::new(Path::new("/"), &env);
        assert_eq!(missing(&places), None);

        crate::paths::write_private(&bin.path().join("chromium"), b"").unwrap();
        assert_eq!(missing(&places), Some(home.path().join(CLASSIC)));

        std::fs::create_dir_all(home.path().join(MODERN)).unwrap();
        assert_eq!(missing(&places), None);
        assert_eq!(directories(&places), [home.path().canonicalize().unwrap().join(MODERN)]);
    }

    #[test]
    fn a_database_that_is_none_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        crate::paths::write_private(&directory.path().join(CERTIFICATES), b"no database").unwrap();
        let (pem, _) = crate::interceptor::RunCa::generate().unwrap();
        assert!(copy(directory.path(), &pem).is_none());
        assert!(copy(Path::new("/nonexistent"), &pem).is_some());
    }
}
