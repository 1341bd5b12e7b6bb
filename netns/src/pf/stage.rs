//! Between root and the agent: a process that becomes the user, in the run's group, and then the agent.
//!
//! It is a process of its own because initgroups(3) asks other processes, which a fork of the helper's may
//! not. Its environment is empty while it is root; the agent's comes over its standard input, which is a
//! socket until the agent's own takes its place.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command, ExitCode},
};

use nix::{
    sys::signal::SigSet,
    unistd::{Gid, Uid, getegid, geteuid, getgid, getuid, setgid, setuid},
};

use super::{Error, failure::Failure, message::Become};
use crate::{control::Control, darwin, text::Text};

/// First argument of a process that becomes an agent.
pub const STAGE_ARGUMENT: &str = "__pf-stage";

/// Starts an agent. Its standard streams are those of this process.
///
/// # Errors
/// It was not executed.
pub(super) fn start(order: &Become) -> Result<Child, Error> {
    let (ours, theirs) = Control::pair().map_err(Error::Start)?;
    let mut child = Command::new(crate::ourselves().map_err(Error::Start)?)
        .arg(STAGE_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(theirs)
        .spawn()
        .map_err(Error::Start)?;
    let stdin = io::stdin();
    let sent = ours.send_with(order, &[], &[stdin.as_fd()]);
    // Its end of the socket is closed when the agent is executed.
    let outcome = match (sent, ours.receive::<Failure>()) {
        (Ok(()), Ok(None)) => return Ok(child),
        (_, Ok(Some(frame))) => frame.message.into(),
        (Err(error), _) | (_, Err(error)) => Error::Control(error),
    };
    let _ = child.kill();
    let _ = child.wait();
    Err(outcome)
}

/// The process itself. Returns only if the agent could not be executed.
#[must_use]
pub fn stage_main() -> ExitCode {
    let Ok(control) = Control::from_stdin() else { return ExitCode::FAILURE };
    let Ok(Some(frame)) = control.receive::<Become>() else { return ExitCode::FAILURE };
    let failure = Failure::from(become_agent(frame.message, frame.descriptors));
    // Nobody to tell if this fails.
    let _ = control.send(&failure);
    ExitCode::FAILURE
}

fn become_agent(order: Become, descriptors: Vec<OwnedFd>) -> Error {
    if let Err(reason) = become_user(&order) {
        return Error::Privileges(reason);
    }
    let Some(stdin) = descriptors.first() else {
        return Error::Control(io::ErrorKind::InvalidData.into());
    };
    let mut words = order.go.command.into_iter().map(OsString::from);
    let Some(program) = words.next() else { return Error::NotFound(OsString::new()) };
    let ready = rustix::stdio::dup2_stdin(stdin)
        .map_err(io::Error::from)
        // What the helper has blocked is no business of the agent's.
        .and_then(|()| Ok(SigSet::empty().thread_set_mask()?))
        .and_then(|()| std::env::set_current_dir(OsString::from(order.go.cwd)));
    if let Err(error) = ready {
        return Error::NotExecutable { program, reason: error.to_string() };
    }
    let pair = |(name, value): (Text, Text)| (OsString::from(name), OsString::from(value));
    let error = Command::new(&program)
        .args(words)
        .env_clear()
        .envs(order.go.env.into_iter().map(pair))
        .exec();
    Error::of_exec(program, &error)
}

/// Groups first, then the group, then the user: each needs what the next gives away. And then a look
/// whether it is so.
fn become_user(order: &Become) -> Result<(), String> {
    let said = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let (uid, gid) = (Uid::from_raw(order.user.uid), Gid::from_raw(order.gid));
    if uid.is_root() {
        return Err("it would be root".to_owned());
    }
    darwin::initgroups(&order.user.name, order.gid).map_err(|error| said("initgroups", &error))?;
    setgid(gid).map_err(|error| said("setgid", &error))?;
    setuid(uid).map_err(|error| said("setuid", &error))?;
    if setuid(Uid::from_raw(0)).is_ok() || (getuid(), geteuid()) != (uid, uid) {
        return Err("root was not given up".to_owned());
    }
    if (getgid(), getegid()) != (gid, gid) {
        return Err("the group is another".to_owned());
    }
    Ok(())
}
