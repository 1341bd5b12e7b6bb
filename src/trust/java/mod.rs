//! Java's `cacerts`: the JVM reads its own key store, at a place below each installation.

mod key_store;

use std::path::{Path, PathBuf};

pub(super) use self::key_store::{PASSWORD, key_store};
use super::places::{Places, children};

/// Variables that name an installation.
const VARIABLES: [&str; 3] = ["JAVA_HOME", "JDK_HOME", "GRAALVM_HOME"];
/// Directories with an installation in each entry: of the system, and below the home directory.
const PARENTS: [&str; 5] = ["/usr/lib/jvm", "/usr/lib64/jvm", "/usr/java", "/opt/java", "/opt/jdk"];
const OWN_PARENTS: [&str; 7] = [
    ".sdkman/candidates/java",
    ".jdks", // IntelliJ
    ".gradle/jdks",
    ".jabba/jdk",
    ".asdf/installs/java",
    ".local/share/mise/installs/java",
    ".local/share/rtx/installs/java",
];
/// An installation's store: of JDK 9 and later, of a JRE before, of a JDK before; and of NixOS.
const STORES: [&str; 3] =
    ["lib/security/cacerts", "jre/lib/security/cacerts", "lib/openjdk/lib/security/cacerts"];
/// Stores that a distribution makes for all of its installations, which link to them.
const SHARED: [&str; 4] = [
    "/etc/ssl/certs/java/cacerts",              // Debian, Alpine, Arch
    "/etc/pki/ca-trust/extracted/java/cacerts", // Fedora, RHEL
    "/etc/pki/java/cacerts",                    // Fedora, RHEL
    "/var/lib/ca-certificates/java-cacerts",    // SUSE
];

/// Every `cacerts` of a JDK that this environment would use, without links, each once.
pub(super) fn stores(places: &Places<'_>) -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> =
        VARIABLES.iter().filter_map(|name| places.variable(name)).collect();
    homes.extend(places.programs().filter_map(|directory| home_of(&directory)));
    let parents = PARENTS.iter().map(|path| places.system(path));
    let own = OWN_PARENTS.iter().filter_map(|path| places.home(path));
    homes.extend(parents.chain(own).flat_map(|parent| children(&parent)));
    homes.extend(children(&places.system("/opt")).into_iter().filter(|path| is_java(path)));

    let within = homes.iter().flat_map(|home| STORES.map(|store| home.join(store)));
    let mut found: Vec<PathBuf> = within
        .chain(SHARED.iter().map(|path| places.system(path)))
        .filter(|path| path.is_file())
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The installation whose `bin` has this directory's `java`.
fn home_of(directory: &Path) -> Option<PathBuf> {
    let java = directory.join("java").canonicalize().ok()?;
    Some(java.parent()?.parent()?.to_owned())
}

/// By its name: `jdk-21`, `openjdk`, `graalvm-ce`, `amazon-corretto-17`.
fn is_java(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
    name.is_some_and(|name| {
        ["jdk", "jre", "java", "graalvm", "corretto", "zulu"].iter().any(|part| name.contains(part))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ffi::OsString};

    use super::*;

    /// Makes an installation, and returns its store.
    fn install(home: &Path) -> PathBuf {
        let store = home.join("lib/security/cacerts");
        std::fs::create_dir_all(store.parent().unwrap()).unwrap();
        std::fs::create_dir_all(home.join("bin")).unwrap();
        crate::paths::write_private(&store, b"").unwrap();
        crate::paths::write_private(&home.join("bin/java"), b"").unwrap();
        store.canonicalize().unwrap()
    }

    #[test]
    fn installations_are_found_by_variable_path_tool_and_directory() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let mut expected = [
            "usr/lib/jvm/java-21",
            "opt/graalvm-ce",
            "opt/java/openjdk",
            "home/.jdks/corretto-17",
            "home/.sdkman/candidates/java/21-tem",
            "somewhere/jdk",
            "elsewhere/jdk",
        ]
        .map(|home| install(&at(home)));
        install(&at("opt/tool"));
        std::fs::create_dir(at("bin")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere/jdk/bin/java"), at("bin/java")).unwrap();
        let env: BTreeMap<OsString, OsString> =
            [("HOME", at("home")), ("JAVA_HOME", at("somewhere/jdk")), ("PATH", at("bin"))]
                .map(|(name, value)| (name.into(), value.into()))
                .into();
        expected.sort();
        assert_eq!(stores(&Places::new(root.path(), &env)), expected);
    }
}
