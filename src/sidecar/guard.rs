//! The guard: puts the rules in place, starts the worker, and keeps watch. It reads nothing that comes
//! from the network, and is no longer root when it begins ([`become_user`]).

use std::{
    ffi::OsString,
    fs::DirBuilder,
    io,
    os::{
        fd::AsFd,
        unix::{
            fs::{DirBuilderExt, MetadataExt, chown},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use netns::shared::{
    GuardEnd, Heard, Options, Redirect, User, WORKER_ARGUMENT, check_place, keep_network_rights,
};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::protocol::{ErrorKind, ErrorReply};

/// How long the worker may take to end: an engine kills after ten seconds, and the rules go before.
const STOP_LIMIT: Duration = Duration::from_secs(8);

/// What the guard is to do.
#[derive(Debug)]
pub struct Plan {
    /// What to redirect.
    pub options: Options,
    /// Whom to become.
    pub user: User,
    /// The command line of this process, program excluded: the worker reads it too.
    pub args: Vec<OsString>,
    /// Variables of the worker's beside our own.
    pub env: Vec<(&'static str, OsString)>,
}

/// Guards until it is told to stop, or the worker ends. `warn` is told what a person should know.
/// Returns the exit code.
///
/// # Errors
/// Whatever kept it from guarding. Rules that were in place before, or came to be, are left there.
pub fn guard(plan: &Plan, warn: &dyn Fn(&str)) -> Result<u8, ErrorReply> {
    let signals = block_signals().map_err(|error| failed("wait for signals", &error))?;
    let mut redirect = Redirect::install(&plan.options).map_err(|error| shared(&error))?;
    redirect.prove().map_err(|error| shared(&error))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("authsome").arg(WORKER_ARGUMENT).args(&plan.args);
    command.envs(plan.env.iter().map(|(name, value)| (name, value)));
    let end = GuardEnd::new(&mut command).map_err(|error| shared(&error))?;
    let child = command.spawn().map_err(|error| failed("start the worker", &error))?;
    // Else our copy of its end keeps that open.
    drop(command);
    let worker = Pid::from_raw(child.id().cast_signed());
    end.begin(plan.user, &redirect).map_err(|error| shared(&error))?;

    let mut hears = true;
    let mut deadline = None;
    loop {
        let left = deadline.map(|until: Instant| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            let _ = kill(worker, Signal::SIGKILL);
        }
        let woken = wait(&signals, hears.then_some(&end), &redirect, left)
            .map_err(|error| failed("wait for the worker", &error))?;
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo.cast_signed() == Signal::SIGCHLD as i32 {
                continue;
            }
            // Asked for twice: at once.
            let how = if deadline.is_some() { Signal::SIGKILL } else { Signal::SIGTERM };
            let _ = kill(worker, how);
            deadline.get_or_insert_with(|| Instant::now() + STOP_LIMIT);
        }
        if let Some(code) = reap(worker) {
            if deadline.is_none() {
                warn("the worker has ended: port 443 stays closed until it is back");
                return Ok(if code == 0 { 1 } else { code });
            }
            redirect.remove().map_err(|error| shared(&error))?;
            return Ok(0);
        }
        if woken.worker && end.hear(&redirect) == Heard::Gone {
            // Its end as a process follows.
            hears = false;
        }
        if woken.rules {
            match redirect.check() {
                Ok(false) => {}
                Ok(true) => warn("the rules of this network namespace were changed: put back"),
                Err(error) => warn(&format!("the rules cannot be put back: {error}")),
            }
        }
    }
}

/// The only thing that is done as root: makes the directories the user's, and becomes that user, with
/// the right to load rules and no other.
///
/// # Errors
/// The machine's own network, a directory that cannot be the user's, a user that cannot be become.
pub fn become_user(user: User, home: &Path, trust_dir: &Path) -> Result<(), ErrorReply> {
    check_place().map_err(|error| shared(&error))?;
    own_directory(home, 0o700, user)?;
    own_directory(trust_dir, 0o755, user)?;
    keep_network_rights(user).map_err(|error| shared(&error))
}

/// A directory of the user's: made, or, if it is empty and somebody else's, given away.
fn own_directory(path: &Path, mode: u32, user: User) -> Result<(), ErrorReply> {
    let refused = |error: &io::Error| ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("{} cannot be used by user {}: {error}", path.display(), user.uid),
        hint: Some(format!(
            "chown {}:{} {}, or name another one",
            user.uid,
            user.gid,
            path.display()
        )),
    };
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|error| refused(&error))?;
    let found = path.metadata().map_err(|error| refused(&error))?;
    if found.uid() == user.uid {
        return Ok(());
    }
    let mut inside = path.read_dir().map_err(|error| refused(&error))?;
    if inside.next().is_some() {
        return Err(refused(&io::Error::other(format!("it is user {}'s", found.uid()))));
    }
    // In this order: the mode of what is not one's own takes a capability more (CAP_FOWNER).
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
        .map_err(|error| refused(&error))?;
    chown(path, Some(user.uid), Some(user.gid)).map_err(|error| refused(&error))
}

/// What there is to do.
struct Woken {
    worker: bool,
    rules: bool,
}

fn wait(
    signals: &SignalFd,
    end: Option<&GuardEnd>,
    redirect: &Redirect,
    limit: Option<Duration>,
) -> io::Result<Woken> {
    let limit = limit.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    let changes = redirect.changes();
    let mut waiting =
        vec![PollFd::new(signals, PollFlags::IN), PollFd::new(&changes, PollFlags::IN)];
    waiting.extend(end.map(|end| PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)));
    match poll(&mut waiting, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |at: usize| waiting.get(at).is_some_and(|one| !one.revents().is_empty());
    Ok(Woken { rules: is_ready(1), worker: is_ready(2) })
}

/// Reaps whatever has ended: as pid 1 of a container, others' children too. The worker's exit code, if
/// it was among them.
fn reap(worker: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == worker => {
                code = Some(u8::try_from(status).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == worker => {
                code = Some(u8::try_from(128 + signal as i32).unwrap_or(1));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return code,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return code,
        }
    }
}

fn block_signals() -> nix::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        mask.add(signal);
    }
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

fn shared(error: &netns::shared::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint().map(str::to_owned))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message: format!("cannot {what}: {error}"), hint: None }
}
