//! The trust overlay: what makes the agent's programs trust the run's certificate authority, and only
//! inside the namespace.
//!
//! Programs find their roots in two ways, a file at a fixed place or a variable that names one, and
//! each way misses some of them: a mount is seen even under `env -i`, a variable reaches runtimes
//! that bring their own roots. So both are done, always. Every file is *merged* (the system's roots,
//! those the parent's own variables name, and the run's): hosts that are spliced show their real
//! certificates, and a file that replaced the roots would break them.
//!
//! This module only plans; `netns` writes and mounts.

mod bundle;
mod configured;
mod java;
mod nss;
mod places;
mod programs;
mod python;
mod shared;
mod system;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use self::places::Places;
pub use self::shared::{SHARED_CERTIFICATES, Shared, shared, shared_variables};
use crate::interceptor::CA_SUBJECT_HASH;

/// Name of the merged bundle in the trust directory.
const BUNDLE: &str = "trust/ca-bundle.pem";
/// Name of the run's own certificate, with whatever `NODE_EXTRA_CA_CERTS` named before.
const EXTRA: &str = "trust/authsome-ca.pem";
/// Name of the Java key store.
const JAVA: &str = "trust/cacerts.jks";
/// Names of bundles that are merged for themselves begin like this.
const OWN: &str = "trust/own";
/// Names of the directories with copies of NSS databases begin like this.
const NSS: &str = "trust/nss";
/// Names of the directories that are added to hashed directories begin like this (`openssl rehash`).
const HASHED: &str = "trust/certs";
/// And of those that are added to directories of anchors.
const ANCHORS: &str = "trust/anchors";
/// What the run's certificate is called among anchors.
const ANCHOR: &str = "authsome-run.pem";

/// Variables that name a bundle which *replaces* a program's roots.
const REPLACING_VARIABLES: [&str; 15] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "NIX_SSL_CERT_FILE",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "DENO_CERT",
    "HEX_CACERTS_PATH",
    "PERL_LWP_SSL_CA_FILE",
];
/// The variable that names certificates which are added to Node.js's own.
const ADDING_VARIABLE: &str = "NODE_EXTRA_CA_CERTS";

/// What is to be written into the trust directory and mounted over the system's files.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Files, relative to the trust directory.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Directories that are shown together with others: relative to the trust directory, and the other.
    pub merges: Vec<(PathBuf, PathBuf)>,
    /// What covers what: relative to the trust directory, and the covered path.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// Directories that are shown in the place of others, to be written to and forgotten: relative to
    /// the trust directory, and the other.
    pub copies: Vec<(PathBuf, PathBuf)>,
    /// Variables for the agent.
    pub env: BTreeMap<String, OsString>,
}

/// A directory that must exist, empty, for browsers to be made to trust a run; none if it does, or
/// there are no browsers. The only thing that a run may leave behind.
#[must_use]
pub fn missing_directory(env: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    nss::missing(&Places::new(Path::new("/"), env))
}

impl Overlay {
    /// Plans the overlay for one run. `directory` is where the files will be seen by the agent, `ca`
    /// the run's certificate in PEM, `env` the environment the agent would have, `program` what is
    /// run: it may be of a Python environment that the variables do not mention.
    pub fn plan(
        directory: &Path,
        ca: &str,
        env: &BTreeMap<OsString, OsString>,
        program: Option<&Path>,
    ) -> Self {
        Self::within(&Places::new(Path::new("/"), env), directory, ca, program)
    }

    fn within(places: &Places<'_>, directory: &Path, ca: &str, program: Option<&Path>) -> Self {
        let mut overlay = Self::default();
        let system = system::bundles(places);
        let hashed = system::hashed(places);
        let configured = configured::bundles(places);
        let roots = roots(places, &system, &hashed, &configured);
        let merged = bundle::merge(&roots, ca);

        for path in system {
            overlay.mount(BUNDLE, &path);
        }
        overlay.configured(&configured, ca);
        for path in python::bundles(places, program).into_iter().chain(programs::bundles(places)) {
            overlay.mount(BUNDLE, &path);
        }
        overlay.java(java::stores(places), &merged);
        for directory in hashed {
            overlay.merge(HASHED, &format!("{CA_SUBJECT_HASH}.0"), ca, directory);
        }
        for directory in system::anchors(places) {
            overlay.merge(ANCHORS, ANCHOR, ca, directory);
        }
        overlay.nss_databases(places, ca);
        let extra = places.variable(ADDING_VARIABLE).map(|path| bundle::read(&path));
        let extra = bundle::merge(&extra.unwrap_or_default(), ca);
        overlay.files.push((BUNDLE.into(), merged.into_bytes()));
        overlay.files.push((EXTRA.into(), extra.into_bytes()));
        overlay.variables(directory);
        overlay
    }

    /// Leaves what is at or below these paths as it is. A file that is covered can be neither replaced nor
    /// removed, which package managers do to those they installed.
    pub fn leave(&mut self, paths: &[PathBuf]) {
        let paths: Vec<_> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
        for pairs in [&mut self.mounts, &mut self.merges, &mut self.copies] {
            pairs.retain(|(_, target)| !paths.iter().any(|path| target.starts_with(path)));
        }
    }

    fn variables(&mut self, directory: &Path) {
        let bundle = directory.join(BUNDLE).into_os_string();
        for name in REPLACING_VARIABLES {
            self.env.insert(name.to_owned(), bundle.clone());
        }
        self.env.insert(ADDING_VARIABLE.to_owned(), directory.join(EXTRA).into_os_string());
        // uv brings its own roots and asks for the system's only when told: the older and the newer
        // spelling.
        for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
            self.env.insert(name.to_owned(), "1".into());
        }
    }

    /// Where a target really lies, if nothing covers it yet.
    fn uncovered(&self, target: &Path) -> Option<PathBuf> {
        let target = target.canonicalize().ok()?;
        (!self.mounts.iter().any(|(_, known)| *known == target)).then_some(target)
    }

    fn mount(&mut self, source: &str, target: &Path) {
        if let Some(target) = self.uncovered(target) {
            self.mounts.push((source.into(), target));
        }
    }

    /// Covers each with itself and the run's certificate.
    fn configured(&mut self, bundles: &[PathBuf], ca: &str) {
        for (number, path) in bundles.iter().enumerate() {
            if let Some(target) = self.uncovered(path) {
                let own = PathBuf::from(format!("{OWN}{number}.pem"));
                let merged = bundle::merge(&bundle::read(&target), ca);
                self.files.push((own.clone(), merged.into_bytes()));
                self.mounts.push((own, target));
            }
        }
    }

    fn java(&mut self, stores: Vec<PathBuf>, merged: &str) {
        if !stores.is_empty() {
            self.files.push((JAVA.into(), java::key_store(merged)));
        }
        for path in stores {
            self.mount(JAVA, &path);
        }
    }

    /// Shows the run's certificate under `name` in a directory. What has an overlay of its own in there
    /// gets it on top.
    fn merge(&mut self, source: &str, name: &str, ca: &str, directory: PathBuf) {
        // Each has its own: where the kernel makes no overlays, the other's files are copied into it.
        let own = PathBuf::from(format!("{source}{}", self.merges.len()));
        self.files.push((own.join(name), ca.as_bytes().to_vec()));
        self.merges.push((own, directory));
    }

    fn nss_databases(&mut self, places: &Places<'_>, ca: &str) {
        for (number, directory) in nss::directories(places).into_iter().enumerate() {
            let Some(files) = nss::copy(&directory, ca) else { continue };
            let own = PathBuf::from(format!("{NSS}{number}"));
            self.files.extend(files.into_iter().map(|(name, bytes)| (own.join(name), bytes)));
            self.copies.push((own, directory));
        }
    }
}

/// Everything that the agent's programs would trust without us, unmerged: the system's roots, and
/// those of each file that a variable or a configuration names, since ours stands in its place.
fn roots(
    places: &Places<'_>,
    system: &[PathBuf],
    hashed: &[PathBuf],
    configured: &[PathBuf],
) -> String {
    let mut bundles = system.iter().map(|path| bundle::read(path));
    let mut roots = bundles.find(|bundle| !bundle.is_empty()).unwrap_or_else(|| {
        hashed.first().map(|directory| system::certificates(directory)).unwrap_or_default()
    });
    let mut known: Vec<PathBuf> =
        system.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let variables = REPLACING_VARIABLES.into_iter().chain([ADDING_VARIABLE]);
    let named = variables.filter_map(|name| places.variable(name));
    for path in named.chain(configured.iter().cloned()) {
        if let Some(path) = path.canonicalize().ok().filter(|path| !known.contains(path)) {
            roots.push('\n');
            roots.push_str(&bundle::read(&path));
            known.push(path);
        }
    }
    roots
}

#[cfg(test)]
mod tests;
