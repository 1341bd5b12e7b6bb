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
mod java;
mod nss;
mod python;
mod shared;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

pub use self::shared::{Shared, shared, shared_variables};
use crate::interceptor::CA_SUBJECT_HASH;

/// Name of the merged bundle in the trust directory.
const BUNDLE: &str = "trust/ca-bundle.pem";
/// Name of the run's own certificate, with whatever `NODE_EXTRA_CA_CERTS` named before.
const EXTRA: &str = "trust/authsome-ca.pem";
/// Name of the Java key store.
const JAVA: &str = "trust/cacerts.jks";
/// Names of the directories with copies of NSS databases begin like this.
const NSS: &str = "trust/nss";
/// Name of the directory that is added to a hashed directory (`openssl rehash`).
const HASHED: &str = "trust/certs";

/// Where distributions keep the bundle of all roots.
const BUNDLE_PATHS: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem", // Arch
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/var/lib/ca-certificates/ca-bundle.pem", // SUSE
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem", // Alpine, OpenSSL built from source
];

/// Directories of certificates named by their subject's hash, which OpenSSL looks into when there is
/// no bundle at its default place (`X509_LOOKUP_hash_dir(3)`): Debian's is one.
const HASHED_DIRECTORY: &str = "/etc/ssl/certs";

/// Variables that name a bundle which *replaces* a program's roots.
const REPLACING_VARIABLES: [&str; 13] = [
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
];

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
    nss::missing(env)
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
        let mut overlay = Self::default();
        let roots = bundle::roots(&BUNDLE_PATHS, env);
        let merged = bundle::merge(&roots, ca);
        for path in BUNDLE_PATHS {
            overlay.mount(BUNDLE, Path::new(path));
        }
        for path in python::bundles(env, program) {
            overlay.mount(BUNDLE, &path);
        }
        let stores = java::stores(env);
        if !stores.is_empty() {
            overlay.files.push((JAVA.into(), java::key_store(&merged)));
            for path in stores {
                overlay.mount(JAVA, &path);
            }
        }
        let extra = bundle::merge(&bundle::named(env, "NODE_EXTRA_CA_CERTS"), ca);
        overlay.files.push((BUNDLE.into(), merged.into_bytes()));
        overlay.files.push((EXTRA.into(), extra.into_bytes()));
        overlay.hashed_directory(ca);
        overlay.nss_databases(ca, env);
        overlay.variables(directory);
        overlay
    }

    fn variables(&mut self, directory: &Path) {
        let bundle = directory.join(BUNDLE).into_os_string();
        for name in REPLACING_VARIABLES {
            self.env.insert(name.to_owned(), bundle.clone());
        }
        self.env.insert("NODE_EXTRA_CA_CERTS".to_owned(), directory.join(EXTRA).into_os_string());
        // uv brings its own roots and asks for the system's only when told: the older and the newer
        // spelling.
        for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
            self.env.insert(name.to_owned(), "1".into());
        }
    }

    fn mount(&mut self, source: &str, target: &Path) {
        // A link's target is covered where it really lies, once.
        let Ok(target) = target.canonicalize() else { return };
        if !self.mounts.iter().any(|(_, known)| *known == target) {
            self.mounts.push((source.into(), target));
        }
    }

    fn nss_databases(&mut self, ca: &str, env: &BTreeMap<OsString, OsString>) {
        for (number, directory) in nss::directories(env).into_iter().enumerate() {
            let Some(files) = nss::copy(&directory, ca) else { continue };
            let own = PathBuf::from(format!("{NSS}{number}"));
            self.files.extend(files.into_iter().map(|(name, bytes)| (own.join(name), bytes)));
            self.copies.push((own, directory));
        }
    }

    /// Adds the run's certificate to the hashed directory. What has an overlay of its own in there gets
    /// it on top.
    fn hashed_directory(&mut self, ca: &str) {
        let directory = Path::new(HASHED_DIRECTORY);
        if !std::fs::read_dir(directory).is_ok_and(|entries| {
            entries.flatten().any(|entry| is_hash_name(Path::new(&entry.file_name())))
        }) {
            return;
        }
        let own = Path::new(HASHED).join(format!("{CA_SUBJECT_HASH}.0"));
        self.files.push((own, ca.as_bytes().to_vec()));
        self.merges.push((HASHED.into(), directory.to_owned()));
    }
}

/// `1a2b3c4d.0`, as `openssl rehash` names its links.
fn is_hash_name(name: &Path) -> bool {
    let Some((stem, number)) = name.to_str().and_then(|name| name.split_once('.')) else {
        return false;
    };
    stem.len() == 8
        && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";

    #[test]
    fn the_bundle_holds_the_parents_roots_and_the_runs() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("own.pem");
        let other = CA.replace("QUJD", "REVG");
        crate::paths::write_private(&own, other.as_bytes()).unwrap();
        let env = BTreeMap::from([("SSL_CERT_FILE".into(), own.into_os_string())]);

        let overlay = Overlay::plan(Path::new("/trust-here"), CA, &env, None);

        let (_, bundle) = overlay.files.iter().find(|(path, _)| path == Path::new(BUNDLE)).unwrap();
        let bundle = String::from_utf8(bundle.clone()).unwrap();
        assert!(bundle.contains("QUJD") && bundle.contains("REVG"));
        assert_eq!(
            overlay.env.get("SSL_CERT_FILE"),
            Some(&OsString::from("/trust-here/trust/ca-bundle.pem"))
        );
    }

    #[test]
    fn hash_names_are_told_from_others() {
        assert!(is_hash_name(Path::new("02265526.0")));
        assert!(!is_hash_name(Path::new("ca-certificates.crt")));
        assert!(!is_hash_name(Path::new("02265526.pem")));
    }
}
