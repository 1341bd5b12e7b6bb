//! Where things lie, and how files are made that nobody else may read.
//!
//! [`Home`] names every path under `$AUTHSOME_HOME`. The free functions create directories (0700) and
//! files (0600) with those modes from the first moment: a `chmod` afterwards leaves a gap. They work
//! under any umask, know nothing about what they store, and refuse what others could have touched.
//!
//! The home is not `~/.authsome`: that belongs to the earlier Python product and stays as it is.

mod anchor;
mod files;
mod variables;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use self::files::check_private_dir;
pub use self::{
    anchor::{Anchor, Watch},
    files::{
        append_private, check_private_file, create_private, create_private_dir, open_private,
        private_umask, write_private,
    },
    variables::{name_variables, named_variables},
};

/// Longest path that fits into `sockaddr_un.sun_path` everywhere (macOS has 104 bytes with the final
/// NUL, Linux 108; unix(7)).
const SOCKET_PATH_MAX: usize = 103;

/// Longest profile name: it is one file name, with room for suffixes.
const PROFILE_NAME_MAX: usize = 64;

/// A path that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `AUTHSOME_HOME`, `XDG_DATA_HOME` nor `HOME` says where to put things.
    #[error("no place for authsome's files: HOME is not set")]
    NoHome,
    /// A variable holds a relative path.
    #[error("{variable} is not an absolute path: {}", path.display())]
    Relative {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        path: PathBuf,
    },
    /// The socket in this home would have a longer path than the kernel takes.
    #[error("{} is too long for a socket", path.display())]
    TooLong {
        /// The socket's path.
        path: PathBuf,
    },
    /// A profile's name that is not a plain file name.
    #[error("'{name}' is not a profile name")]
    ProfileName {
        /// The name.
        name: String,
    },
    /// Not a directory, or not a regular file.
    #[error("{} is not a {wanted}", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// `directory` or `regular file`.
        wanted: &'static str,
    },
    /// Owned by somebody else.
    #[error("{} belongs to user {owner}, not to user {wanted}", path.display())]
    Owner {
        /// The path.
        path: PathBuf,
        /// Its owner's uid.
        owner: u32,
        /// The uid it should have.
        wanted: u32,
    },
    /// Group or others have rights.
    #[error("{} is open to other users (mode {mode:04o})", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The bits it should have.
        wanted: u32,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// What would mend it: a command to type, or a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set AUTHSOME_HOME to an absolute path".to_owned()),
            Self::Relative { variable, .. } => Some(format!("set {variable} to an absolute path")),
            Self::TooLong { .. } => Some("set AUTHSOME_HOME to a shorter path".to_owned()),
            Self::ProfileName { .. } => Some(
                "use letters, digits, '-', '_' and '.', not starting with '.', at most 64"
                    .to_owned(),
            ),
            Self::Owner { path, wanted, .. } => {
                Some(format!("sudo chown -R {wanted} {}", path.display()))
            }
            Self::Open { path, wanted, .. } => Some(format!("chmod {wanted:o} {}", path.display())),
            Self::WrongKind { path, .. } => Some(format!("move {} away", path.display())),
            Self::Io { .. } => None,
        }
    }
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// The directory with everything authsome keeps for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// `$AUTHSOME_HOME`, else `$XDG_DATA_HOME/authsome`, else `$HOME/.local/share/authsome`. `env`
    /// looks a variable up; an empty one counts as absent (XDG Base Directory Specification).
    /// Touches no disk.
    ///
    /// # Errors
    /// [`Error::NoHome`], [`Error::Relative`], [`Error::TooLong`].
    pub fn resolve(env: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let home = lookup(&env, "HOME")?;
        Self::choose(home.as_deref(), &env)
    }

    /// The same for a user whose home directory is `home_dir`, whatever `HOME` says: under sudo it
    /// may be root's.
    ///
    /// # Errors
    /// As [`Home::resolve`].
    pub fn for_user(home_dir: &Path, env: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        Self::choose(Some(home_dir), &env)
    }

    /// A home that lies in `root`, and that no daemon serves there.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    fn choose(home: Option<&Path>, env: &impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let root = if let Some(root) = lookup(env, "AUTHSOME_HOME")? {
            root
        } else if let Some(data) = lookup(env, "XDG_DATA_HOME")? {
            data.join("authsome")
        } else {
            home.ok_or(Error::NoHome)?.join(".local/share/authsome")
        };
        let home = Self { root };
        let socket = home.daemon_socket();
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(Error::TooLong { path: socket });
        }
        Ok(home)
    }

    /// Creates the home if it is missing and refuses one that others own or can look into.
    ///
    /// A symbolic link is followed (people move such directories to another disk) if the link is the
    /// user's own; what it leads to must be as private as a directory would have to be.
    ///
    /// # Errors
    /// [`Error::WrongKind`], [`Error::Owner`], [`Error::Open`], [`Error::Io`].
    pub fn ensure(&self) -> Result<()> {
        create_private_dir(&self.root)
    }

    /// As [`Home::ensure`], but leaves it to the daemon to make a home that is missing: it may have been
    /// moved.
    ///
    /// # Errors
    /// As [`Home::ensure`].
    pub fn ensure_if_present(&self) -> Result<()> {
        if self.root.exists() { self.ensure() } else { Ok(()) }
    }

    /// Refuses a home that is not `uid`'s alone, and creates nothing: for root on behalf of a user.
    ///
    /// # Errors
    /// As [`Home::ensure`]; also [`Error::Io`] if there is none.
    pub fn check(&self, uid: u32) -> Result<()> {
        check_private_dir(&self.root, uid)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the user configured.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The user's provider definitions.
    #[must_use]
    pub fn providers(&self) -> PathBuf {
        self.root.join("providers")
    }

    /// The user's policy.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy")
    }

    /// The key that opens every profile's vault, unless the OS keyring has it.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.root.join("master.key")
    }

    /// One directory per profile.
    #[must_use]
    pub fn profiles(&self) -> PathBuf {
        self.root.join("profiles")
    }

    /// A profile's vault.
    ///
    /// # Errors
    /// [`Error::ProfileName`], so that a name can never lead out of the home.
    pub fn vault(&self, profile: &str) -> Result<PathBuf> {
        Ok(self.profile(profile)?.join("vault"))
    }

    /// A profile's directory.
    ///
    /// # Errors
    /// As [`Home::vault`].
    pub fn profile(&self, profile: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if profile.is_empty()
            || profile.len() > PROFILE_NAME_MAX
            || profile.starts_with('.')
            || !profile.chars().all(plain)
        {
            return Err(Error::ProfileName { name: profile.to_owned() });
        }
        Ok(self.profiles().join(profile))
    }

    /// Which profile counts where nobody names one.
    #[must_use]
    pub fn profile_in_use(&self) -> PathBuf {
        self.root.join("profile")
    }

    /// A page that leads a browser into the dashboard, once.
    #[must_use]
    pub fn dashboard_page(&self) -> PathBuf {
        self.root.join("dashboard.html")
    }

    /// Sessions of browsers with the dashboard, as hashes.
    #[must_use]
    pub fn dashboard_sessions(&self) -> PathBuf {
        self.root.join("dashboard.sessions")
    }

    /// What has been used of budgets.
    #[must_use]
    pub fn limits(&self) -> PathBuf {
        self.root.join("limits.json")
    }

    /// What happened.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit.log")
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn daemon_socket(&self) -> PathBuf {
        self.root.join("daemon.sock")
    }

    /// Held by the one daemon of this home.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.root.join("daemon.lock")
    }

    /// Names of the variables that a daemon takes over from whoever starts it for a profile, besides
    /// the usual ones.
    ///
    /// # Errors
    /// As [`Home::vault`].
    pub fn variables(&self, profile: &str) -> Result<PathBuf> {
        Ok(self.profile(profile)?.join("variables"))
    }

    /// What a daemon in the background says.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }
}

/// A variable that must hold an absolute path; empty counts as absent.
fn lookup(
    env: &impl Fn(&str) -> Option<OsString>,
    variable: &'static str,
) -> Result<Option<PathBuf>> {
    match env(variable).filter(|value| !value.is_empty()).map(PathBuf::from) {
        Some(path) if !path.is_absolute() => Err(Error::Relative { variable, path }),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use rustix::process::geteuid;

    use super::*;

    fn resolve(vars: &[(&str, &str)]) -> Result<Home> {
        Home::resolve(|name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn authsome_home_wins_over_xdg_over_home() {
        let all = [("AUTHSOME_HOME", "/a"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(resolve(&all).unwrap().root(), Path::new("/a"));
        assert_eq!(resolve(&all[1..]).unwrap().root(), Path::new("/x/authsome"));
        assert_eq!(resolve(&all[2..]).unwrap().root(), Path::new("/h/.local/share/authsome"));
    }

    #[test]
    fn an_empty_variable_counts_as_absent() {
        let home = resolve(&[("AUTHSOME_HOME", ""), ("XDG_DATA_HOME", ""), ("HOME", "/h")]);
        assert_eq!(home.unwrap().root(), Path::new("/h/.local/share/authsome"));
    }

    #[test]
    fn without_any_variable_there_is_no_home() {
        assert!(matches!(resolve(&[]), Err(Error::NoHome)));
    }

    #[test]
    fn a_relative_home_is_refused_by_its_variable() {
        let error = resolve(&[("AUTHSOME_HOME", "here"), ("HOME", "/h")]).unwrap_err();
        assert_eq!(error.to_string(), "AUTHSOME_HOME is not an absolute path: here");
    }

    #[test]
    fn a_home_too_long_for_its_socket_is_refused() {
        let long = format!("/{}", "a".repeat(100));
        assert!(matches!(resolve(&[("AUTHSOME_HOME", &long)]), Err(Error::TooLong { .. })));
    }

    #[test]
    fn another_users_home_ignores_the_callers_home_variable() {
        let home = Home::for_user(Path::new("/home/ada"), |name| {
            (name == "HOME").then(|| OsString::from("/root"))
        });
        assert_eq!(home.unwrap().root(), Path::new("/home/ada/.local/share/authsome"));
    }

    #[test]
    fn a_profile_name_cannot_lead_out_of_the_home() {
        let home = resolve(&[("HOME", "/h")]).unwrap();
        assert!(home.vault("work-2.b").unwrap().ends_with("profiles/work-2.b/vault"));
        for name in ["", ".", "..", ".x", "a/b", "../a", "a\0", "é", &"a".repeat(65)] {
            assert!(home.vault(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_new_home_and_its_new_parents_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("share/authsome");
        Home { root: root.clone() }.ensure().unwrap();
        assert_eq!((mode(&root), mode(&dir.path().join("share"))), (0o700, 0o700));
    }

    #[test]
    fn a_home_open_to_others_is_refused_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let error = Home { root: dir.path().to_owned() }.ensure().unwrap_err();
        assert!(matches!(error, Error::Open { mode: 0o750, .. }), "{error}");
        assert_eq!(error.hint().unwrap(), format!("chmod 700 {}", dir.path().display()));
    }

    #[test]
    fn a_home_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home { root: dir.path().join("home") };
        home.ensure().unwrap();
        home.check(geteuid().as_raw()).unwrap();
        assert!(matches!(home.check(geteuid().as_raw() + 1), Err(Error::Owner { .. })));
    }
}
