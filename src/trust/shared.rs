//! What an agent in another container needs to trust a sidecar: files in a directory that it sees, and
//! variables that name them.
//!
//! Nothing can be mounted over that container's own files from here. So the variables have to reach
//! every runtime; what ignores them all is named in the documentation.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    ADDING_VARIABLE, REPLACING_VARIABLES, bundle, configured, java, places::Places, system,
};

/// Name of the merged bundle.
const BUNDLE: &str = "ca-bundle.pem";
/// Name of the authority's own certificate.
const AUTHORITY: &str = "authsome-ca.pem";
/// Name of the Java key store.
const JAVA: &str = "cacerts.jks";

/// The shared files that hold the authority's certificate in PEM.
pub const SHARED_CERTIFICATES: [&str; 2] = [BUNDLE, AUTHORITY];

/// Files to be shared, and the variables that name them.
#[derive(Debug)]
pub struct Shared {
    /// Files, by their names in the directory.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Variables for the agent.
    pub env: BTreeMap<String, String>,
}

/// Plans the directory that the agent sees as `shown`. `roots` is a bundle in PEM; without, it is the
/// system's own, and what the variables in `env` name.
#[must_use]
pub fn shared(
    shown: &Path,
    ca: &str,
    roots: Option<&str>,
    env: &BTreeMap<OsString, OsString>,
) -> Shared {
    let own;
    let roots = match roots {
        Some(roots) => roots,
        None => {
            let places = Places::new(Path::new("/"), env);
            own = super::roots(
                &places,
                &system::bundles(&places),
                &system::hashed(&places),
                &configured::bundles(&places),
            );
            &own
        }
    };
    let merged = bundle::merge(roots, ca);
    let files = vec![
        (JAVA.into(), java::key_store(&merged)),
        (BUNDLE.into(), merged.into_bytes()),
        (AUTHORITY.into(), ca.as_bytes().to_vec()),
    ];
    Shared { files, env: shared_variables(shown) }
}

/// The variables that name what is shared, for an agent that sees it at `shown`.
#[must_use]
pub fn shared_variables(shown: &Path) -> BTreeMap<String, String> {
    let at = |name: &str| shown.join(name).to_string_lossy().into_owned();
    let mut env: BTreeMap<String, String> =
        REPLACING_VARIABLES.iter().map(|name| ((*name).to_owned(), at(BUNDLE))).collect();
    env.insert(ADDING_VARIABLE.to_owned(), at(AUTHORITY));
    for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
        env.insert(name.to_owned(), "1".to_owned());
    }
    let java = format!(
        "-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword={}",
        at(JAVA),
        java::PASSWORD
    );
    env.insert("JAVA_TOOL_OPTIONS".to_owned(), java);
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_a_variable_names_is_shared() {
        let ca = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
        let shared = shared(Path::new("/t"), ca, Some(""), &BTreeMap::new());
        let names: Vec<_> =
            shared.files.iter().map(|(name, _)| Path::new("/t").join(name)).collect();
        for value in shared.env.values().filter(|value| value.starts_with('/')) {
            assert!(names.contains(&PathBuf::from(value)), "{value}");
        }
    }

    #[test]
    fn roots_that_are_given_stand_beside_the_authority() {
        let pem =
            |body| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let shared = shared(Path::new("/t"), &pem("QUJD"), Some(&pem("REVG")), &BTreeMap::new());
        let bundle = shared.files.iter().find(|(name, _)| name == Path::new(BUNDLE)).unwrap();
        assert_eq!(bundle.1, (pem("REVG") + &pem("QUJD")).into_bytes());
    }
}
