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
    let runtime = plan.env.get(OsStr::new("XDG_RUNTIME_DIR")).map(PathBuf::from);
    let mut hidden = netns::default_hidden(actor.uid(), runtime.as_deref());
    hidden.extend(bus_socket(plan));
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

/// The session bus at a place of its own (`unix:path=…`); an abstract one is out of reach in another
/// network namespace anyway.
fn bus_socket(plan: &Plan) -> Option<PathBuf> {
    let address = plan.env.get(OsStr::new("DBUS_SESSION_BUS_ADDRESS"))?.to_str()?;
    let path = address.strip_prefix("unix:path=")?;
    path.split([',', ';']).next().map(PathBuf::from)
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
