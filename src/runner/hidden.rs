//! What the namespace covers besides `$AUTHSOME_HOME`: sockets that lead out of it, and what the user
//! asked for.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{Actor, Plan};
use crate::protocol::{ErrorKind, ErrorReply};

/// The paths to cover, and what the user should know of them.
///
/// # Errors
/// `--expose` or `--hide` of a path that cannot be so treated.
pub(super) fn paths(actor: &Actor, plan: &Plan) -> Result<(Vec<PathBuf>, Vec<String>), ErrorReply> {
    let mut hidden = usual(actor, plan);
    hidden.extend(bus_socket(plan));
    hidden.extend(named_sockets(plan));
    for path in &plan.expose {
        let exposed = absolute(actor, plan, path);
        if actor.home.root().starts_with(&exposed) || exposed.starts_with(actor.home.root()) {
            return Err(usage(
                format!("{} cannot be exposed: the vault lies there", path.display()),
                "leave it out of --expose",
            ));
        }
        hidden.retain(|path| !path.starts_with(&exposed));
    }
    let mut warnings = Vec::new();
    for path in &plan.hide {
        let path = absolute(actor, plan, path);
        if path == Path::new("/") || plan.cwd.starts_with(&path) {
            return Err(usage(
                format!("{} cannot be hidden: the agent starts in it", path.display()),
                "start in another directory",
            ));
        }
        if !path.exists() {
            warnings.push(format!("{} does not exist: there is nothing to hide", path.display()));
        }
        hidden.push(path);
    }
    Ok((hidden, warnings))
}

/// What is covered without a word.
#[cfg(target_os = "linux")]
fn usual(actor: &Actor, plan: &Plan) -> Vec<PathBuf> {
    let runtime = plan.env.get(OsStr::new("XDG_RUNTIME_DIR")).map(PathBuf::from);
    netns::default_hidden(actor.uid(), runtime.as_deref())
}

/// What is covered without a word.
#[cfg(target_os = "macos")]
fn usual(actor: &Actor, plan: &Plan) -> Vec<PathBuf> {
    netns::darwin::default_hidden(actor.user_home(&plan.env).as_deref())
}

/// The directories that must be covered, without links. One that is not there now could come to be there
/// uncovered.
///
/// # Errors
/// One that is missing, or that the agent starts in.
pub(super) fn required(plan: &Plan, directories: &[PathBuf]) -> Result<Vec<PathBuf>, ErrorReply> {
    let mut required = Vec::with_capacity(directories.len());
    for directory in directories {
        let shown = directory.display();
        let hint =
            "authsome list names the connection: log in to it from another place, or log out";
        let found = match directory.canonicalize() {
            Ok(found) if found.is_dir() => found,
            Ok(_) => {
                return Err(usage(format!("{shown} must be hidden, and is no directory"), hint));
            }
            Err(error) => {
                return Err(usage(format!("{shown} must be hidden, and cannot be: {error}"), hint));
            }
        };
        if plan.cwd.starts_with(&found) {
            return Err(usage(
                format!(
                    "{shown} holds a credential and must be hidden, and the agent starts in it"
                ),
                "start in another directory",
            ));
        }
        required.push(found);
    }
    Ok(required)
}

/// The session bus at a place of its own (`unix:path=…`); an abstract one is out of reach in another
/// network namespace anyway.
fn bus_socket(plan: &Plan) -> Option<PathBuf> {
    let address = plan.env.get(OsStr::new("DBUS_SESSION_BUS_ADDRESS"))?.to_str()?;
    let path = address.strip_prefix("unix:path=")?;
    path.split([',', ';']).next().map(PathBuf::from)
}

/// Variables that name a socket over which programs are started, or keys typed, outside: container
/// engines, terminal multiplexers, terminals, editors, window managers.
const SOCKET_VARIABLES: [&str; 10] = [
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "TMUX",
    "ZELLIJ_SOCKET_DIR",
    "SCREENDIR",
    "WEZTERM_UNIX_SOCKET",
    "KITTY_LISTEN_ON",
    "NVIM",
    "SWAYSOCK",
    "I3SOCK",
];

/// The ones that these variables name: a path, perhaps behind `unix:` or `unix://`, and, as tmux has
/// it, before a comma.
fn named_sockets(plan: &Plan) -> impl Iterator<Item = PathBuf> {
    SOCKET_VARIABLES
        .into_iter()
        .filter_map(|name| plan.env.get(OsStr::new(name))?.to_str())
        .filter_map(socket_path)
}

fn socket_path(value: &str) -> Option<PathBuf> {
    let value = value.strip_prefix("unix:").unwrap_or(value);
    let value = value.strip_prefix("//").unwrap_or(value);
    let path = Path::new(value.split(',').next().unwrap_or_default());
    (path.is_absolute() && path.parent().is_some()).then(|| path.to_owned())
}

fn absolute(actor: &Actor, plan: &Plan, path: &Path) -> PathBuf {
    let path = match path.strip_prefix("~") {
        Ok(rest) => actor.user_home(&plan.env).map(|home| home.join(rest)),
        Err(_) => None,
    }
    .unwrap_or_else(|| plan.cwd.join(path));
    path.canonicalize().unwrap_or(path)
}

fn usage(message: String, hint: &str) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message, hint: Some(hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_as_their_programs_write_them() {
        for value in ["/run/x.sock", "unix:/run/x.sock", "unix:///run/x.sock", "/run/x.sock,12,0"] {
            assert_eq!(socket_path(value).as_deref(), Some(Path::new("/run/x.sock")), "{value}");
        }
        for value in ["", "/", "unix:///", "tcp://127.0.0.1:2375", "unix:@kitty", "nvim"] {
            assert_eq!(socket_path(value), None, "{value}");
        }
    }
}
