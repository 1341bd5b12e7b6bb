//! Where distributions keep their roots, and what reads them there.
//!
//! Facts: Go's `crypto/x509/root_linux.go`, `openssl-probe`, ca-certificates of Debian, Fedora (with the
//! change that drops `cert.pem` for a directory of hashes), Alpine, openSUSE, Arch and NixOS.

use std::path::{Path, PathBuf};

use super::places::Places;

/// Bundles of all roots. The first that can be read is what is merged; each that exists is covered.
const BUNDLES: [&str; 18] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch, NixOS, Gentoo, Void
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem", // Arch
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/var/lib/ca-certificates/ca-bundle.pem", // SUSE
    "/etc/ssl/cert.pem",                  // Alpine, Arch, OpenSSL built from source
    "/etc/pki/tls/cert.pem",              // Fedora up to 42, RHEL
    "/etc/pki/tls/cacert.pem",            // OpenELEC
    "/etc/ssl/certs/ca-bundle.crt",       // NixOS
    "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt", // Nix elsewhere
    "/run/current-system/sw/etc/ssl/certs/ca-bundle.crt", // NixOS
    "/home/linuxbrew/.linuxbrew/etc/ca-certificates/cert.pem", // Homebrew
    "/home/linuxbrew/.linuxbrew/etc/openssl@3/cert.pem", // Homebrew
    "/usr/local/ssl/cert.pem",            // OpenSSL built from source
    "/usr/lib/ssl/cert.pem",              // Debian's OpenSSL, where an administrator made one
    "/opt/etc/ssl/certs/ca-certificates.crt", // Entware
    "/data/data/com.termux/files/usr/etc/tls/cert.pem", // Termux
];

/// Directories of certificates named by their subject's hash, which OpenSSL looks into when there is
/// no bundle at its default place (`X509_LOOKUP_hash_dir(3)`), and Go beside its bundle.
const HASHED: [&str; 8] = [
    "/etc/ssl/certs",                                 // Debian, Alpine, Arch, SUSE
    "/etc/pki/tls/certs",                             // Fedora
    "/etc/pki/ca-trust/extracted/pem/directory-hash", // Fedora from 42
    "/etc/ca-certificates/extracted/cadir",           // Arch
    "/var/lib/ca-certificates/openssl",               // SUSE
    "/var/lib/ca-certificates/pem",                   // SUSE
    "/usr/local/ssl/certs",                           // OpenSSL built from source
    "/home/linuxbrew/.linuxbrew/etc/openssl@3/certs", // Homebrew
];

/// Directories whose certificates p11-kit's trust module takes for roots, each time it is loaded:
/// there GnuTLS, and NSS with it Firefox and Chromium, read no bundle.
const ANCHORS: [&str; 3] = [
    "/etc/pki/ca-trust/source/anchors",          // Fedora, RHEL
    "/etc/pki/trust/anchors",                    // SUSE
    "/etc/ca-certificates/trust-source/anchors", // Arch
];

/// The bundles that there are, most common first.
pub(super) fn bundles(places: &Places<'_>) -> Vec<PathBuf> {
    let mut found: Vec<_> = BUNDLES.iter().map(|path| places.system(path)).collect();
    found.extend(places.home(".nix-profile/etc/ssl/certs/ca-bundle.crt"));
    found.retain(|path| path.is_file());
    found
}

/// The directories of hashes that there are, without links, each once.
pub(super) fn hashed(places: &Places<'_>) -> Vec<PathBuf> {
    existing(places, &HASHED).into_iter().filter(|directory| is_hashed(directory)).collect()
}

/// The directories of anchors that there are, without links, each once.
pub(super) fn anchors(places: &Places<'_>) -> Vec<PathBuf> {
    existing(places, &ANCHORS)
}

/// The certificates of a directory of hashes, in PEM: where there is no bundle, they are the roots.
pub(super) fn certificates(directory: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(directory) else { return String::new() };
    let names = entries.flatten().map(|entry| entry.path());
    names
        .filter(|path| path.file_name().is_some_and(|name| is_hash_name(Path::new(name))))
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .collect()
}

fn existing(places: &Places<'_>, paths: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        let path = places.system(path);
        let path = path.is_dir().then(|| path.canonicalize().ok()).flatten();
        found.extend(path.filter(|path| !found.contains(path)));
    }
    found
}

fn is_hashed(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| is_hash_name(Path::new(&entry.file_name())))
    })
}

/// `1a2b3c4d.0`, as `openssl rehash` names its links.
fn is_hash_name(name: &Path) -> bool {
    let Some((stem, number)) = name.to_str().and_then(|name| name.split_once('.')) else {
        return false;
    };
    stem.len() == 8
        && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_names_are_told_from_others() {
        assert!(is_hash_name(Path::new("02265526.0")));
        assert!(!is_hash_name(Path::new("ca-certificates.crt")));
        assert!(!is_hash_name(Path::new("02265526.pem")));
        assert!(!is_hash_name(Path::new("02265526.")));
    }
}
