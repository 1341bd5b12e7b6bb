//! Putting a home that came out of a backup in the place of the one that is there.
//!
//! Not the daemon's work but that of the command, since there must be no daemon: the new home is built
//! beside the old one, the daemon is stopped and its claim taken, and the two change places in one step.
//! What was there is kept beside it. Until that step nothing has changed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use secrecy::SecretString;

use super::{
    client::Client,
    hold::{Claim, Claimed},
};
use crate::{
    broker,
    paths::{self, Home},
    protocol::{
        ErrorKind, ErrorReply, Request, Status,
        vault::{BackupReport, KeyPlace},
    },
};

/// How long a daemon that was told to stop may take: longer than it lets requests go on.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const STOP_PAUSE: Duration = Duration::from_millis(20);

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// What was in the backup.
    pub report: BackupReport,
    /// Where the home that was there is now.
    pub replaced: Option<PathBuf>,
}

/// Makes `home` what `backup` holds. A home with a vault is replaced only if `replace`. `place` says
/// where the master key is to be, when the new home's configuration is there.
///
/// # Errors
/// [`ErrorKind::Exists`] if there is a vault; runs are open; the backup's and the disk's. Nothing has
/// changed then.
pub fn restore(
    home: &Home,
    backup: File,
    passphrase: &SecretString,
    replace: bool,
    place: impl FnOnce(&Home) -> Result<KeyPlace, ErrorReply>,
) -> Result<Restored, ErrorReply> {
    // It holds secrets, and makes files, as the daemon does.
    netns::forbid_tracing().map_err(|error| failed("make this process unreadable", error))?;
    paths::private_umask();
    refuse(home, replace)?;
    // A link leads to where the directory is; that is what is exchanged.
    let root = home.root();
    let root = if root.exists() {
        root.canonicalize().map_err(|error| failed("find the home", error))?
    } else {
        root.to_owned()
    };
    let staged = Staged::beside(&root)?;
    let report = broker::restore(backup, passphrase, &staged.0, place)?;
    let alone = Alone::with(home)?;
    let replaced = staged.exchange(&root)?;
    drop(alone);
    Ok(Restored { report, replaced })
}

/// Refuses what can't be restored, so that nobody has to type a passphrase for that.
///
/// # Errors
/// As [`restore`].
pub fn refuse(home: &Home, replace: bool) -> Result<(), ErrorReply> {
    home.ensure_if_present().map_err(|error| path_error(&error))?;
    if !replace && broker::is_in_use(home) {
        return Err(ErrorReply {
            kind: ErrorKind::Exists,
            message: format!("there is a vault in {}", home.root().display()),
            hint: Some("--force replaces it, and keeps the old one beside it".to_owned()),
        });
    }
    refuse_runs(home)
}

fn refuse_runs(home: &Home) -> Result<(), ErrorReply> {
    let Some(mut client) = Client::connect(home)? else { return Ok(()) };
    let status: Status = client.call(Request::Status)?;
    match status.runs.len() {
        0 => Ok(()),
        count => Err(ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("{count} run(s) are open"),
            hint: Some("end them first: authsome daemon status".to_owned()),
        }),
    }
}

/// No daemon serves the home, and none begins, for as long as this lives.
struct Alone {
    _claim: Claim,
    _lock: Option<File>,
}

impl Alone {
    fn with(home: &Home) -> Result<Self, ErrorReply> {
        refuse_runs(home)?;
        if let Some(mut client) = Client::connect(home)? {
            client.call::<()>(Request::Stop)?;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Claimed::Ours(claim) = Claim::take(home)?
                && let Some(lock) = lock(home)?
            {
                return Ok(Self { _claim: claim, _lock: lock });
            }
            if Instant::now() > deadline {
                return Err(ErrorReply {
                    kind: ErrorKind::Unavailable,
                    message: "the daemon does not stop".to_owned(),
                    hint: Some("authsome daemon stop, then try again".to_owned()),
                });
            }
            thread::sleep(STOP_PAUSE);
        }
    }
}

/// The lock of the home's daemon, if there is a home; none while a daemon has it.
fn lock(home: &Home) -> Result<Option<Option<File>>, ErrorReply> {
    if !home.root().exists() {
        return Ok(Some(None));
    }
    let file = paths::append_private(&home.daemon_lock()).map_err(|error| path_error(&error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Some(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("lock the home", error.into())),
    }
}

/// A home that is being made; removed unless it takes its place.
struct Staged(Home);

impl Staged {
    fn beside(root: &Path) -> Result<Self, ErrorReply> {
        let mut salt = [0; 4];
        getrandom::fill(&mut salt).map_err(|error| failed("name the new home", error.into()))?;
        let path = sibling(root, ".", &format!(".restoring-{}", hex::encode(salt)));
        paths::create_private_dir(&path).map_err(|error| path_error(&error))?;
        Ok(Self(Home::at(path)))
    }

    /// Puts it in the place of `root`; where what was there is now.
    fn exchange(self, root: &Path) -> Result<Option<PathBuf>, ErrorReply> {
        let own = self.0.root();
        let done = |result: rustix::io::Result<()>| {
            result
                .map_err(io::Error::from)
                .and_then(|()| root.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()))
                .map_err(|error| failed("put the new home in its place", error))
        };
        match renameat_with(CWD, own, CWD, root, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::EXIST) => {}
            result => return done(result).map(|()| None),
        }
        let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        let aside = sibling(root, "", &format!(".before-{time}"));
        // The new one gets the name that the old one is to have: then exchanging them is all there is to
        // do, and at no time has the old one a name that is cleared away.
        done(renameat_with(CWD, own, CWD, &aside, RenameFlags::NOREPLACE))?;
        let exchanged = renameat_with(CWD, &aside, CWD, root, RenameFlags::EXCHANGE);
        let Err(error) = exchanged else { return done(Ok(())).map(|()| Some(aside)) };
        done(rustix::fs::rename(&aside, own))?;
        if !matches!(error, rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) {
            return done(Err(error)).map(|()| None);
        }
        // A file system that cannot exchange two names. For a moment there is no home.
        done(renameat_with(CWD, root, CWD, &aside, RenameFlags::NOREPLACE))?;
        if let Err(error) = done(rustix::fs::rename(own, root)) {
            let _ = rustix::fs::rename(&aside, root);
            return Err(error);
        }
        Ok(Some(aside))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone if it took its place: nothing has that name any more.
        let _ = fs::remove_dir_all(self.0.root());
    }
}

/// A name beside `path`, made from its own.
fn sibling(path: &Path, before: &str, after: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{before}{name}{after}"))
}

fn path_error(error: &paths::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint())
}

fn failed(what: &str, error: io::Error) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message: format!("cannot {what}: {error}"), hint: None }
}
