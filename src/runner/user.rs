//! Whom a command acts for: the caller, or, under sudo, the user who called it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
};

use nix::unistd::{Gid, Uid, User};

use crate::{
    daemon::client::Owner,
    paths::Home,
    protocol::{ErrorKind, ErrorReply},
};

/// Variables that, where sudo lets them through, may name root's directories.
const ROOTS_OWN: [&str; 5] =
    ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];

/// The user a run acts for, and where their things lie.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Their home of authsome.
    pub home: Home,
    sudo: Option<SudoUser>,
}

#[derive(Clone, Debug)]
struct SudoUser {
    owner: Owner,
    groups: Vec<u32>,
    shell: PathBuf,
}

impl Actor {
    /// The caller, whoever that is.
    pub fn caller(home: Home) -> Self {
        Self { home, sudo: None }
    }

    /// The user behind `SUDO_UID` if we are root through sudo(8), else the caller.
    ///
    /// # Errors
    /// A user who does not exist, a home that cannot be.
    pub fn resolve(env: &BTreeMap<OsString, OsString>) -> Result<Self, ErrorReply> {
        let home_error = |error: &crate::paths::Error| ErrorReply {
            kind: ErrorKind::Failed,
            message: error.to_string(),
            hint: error.hint(),
        };
        let variable = |name: &str| env.get(OsStr::new(name)).cloned();
        let Some(uid) = sudo_uid(env) else {
            return Home::resolve(variable).map(Self::caller).map_err(|error| home_error(&error));
        };
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or_else(|| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("SUDO_UID is {uid}, and there is no such user"),
            hint: Some("run it without sudo".to_owned()),
        })?;
        // Root's own XDG_DATA_HOME is not the user's.
        let home =
            Home::for_user(&user.dir, |name| variable(name).filter(|_| name == "AUTHSOME_HOME"))
                .map_err(|error| home_error(&error))?;
        Ok(Self { home, sudo: Some(SudoUser::new(user)) })
    }

    /// Behind sudo, goes on as the user from the start, with this program executed anew: what the
    /// command then makes is theirs, and it speaks to their daemon as they would. Returns if there is
    /// nothing to give up.
    ///
    /// # Errors
    /// The rights could not be given up.
    pub fn become_user(&self) -> Result<(), ErrorReply> {
        let Some(user) = &self.sudo else { return Ok(()) };
        let failed = |error: &dyn std::fmt::Display| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("cannot go on as {}, who called sudo: {error}", user.owner.name),
            hint: Some("run it without sudo".to_owned()),
        };
        let uid = user.owner.uid;
        give_up_root(&user.owner, &user.groups).map_err(|error| failed(&error))?;
        let mut args = std::env::args_os();
        let mut command = Command::new(netns::ourselves().map_err(|error| failed(&error))?);
        command.arg0(args.next().unwrap_or_default()).args(args).envs(self.variables());
        for name in ROOTS_OWN {
            command.env_remove(name);
        }
        let runtime = PathBuf::from(format!("/run/user/{uid}"));
        if runtime.is_dir() {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        Err(failed(&command.exec()))
    }

    /// Whose the daemon must be, if not the caller's.
    pub fn owner(&self) -> Option<&Owner> {
        self.sudo.as_ref().map(|user| &user.owner)
    }

    /// The user the agent becomes, if not the caller.
    pub(super) fn credentials(&self) -> Option<netns::Credentials> {
        self.sudo.as_ref().map(|user| netns::Credentials {
            uid: user.owner.uid,
            gid: user.owner.gid,
            groups: user.groups.clone(),
        })
    }

    #[cfg(target_os = "linux")]
    pub(super) fn uid(&self) -> u32 {
        self.sudo.as_ref().map_or_else(|| rustix::process::getuid().as_raw(), |user| user.owner.uid)
    }

    /// The home directory of the user the agent acts for.
    pub(super) fn user_home(&self, env: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
        match &self.sudo {
            Some(user) => Some(user.owner.home.clone()),
            None => env.get(OsStr::new("HOME")).map(PathBuf::from),
        }
    }

    /// The shell of the user the agent acts for; none where nothing says which.
    pub fn shell(&self) -> Option<PathBuf> {
        let shell = match &self.sudo {
            Some(user) => user.shell.clone(),
            None => PathBuf::from(std::env::var_os("SHELL")?),
        };
        shell.is_absolute().then_some(shell)
    }

    /// What sudo had set for root and the agent, who is not root, must see otherwise.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let Some(user) = &self.sudo else { return Vec::new() };
        vec![
            ("HOME", user.owner.home.clone().into()),
            ("USER", user.owner.name.clone().into()),
            ("LOGNAME", user.owner.name.clone().into()),
            ("SHELL", user.shell.clone().into()),
        ]
    }
}

impl SudoUser {
    fn new(user: User) -> Self {
        Self {
            groups: groups(&user),
            shell: user.shell,
            owner: Owner {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                name: user.name,
                home: user.dir,
            },
        }
    }
}

/// All groups of a user.
#[cfg(target_os = "linux")]
fn groups(user: &User) -> Vec<u32> {
    let groups = std::ffi::CString::new(user.name.as_str())
        .ok()
        .and_then(|name| nix::unistd::getgrouplist(&name, user.gid).ok())
        .unwrap_or_else(|| vec![user.gid]);
    groups.into_iter().map(Gid::as_raw).collect()
}

/// There the system finds them when they are taken on: they may be more than a process can name.
#[cfg(target_os = "macos")]
fn groups(user: &User) -> Vec<u32> {
    vec![user.gid.as_raw()]
}

/// Groups, group and user, for good.
#[cfg(target_os = "linux")]
fn give_up_root(user: &Owner, groups: &[u32]) -> std::io::Result<()> {
    use nix::unistd::{setgroups, setresgid, setresuid};
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}

/// The same. Root's setgid(2) and setuid(2) set all three.
#[cfg(target_os = "macos")]
fn give_up_root(user: &Owner, _: &[u32]) -> std::io::Result<()> {
    netns::darwin::initgroups(&user.name, user.gid)?;
    nix::unistd::setgid(Gid::from_raw(user.gid))?;
    Ok(nix::unistd::setuid(Uid::from_raw(user.uid))?)
}

fn sudo_uid(env: &BTreeMap<OsString, OsString>) -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let uid = env.get(OsStr::new("SUDO_UID"))?.to_str()?.parse().ok()?;
    (uid != 0).then_some(uid)
}
