//! The enclosure without a namespace: the agent's system calls are answered for it (`netns::Mediation`).
//!
//! Without mounts the agent's trust comes from variables alone, and the files that they name lie in a
//! directory of their own, gone when the run ends.

#![cfg(target_os = "linux")]

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::{
        fd::BorrowedFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use netns::{Mediating, Mediation, ProbeReport, Sandbox};
use tempfile::TempDir;

use super::{
    GoError, Plan,
    enclosure::{Begun, Complete, Contents, Enclosure, Event},
    failed,
    namespace::reply,
};
use crate::{
    protocol::{ErrorKind, ErrorReply},
    trust::Overlay,
};

/// A supervisor that waits to be told what to keep.
#[derive(Debug)]
struct Beginning {
    mediating: Mediating,
    files: TempDir,
    host_ports: Vec<u16>,
    runtime: Option<PathBuf>,
}

/// The agent's supervisor, and the files that the agent trusts.
#[derive(Debug)]
struct Supervised {
    sandbox: Sandbox,
    #[expect(dead_code, reason = "removes the directory when the run ends")]
    files: TempDir,
}

/// Begins a supervisor.
///
/// # Errors
/// It could not be started, there is no place for temporary files, or ports are to be published: they are the
/// machine's own here, and what listens for the host would be in the agent's way.
pub(super) fn begin(plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
    if !plan.options.publish.is_empty() {
        return Err(ErrorReply {
            kind: ErrorKind::Usage,
            message: "without a namespace there is nothing to publish".to_owned(),
            hint: Some(
                "leave --publish out: the agent's servers listen on this machine's loopback"
                    .to_owned(),
            ),
        });
    }
    let mediating = Mediating::new().map_err(|error| reply(&error))?;
    let files = tempfile::Builder::new()
        .prefix("authsome-run-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .map_err(|error| failed(format!("cannot make a temporary directory: {error}")))?;
    Ok(Box::new(Beginning {
        mediating,
        files,
        host_ports: plan.host_ports.clone(),
        runtime: plan.env.get(OsStr::new("XDG_RUNTIME_DIR")).map(PathBuf::from),
    }))
}

impl Begun for Beginning {
    fn trust_dir(&self, _home: &Path, _run: &str) -> PathBuf {
        self.files.path().to_owned()
    }

    fn complete(self: Box<Self>, contents: Contents<'_>) -> Result<Complete, ErrorReply> {
        let Contents { run, actor, home, command, env, cwd, overlay, hide, .. } = contents;
        let Self { mediating, files, host_ports, runtime } = *self;
        let root = actor.home.root();
        let found = fs::metadata(root).map_err(|error| unusable(root, &error))?;
        if (found.dev(), found.ino()) != (home.device, home.inode) {
            return Err(failed(format!("{} is not the daemon's home any more", root.display())));
        }
        let mut warnings = untrusting(&overlay);
        write(files.path(), &overlay).map_err(|error| unusable(files.path(), &error))?;
        let usual = netns::default_hidden(actor.uid(), runtime.as_deref());
        let mut cover = vec![root.to_owned()];
        cover.extend(hide.iter().filter(|path| !usual.contains(path) && is_file(path)).cloned());
        let mediation = Mediation {
            run_id: run.to_owned(),
            user: actor.credentials(),
            host_ports,
            cover,
            hide,
            command,
            env,
            cwd,
        };
        let (sandbox, prepared) = mediating.complete(&mediation).map_err(|error| reply(&error))?;
        warnings.extend(prepared.warnings);
        let listeners =
            prepared.listeners.into_iter().map(|listener| (listener.kind, listener.fd)).collect();
        Ok(Complete { enclosure: Box::new(Supervised { sandbox, files }), listeners, warnings })
    }
}

impl Enclosure for Supervised {
    fn probe(&mut self) -> Result<ProbeReport, ErrorReply> {
        Enclosure::probe(&mut self.sandbox)
    }

    fn release(&mut self) -> Result<(), GoError> {
        Enclosure::release(&mut self.sandbox)
    }

    fn wait(&mut self, extra: BorrowedFd<'_>) -> Result<Event, GoError> {
        self.sandbox.wait(extra)
    }
}

/// A directory or a file that holds something; of sockets, connecting is what is refused.
fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir() || found.is_file())
        && !path.starts_with("/run")
        && !path.starts_with("/var/run")
}

/// Writes what the variables name.
fn write(directory: &Path, overlay: &Overlay) -> io::Result<()> {
    let named = |path: &Path| {
        let path = directory.join(path);
        overlay.env.values().any(|value| Path::new(value) == path)
    };
    for (path, contents) in overlay.files.iter().filter(|(path, _)| named(path)) {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
            fs::set_permissions(parent, Permissions::from_mode(0o755))?;
        }
        let mut file = File::create_new(&path)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(contents)?;
    }
    Ok(())
}

/// What no variable makes trust the run.
fn untrusting(overlay: &Overlay) -> Vec<String> {
    let java = overlay.files.iter().any(|(path, _)| path.ends_with("cacerts.jks"));
    let browsers = !overlay.copies.is_empty();
    let who = match (java, browsers) {
        (false, false) => return Vec::new(),
        (true, false) => "Java",
        (false, true) => "browsers",
        (true, true) => "Java and browsers",
    };
    vec![format!("without a namespace, {who} do not trust the run's certificates")]
}

fn unusable(path: &Path, error: &io::Error) -> ErrorReply {
    failed(format!("cannot use {}: {error}", path.display()))
}
