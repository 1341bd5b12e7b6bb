//! Bundles that the user's own configuration files name.
//!
//! For some programs such a file outweighs the variable (curl, wget, npm), for others the variable the
//! file, and then what the file named must be in the variable's bundle. So each is merged and covered
//! like the system's, with the difference that it keeps to its own roots: a user who trusts one
//! authority only goes on doing so, and trusts the run's.
//!
//! The files are in a dozen formats that have this in common: a line that begins with a key, something
//! between, and a path. Nothing else of them is understood, so an entry that only some hosts or
//! profiles are for counts too.

use std::path::PathBuf;

use super::{
    bundle,
    places::{Places, children},
};

/// Files below the home directory, and the keys in them.
const OWN: [(&str, &[&str]); 18] = [
    (".curlrc", &["cacert"]),
    (".config/curlrc", &["cacert"]),
    (".wgetrc", &["ca_certificate", "ca-certificate"]),
    (".gitconfig", &["sslcainfo"]),
    (".config/git/config", &["sslcainfo"]),
    (".npmrc", &["cafile"]),
    (".yarnrc.yml", &["httpscafilepath"]),
    (".bunfig.toml", &["cafile"]),
    (".config/pip/pip.conf", &["cert"]),
    (".pip/pip.conf", &["cert"]),
    (".cargo/config.toml", &["cainfo", "http.cainfo"]),
    (".condarc", &["ssl_verify"]),
    (".aws/config", &["ca_bundle"]),
    (".config/gcloud/configurations/config_default", &["custom_ca_certs_file"]),
    (".config/composer/config.json", &["cafile"]),
    (".composer/config.json", &["cafile"]),
    (".gemrc", &["ssl_ca_cert"]),
    (".bundle/config", &["bundle_ssl_ca_cert"]),
];
/// Of the system.
const SYSTEM: [(&str, &[&str]); 7] = [
    ("/etc/gitconfig", &["sslcainfo"]),
    ("/etc/wgetrc", &["ca_certificate", "ca-certificate"]),
    ("/etc/npmrc", &["cafile"]),
    ("/etc/pip.conf", &["cert"]),
    ("/etc/php.ini", PHP),
    ("/usr/local/etc/php/php.ini", PHP),
    ("/opt/conda/.condarc", &["ssl_verify"]),
];
/// PHP's own, in Debian one for each version.
const PHP: &[&str] = &["openssl.cafile", "curl.cainfo"];
const PHP_VERSIONS: &str = "/etc/php";
const PHP_COMMAND_LINE: &str = "cli/php.ini";
/// Files that variables name.
const VARIABLES: [(&str, &[&str]); 6] = [
    ("PIP_CONFIG_FILE", &["cert"]),
    ("GIT_CONFIG_GLOBAL", &["sslcainfo"]),
    ("NPM_CONFIG_USERCONFIG", &["cafile"]),
    ("npm_config_userconfig", &["cafile"]),
    ("WGETRC", &["ca_certificate", "ca-certificate"]),
    ("AWS_CONFIG_FILE", &["ca_bundle"]),
];

/// Every file that a configuration names and that is there, without links, each once.
pub(super) fn bundles(places: &Places<'_>) -> Vec<PathBuf> {
    let own = OWN.iter().filter_map(|(path, keys)| Some((places.home(path)?, *keys)));
    let system = SYSTEM.iter().map(|(path, keys)| (places.system(path), *keys));
    let named = VARIABLES.iter().filter_map(|(name, keys)| Some((places.variable(name)?, *keys)));
    let php = children(&places.system(PHP_VERSIONS)).into_iter();
    let php = php.map(|version| (version.join(PHP_COMMAND_LINE), PHP));
    let mut found: Vec<PathBuf> = own
        .chain(system)
        .chain(named)
        .chain(php)
        .map(|(path, keys)| (bundle::read(&path), keys))
        .flat_map(|(text, keys)| {
            text.lines()
                .filter_map(|line| value(line, keys))
                .map(ToOwned::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|value| places.named(&value)?.canonicalize().ok())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The value of a line that has one of the keys, in lower case.
fn value<'a>(line: &'a str, keys: &[&str]) -> Option<&'a str> {
    // `--cacert`, `:ssl_ca_cert`, `"cafile"`; npm's `//registry.example.com/:cafile`.
    let line = line.trim_start().trim_start_matches(['-', ':', '"']);
    let line = line
        .strip_prefix("//")
        .map_or(Some(line), |scoped| scoped.split_once("/:").map(|(_, line)| line))?;
    let end = line.find(|c: char| c.is_whitespace() || matches!(c, '=' | ':' | '"'))?;
    let (key, rest) = line.split_at_checked(end)?;
    if !keys.iter().any(|known| key.eq_ignore_ascii_case(known)) {
        return None;
    }
    let value =
        rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, '=' | ':' | ',' | '"' | '\''));
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;

    #[test]
    fn each_formats_line_gives_its_value() {
        let lines: [(&str, &[&str]); 13] = [
            ("cacert = \"/corp.pem\"", &["cacert"]),
            ("--cacert /corp.pem", &["cacert"]),
            ("cacert=/corp.pem", &["cacert"]),
            ("\tsslCAInfo = /corp.pem", &["sslcainfo"]),
            ("cafile=/corp.pem", &["cafile"]),
            ("//registry.example.com/:cafile=/corp.pem", &["cafile"]),
            ("httpsCaFilePath: \"/corp.pem\"", &["httpscafilepath"]),
            ("cainfo = '/corp.pem' ", &["cainfo"]),
            ("ssl_verify: /corp.pem", &["ssl_verify"]),
            ("  \"cafile\": \"/corp.pem\",", &["cafile"]),
            (":ssl_ca_cert: /corp.pem", &["ssl_ca_cert"]),
            ("BUNDLE_SSL_CA_CERT: \"/corp.pem\"", &["bundle_ssl_ca_cert"]),
            ("openssl.cafile=/corp.pem", &["openssl.cafile"]),
        ];
        for (line, keys) in lines {
            assert_eq!(value(line, keys), Some("/corp.pem"), "{line}");
        }
    }

    #[test]
    fn other_lines_give_none() {
        for line in [
            "# cert = /corp.pem",
            ";cert=/corp.pem",
            "certificate = /corp.pem",
            "cert =",
            "cert",
            "",
        ] {
            assert_eq!(value(line, &["cert"]), None, "{line}");
        }
    }

    #[test]
    fn files_of_the_home_the_system_and_variables_are_read() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::paths::write_private(&path, text.as_bytes()).unwrap();
            path
        };
        let bundle = |name: &str| write(name, "");
        let expected = [bundle("a.pem"), bundle("b.pem"), bundle("c.pem"), bundle("home/d.pem")];
        let [a, b, c, _] = expected.clone().map(|path| path.display().to_string());
        write("home/.curlrc", &format!("silent\ncacert = \"{a}\"\n"));
        write("etc/php/8.2/cli/php.ini", &format!("openssl.cafile={b}\n"));
        write("home/.npmrc", "cafile=${HOME}/d.pem\n");
        write("home/.condarc", "ssl_verify: true\n");
        let pip = write("pip.conf", &format!("[global]\ncert = {c}\n"));
        let env = BTreeMap::from([
            ("HOME".into(), root.join("home").into_os_string()),
            ("PIP_CONFIG_FILE".into(), pip.into_os_string()),
        ]);
        assert_eq!(bundles(&Places::new(Path::new(&root), &env)), expected);
    }
}
