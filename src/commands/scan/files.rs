//! Files of a home that hold other programs' secrets.

use std::path::Path;

use serde::Serialize;

/// Where they are, below the home, and whose they are.
const KNOWN: &[(&str, &str)] = &[
    (".authsome", "connections of the earlier authsome, with their key"),
    (".aws", "AWS credentials"),
    (".azure", "Azure CLI tokens"),
    (".cargo/credentials.toml", "crates.io token"),
    (".config/gcloud", "Google Cloud credentials"),
    (".config/gh/hosts.yml", "GitHub CLI token"),
    (".config/glab-cli/config.yml", "GitLab CLI token"),
    (".docker/config.json", "container registry logins"),
    (".git-credentials", "Git passwords"),
    (".config/git/credentials", "Git passwords"),
    (".gnupg", "GnuPG keys"),
    (".kube/config", "Kubernetes credentials"),
    (".netrc", "passwords of curl, Git and others"),
    (".npmrc", "npm token"),
    (".pgpass", "PostgreSQL passwords"),
    (".pypirc", "PyPI token"),
    (".ssh", "SSH keys"),
    (".terraform.d/credentials.tfrc.json", "Terraform token"),
    (".vault-token", "HashiCorp Vault token"),
];

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SecretFile {
    /// Where it is.
    pub(super) path: String,
    /// What it holds.
    pub(super) what: &'static str,
    /// The flag that hides it from an agent.
    pub(super) hide: String,
}

/// Those that are there. Looks at names only; opens none.
pub(super) fn present(home: &Path) -> Vec<SecretFile> {
    let there = KNOWN.iter().filter(|(path, _)| home.join(path).exists());
    there
        .map(|(path, what)| SecretFile {
            path: home.join(path).display().to_string(),
            what,
            hide: format!("--hide ~/{path}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();

        let present = present(home.path());

        assert_eq!(present.len(), 1);
        assert_eq!(present[0].hide, "--hide ~/.ssh");
    }
}
