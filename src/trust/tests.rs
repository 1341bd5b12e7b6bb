//! Layouts of distributions, and what is planned for them.

use std::os::unix::fs::symlink;

use super::*;

const CA: &str = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";

/// A file system below a directory of its own.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    /// A bundle with one root, whose body is `body`.
    fn bundle(&self, path: &str, body: &str) {
        self.file(path, &CA.replace("QUJD", body));
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::paths::write_private(&path, text.as_bytes()).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn plan<const N: usize>(&self, variables: [(&str, &str); N]) -> Overlay {
        let env = variables.map(|(name, path)| (name.into(), self.path(path).into())).into();
        let root = self.path("");
        Overlay::within(&Places::new(&root, &env), Path::new("/trust-here"), CA, None)
    }

    /// What is covered by files of ours and what is added to, as paths in here.
    fn covered(&self, overlay: &Overlay) -> (Vec<String>, Vec<String>) {
        let inside = |pairs: &[(PathBuf, PathBuf)]| {
            let mut paths: Vec<String> = pairs
                .iter()
                .map(|(_, target)| {
                    target.strip_prefix(self.path("")).unwrap().display().to_string()
                })
                .collect();
            paths.sort();
            paths
        };
        (inside(&overlay.mounts), inside(&overlay.merges))
    }
}

fn contents(overlay: &Overlay, name: &str) -> String {
    let (_, contents) = overlay.files.iter().find(|(path, _)| path == Path::new(name)).unwrap();
    String::from_utf8(contents.clone()).unwrap()
}

#[test]
fn debian() {
    let root = Root::new();
    root.bundle("etc/ssl/certs/ca-certificates.crt", "REVG");
    root.bundle("usr/share/ca-certificates/mozilla/A.crt", "REVG");
    root.link("etc/ssl/certs/A.pem", "../../../usr/share/ca-certificates/mozilla/A.crt");
    root.link("etc/ssl/certs/02265526.0", "A.pem");
    root.file("etc/ssl/certs/java/cacerts", "");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(files, ["etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/java/cacerts"]);
    assert_eq!(directories, ["etc/ssl/certs"]);
}

/// Up to 41, and RHEL.
#[test]
fn fedora() {
    let root = Root::new();
    root.bundle("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "REVG");
    root.link("etc/pki/tls/certs/ca-bundle.crt", "../../ca-trust/extracted/pem/tls-ca-bundle.pem");
    root.link("etc/pki/tls/cert.pem", "certs/ca-bundle.crt");
    root.link("etc/ssl/certs", "../pki/tls/certs");
    root.file("etc/pki/ca-trust/extracted/java/cacerts", "");
    root.link("etc/pki/java/cacerts", "../ca-trust/extracted/java/cacerts");
    root.file("etc/pki/ca-trust/source/anchors/corp.pem", "");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(
        files,
        [
            "etc/pki/ca-trust/extracted/java/cacerts",
            "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
        ]
    );
    // GnuTLS, and NSS, read it through p11-kit.
    assert_eq!(directories, ["etc/pki/ca-trust/source/anchors"]);
}

/// Since `cert.pem` was dropped: OpenSSL reads a directory of hashes.
#[test]
fn fedora_without_bundles_where_openssl_looks() {
    let root = Root::new();
    root.bundle("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "REVG");
    root.bundle("etc/pki/ca-trust/extracted/pem/directory-hash/02265526.0", "REVG");
    root.link("etc/pki/tls/certs", "../ca-trust/extracted/pem/directory-hash");
    root.link("etc/ssl/certs", "../pki/tls/certs");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(files, ["etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"]);
    assert_eq!(directories, ["etc/pki/ca-trust/extracted/pem/directory-hash"]);
}

#[test]
fn alpine() {
    let root = Root::new();
    root.bundle("etc/ssl/certs/ca-certificates.crt", "REVG");
    root.bundle("etc/ssl/certs/02265526.0", "REVG");
    root.link("etc/ssl/cert.pem", "certs/ca-certificates.crt");
    root.link("usr/lib/jvm/java-21-openjdk/lib/security/cacerts", "../../../../../../etc/cacerts");
    root.file("etc/cacerts", "");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(files, ["etc/cacerts", "etc/ssl/certs/ca-certificates.crt"]);
    assert_eq!(directories, ["etc/ssl/certs"]);
}

#[test]
fn suse() {
    let root = Root::new();
    root.bundle("var/lib/ca-certificates/ca-bundle.pem", "REVG");
    root.link("etc/ssl/ca-bundle.pem", "../../var/lib/ca-certificates/ca-bundle.pem");
    root.bundle("var/lib/ca-certificates/pem/02265526.0", "REVG");
    root.bundle("var/lib/ca-certificates/openssl/02265526.0", "REVG");
    root.link("etc/ssl/certs", "../../var/lib/ca-certificates/pem");
    root.file("var/lib/ca-certificates/java-cacerts", "");
    root.file("etc/pki/trust/anchors/corp.pem", "");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(
        files,
        ["var/lib/ca-certificates/ca-bundle.pem", "var/lib/ca-certificates/java-cacerts"]
    );
    assert_eq!(
        directories,
        ["etc/pki/trust/anchors", "var/lib/ca-certificates/openssl", "var/lib/ca-certificates/pem"]
    );
}

#[test]
fn arch() {
    let root = Root::new();
    root.bundle("etc/ca-certificates/extracted/tls-ca-bundle.pem", "REVG");
    root.bundle("etc/ca-certificates/extracted/cadir/A.pem", "REVG");
    let extracted = "../../ca-certificates/extracted";
    root.link("etc/ca-certificates/extracted/cadir/02265526.0", "A.pem");
    root.link("etc/ssl/certs/ca-certificates.crt", &format!("{extracted}/tls-ca-bundle.pem"));
    root.link("etc/ssl/certs/02265526.0", &format!("{extracted}/cadir/A.pem"));
    root.link("etc/ssl/cert.pem", "../ca-certificates/extracted/tls-ca-bundle.pem");
    root.file("etc/ssl/certs/java/cacerts", "");
    root.file("etc/ca-certificates/trust-source/anchors/corp.pem", "");
    let (files, directories) = root.covered(&root.plan([]));
    assert_eq!(
        files,
        ["etc/ca-certificates/extracted/tls-ca-bundle.pem", "etc/ssl/certs/java/cacerts"]
    );
    assert_eq!(
        directories,
        [
            "etc/ca-certificates/extracted/cadir",
            "etc/ca-certificates/trust-source/anchors",
            "etc/ssl/certs"
        ]
    );
}

#[test]
fn nixos() {
    let root = Root::new();
    root.bundle("nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt", "REVG");
    let store = "../../../nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt";
    for name in ["ca-certificates.crt", "ca-bundle.crt"] {
        root.link(&format!("etc/ssl/certs/{name}"), store);
    }
    root.file("nix/store/2-openjdk/lib/openjdk/lib/security/cacerts", "");
    root.file("nix/store/2-openjdk/bin/java", "");
    root.link("run/bin/java", "../../nix/store/2-openjdk/bin/java");
    let (files, directories) = root.covered(&root.plan([("PATH", "run/bin")]));
    assert_eq!(
        files,
        [
            "nix/store/1-nss-cacert/etc/ssl/certs/ca-bundle.crt",
            "nix/store/2-openjdk/lib/openjdk/lib/security/cacerts"
        ]
    );
    assert_eq!(directories, [""; 0]);
}

#[test]
fn where_there_is_no_bundle_the_hashed_certificates_are_the_roots() {
    let root = Root::new();
    root.bundle("etc/pki/tls/certs/02265526.0", "REVG");
    root.bundle("etc/pki/tls/certs/8d89cda1.0", "R0hJ");
    let bundle = contents(&root.plan([]), BUNDLE);
    assert!(["QUJD", "REVG", "R0hJ"].iter().all(|body| bundle.contains(body)), "{bundle}");
}

#[test]
fn the_bundle_holds_what_every_variable_that_it_replaces_named() {
    for name in REPLACING_VARIABLES {
        let root = Root::new();
        root.bundle("etc/ssl/certs/ca-certificates.crt", "R0hJ");
        root.bundle("own.pem", "REVG");
        let overlay = root.plan([(name, "own.pem")]);
        let bundle = contents(&overlay, BUNDLE);
        assert!(["QUJD", "REVG", "R0hJ"].iter().all(|body| bundle.contains(body)), "{name}");
        let ours = OsString::from("/trust-here/trust/ca-bundle.pem");
        assert_eq!(overlay.env.get(name), Some(&ours));
    }
}

#[test]
fn a_bundle_that_a_configuration_names_keeps_to_its_own_roots_and_the_runs() {
    let root = Root::new();
    root.bundle("etc/ssl/certs/ca-certificates.crt", "R0hJ");
    root.bundle("home/corp.pem", "REVG");
    root.file("home/.curlrc", "cacert = ~/corp.pem\n");
    root.file("home/.npmrc", "cafile=${HOME}/corp.pem\n");
    let overlay = root.plan([("HOME", "home")]);
    let own = contents(&overlay, "trust/own0.pem");
    assert!(own.contains("QUJD") && own.contains("REVG") && !own.contains("R0hJ"), "{own}");
    assert!(overlay.mounts.contains(&("trust/own0.pem".into(), root.path("home/corp.pem"))));
    assert!(contents(&overlay, BUNDLE).contains("REVG"));
}

#[test]
fn a_configuration_that_names_the_systems_bundle_gets_the_systems() {
    let root = Root::new();
    root.bundle("etc/ssl/certs/ca-certificates.crt", "R0hJ");
    let path = root.path("etc/ssl/certs/ca-certificates.crt");
    root.file("home/.curlrc", &format!("cacert = {}\n", path.display()));
    let overlay = root.plan([("HOME", "home")]);
    assert_eq!(overlay.mounts, [(PathBuf::from(BUNDLE), path)]);
}

#[test]
fn what_is_exposed_stays_as_it_is() {
    let root = Root::new();
    root.bundle("etc/ssl/certs/ca-certificates.crt", "R0hJ");
    root.file("project/.venv/lib/python3.12/site-packages/certifi/cacert.pem", "");
    let mut overlay = root.plan([("VIRTUAL_ENV", "project/.venv")]);
    assert_eq!(overlay.mounts.len(), 2);
    root.link("link", "project");
    overlay.leave(&[root.path("link/.venv"), root.path("missing")]);
    assert_eq!(root.covered(&overlay).0, ["etc/ssl/certs/ca-certificates.crt"]);
}
