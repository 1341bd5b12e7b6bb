//! `doctor --fix`: what can be mended without a question. The user's own things without a right; settings of
//! the machine only as root, which `sudo` is a clear word for. Whatever was done is said.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    commands::{Context, daemon::gone},
    daemon::client::Client,
    protocol::{Request, Status},
};

/// Settings that hold after the next boot too (sysctl.d(5)).
const SYSCTL_FILE: &str = "/etc/sysctl.d/60-authsome.conf";
/// As `scripts/install.sh` and the packages have it.
const PROFILE: &str = include_str!("../../../packaging/apparmor/authsome");
/// Where AppArmor reads it.
const PROFILE_FILE: &str = "/etc/apparmor.d/authsome";

/// Something that was mended, or could not be.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) done: bool,
    pub(super) message: String,
}

type Outcome = Result<String, String>;

/// Mends what it can, in the order in which one thing depends on the other.
pub(super) fn all(context: &Context) -> Vec<Fixed> {
    let mut outcomes = Vec::new();
    if rustix::process::geteuid().is_root() {
        outcomes.extend(netns::restrictions().iter().filter_map(machine));
    }
    // Under sudo the home is the user's, and not root's to mend.
    if context.actor.owner().is_none() {
        outcomes.extend(home(context));
        outcomes.extend(daemon(context));
    }
    outcomes
        .into_iter()
        .map(|outcome: Outcome| Fixed {
            done: outcome.is_ok(),
            message: outcome.unwrap_or_else(|message| message),
        })
        .collect()
}

/// Modes of the home and of the files in it that must be private, and the home itself.
fn home(context: &Context) -> Vec<Outcome> {
    let home = &context.home;
    if !home.root().exists() {
        let made = home.ensure();
        let shown = home.root().display();
        return vec![made.map(|()| format!("made {shown}")).map_err(|error| error.to_string())];
    }
    let mut wanted: Vec<(PathBuf, u32)> = vec![(home.root().to_owned(), 0o700)];
    wanted.extend([home.profiles(), home.providers(), home.policy()].map(|path| (path, 0o700)));
    wanted.extend(
        [
            home.master_key(),
            home.config(),
            home.audit_log(),
            home.limits(),
            home.profile_in_use(),
            home.dashboard_sessions(),
            home.daemon_lock(),
            home.daemon_log(),
        ]
        .map(|path| (path, 0o600)),
    );
    wanted.iter().filter_map(|(path, mode)| close(path, *mode)).collect()
}

/// Takes from others what they may do with a file or directory of ours.
fn close(path: &Path, mode: u32) -> Option<Outcome> {
    let found = fs::symlink_metadata(path).ok()?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if !ours || found.is_symlink() || found.mode() & 0o077 == 0 {
        return None;
    }
    let shown = path.display();
    Some(match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Ok(()) => Ok(format!("chmod {mode:o} {shown} (it was {:o})", found.mode() & 0o7777)),
        Err(error) => Err(format!("cannot close {shown} to others: {error}")),
    })
}

/// One of another version is replaced; the runs it serves go on with the next.
fn daemon(context: &Context) -> Option<Outcome> {
    super::daemon::unresponsive(context).is_none().then_some(())?;
    let mut client = Client::connect(&context.home).ok().flatten()?;
    let version = client.call::<Status>(Request::Status).ok()?.version;
    if version == env!("CARGO_PKG_VERSION") {
        return None;
    }
    let stopped = client.call::<()>(Request::Stop).map_err(|error| error.message);
    Some(stopped.and_then(|()| match gone(context) {
        Ok(true) => Ok(format!("stopped the daemon of version {version}")),
        Ok(false) => Err(format!("the daemon of version {version} waits for open requests")),
        Err(error) => Err(error.message),
    }))
}

/// As root: the setting that forbids namespaces, for now and after the next boot.
fn machine(cause: &netns::Cause) -> Option<Outcome> {
    if *cause == netns::Cause::AppArmor {
        return Some(profile());
    }
    let (name, value) = cause.setting()?;
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    Some(match put(&path, value, false) {
        Ok(()) => match put(Path::new(SYSCTL_FILE), &format!("{name} = {value}\n"), true) {
            Ok(()) => Ok(format!("set {name} to {value}, also in {SYSCTL_FILE}")),
            Err(error) => Err(format!("set {name} to {value}, until the next boot: {error}")),
        },
        Err(error) => Err(format!("cannot set {name} to {value}: {error}")),
    })
}

/// The profile that the packages install, for where this program is.
fn profile() -> Outcome {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let own = own.to_str().filter(|path| !path.contains(['"', '*', '?', '[', '{', '@', '\\']));
    let own = own.ok_or("this program's path cannot stand in an AppArmor profile")?;
    let text = PROFILE.replace("@bindir@/authsome", &format!("\"{own}\""));
    put(Path::new(PROFILE_FILE), &text, false)?;
    let loaded = Command::new("apparmor_parser")
        .args(["--replace", "--write-cache", PROFILE_FILE])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("wrote {PROFILE_FILE}, cannot run apparmor_parser: {error}"))?;
    if loaded.status.success() {
        Ok(format!("wrote and loaded {PROFILE_FILE}: {own} may make user namespaces"))
    } else {
        let said = String::from_utf8_lossy(&loaded.stderr);
        Err(format!("wrote {PROFILE_FILE}, and it cannot be loaded: {}", said.trim()))
    }
}

/// Writes root's own files: readable by all, as their neighbours are.
fn put(path: &Path, text: &str, append: bool) -> Result<(), String> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.create(true).append(append).write(true).truncate(!append);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
