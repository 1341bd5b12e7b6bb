//! The directory that the agent's container sees: roots to trust, and a file of variables in two forms.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::ready::{self, Ready};
use crate::{
    protocol::{ErrorKind, ErrorReply},
    trust::{self, Shared},
};

/// Variables as docker's `--env-file` has them.
const ENV: &str = "env";
/// The same for a shell.
const ENV_SH: &str = "env.sh";

/// Where it is, for us and for the agent.
#[derive(Clone, Debug)]
pub struct Place {
    /// For us.
    pub directory: PathBuf,
    /// For the agent.
    pub shown: PathBuf,
    /// Roots in place of this system's, PEM.
    pub roots: Option<String>,
}

impl Place {
    /// Nobody is ready any more, or not yet.
    pub fn not_ready(&self) {
        // There is none, or it is not ours: then it says nothing that is true of us.
        let _ = fs::remove_file(self.directory.join(ready::FILE));
    }

    /// Writes what the agent needs: `ca` in PEM, and `placeholders` by the variables that hold them.
    pub(super) fn fill(
        &self,
        ca: &str,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<(), ErrorReply> {
        let own = std::env::vars_os().collect();
        let Shared { files, mut env } = trust::shared(&self.shown, ca, self.roots.as_deref(), &own);
        env.extend(placeholders.iter().map(|(name, value)| (name.clone(), value.clone())));
        let (lines, exports) = (lines(&env), exports(&env));
        let variables = [(ENV.into(), lines.into_bytes()), (ENV_SH.into(), exports.into_bytes())];
        for (name, contents) in files.into_iter().chain(variables) {
            self.write(&name, &contents)?;
        }
        Ok(())
    }

    /// Says that the sidecar is ready.
    pub(super) fn ready(&self) -> Result<(), ErrorReply> {
        let ready = Ready::of_parent().and_then(|ready| serde_json::to_vec(&ready).ok());
        self.write(Path::new(ready::FILE), &ready.unwrap_or_default())
    }

    /// A file that everybody may read, whole from its first moment.
    fn write(&self, name: &Path, contents: &[u8]) -> Result<(), ErrorReply> {
        let path = self.directory.join(name);
        let temporary = path.with_extension("new");
        let write = || -> io::Result<()> {
            // Of an earlier start; or a link, where the agent may write too, to what is not for it.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
            // Whatever the umask is.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(contents)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("cannot write {} for the agent: {error}", path.display()),
            hint: Some("--trust-dir names a directory that the sidecar may write to".to_owned()),
        })
    }
}

/// `NAME=value` lines; docker takes values as they are, up to the line's end.
#[must_use]
pub fn lines(env: &BTreeMap<String, String>) -> String {
    env.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// `export` lines.
#[must_use]
pub fn exports(env: &BTreeMap<String, String>) -> String {
    let quoted = |value: &str| value.replace('\'', r"'\''");
    env.iter().map(|(name, value)| format!("export {name}='{}'\n", quoted(value))).collect()
}

/// The variables that a sidecar has written into this directory; none if it has not.
#[must_use]
pub fn written(directory: &Path) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(directory.join(ENV)).ok()?;
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    Some(text.lines().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place {
            directory: directory.path().to_owned(),
            shown: "/elsewhere".into(),
            roots: Some(String::new()),
        };
        (directory, place)
    }

    #[test]
    fn everybody_may_read_what_is_shared() {
        let (directory, place) = place();
        place.fill("", &BTreeMap::new()).unwrap();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
        }
    }

    #[test]
    fn a_link_is_not_followed_out_of_the_directory() {
        let (directory, place) = place();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("env.new")).unwrap();
        place.fill("", &BTreeMap::new()).unwrap();
        assert_eq!(outside.as_file().metadata().unwrap().len(), 0);
        let mode = outside.as_file().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn variables_are_read_as_they_were_written() {
        let (directory, place) = place();
        let placeholders = BTreeMap::from([("A_KEY".to_owned(), "sk-a=b 'c'".to_owned())]);
        place.fill("", &placeholders).unwrap();
        let found = written(directory.path()).unwrap();
        assert_eq!(found.get("A_KEY").map(String::as_str), Some("sk-a=b 'c'"));
        assert_eq!(found.get("SSL_CERT_FILE").unwrap(), "/elsewhere/ca-bundle.pem");
    }

    #[test]
    fn a_quote_does_not_end_a_shells_value() {
        let env = BTreeMap::from([("A".to_owned(), "it's".to_owned())]);
        assert_eq!(exports(&env), "export A='it'\\''s'\n");
    }
}
