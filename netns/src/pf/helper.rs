//! The helper: root, for the packet filter alone. It takes a port, a command and signals, never a rule.

use std::{
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, ExitCode},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue},
        signal::{SigSet, Signal, kill},
    },
    unistd::{Pid, Uid, User as Account, geteuid, getpeereid},
};

use super::{
    Error, gid,
    journal::{Directory, Journal, Store as _},
    message::{Become, Go, Order, Report, User},
    plan::Plan,
    probe, stage, steps,
    system::System,
};
use crate::{confined::exit_status, control::Control, darwin, outcome::ExitStatus};

/// First argument of a helper; the second is the path of a socket that its caller listens on.
pub const HELPER_ARGUMENT: &str = "__pf-helper";

/// Where journal and lock lie: emptied when the system starts, writable for root alone.
const DIRECTORY: &str = "/var/run/authsome";
/// How often the filter is looked at while an agent runs.
const LOOK: Duration = Duration::from_secs(5);
/// What would end this process and with it the agent's way out.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// The helper's process. Says on standard error only what it cannot say to its caller.
#[must_use]
pub fn helper_main() -> ExitCode {
    let served = connect().and_then(|(control, user)| {
        let outcome = serve(&control, user);
        if let Err(error) = outcome {
            control.send(&Report::Failed(error.into()))?;
        }
        Ok(())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "authsome: error: the packet filter's helper: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The caller, and whom the agent becomes, if the kernel says that: root may name somebody.
fn connect() -> io::Result<(Control, Option<User>)> {
    if !geteuid().is_root() {
        return Err(io::Error::other("it must be root; authsome run starts it"));
    }
    let path = std::env::args_os().nth(2).ok_or(io::ErrorKind::InvalidInput)?;
    let stream = UnixStream::connect(Path::new(&path))?;
    let (uid, _) = getpeereid(&stream)?;
    let user = if uid.is_root() {
        None
    } else {
        // Not whoever has a socket: the one who asked sudo(8) for this.
        let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        if sudo.map(Uid::from_raw) != Some(uid) {
            return Err(io::Error::other("the socket is another user's than the caller of sudo"));
        }
        Some(account(uid)?)
    };
    Ok((Control::over(stream), user))
}

fn account(uid: Uid) -> io::Result<User> {
    let found = Account::from_uid(uid)?.ok_or(io::ErrorKind::NotFound)?;
    Ok(User { uid: uid.as_raw(), name: found.name })
}

fn serve(control: &Control, caller: Option<User>) -> Result<(), Error> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block().map_err(|error| Error::Start(error.into()))?;
    let Some(Order::Redirect { port, strict, user }) = next(control)? else { return Ok(()) };
    let user = caller.or(user).ok_or_else(|| Error::Privileges("nobody was named".to_owned()))?;
    let usual = Account::from_uid(Uid::from_raw(user.uid))
        .ok()
        .flatten()
        .filter(|found| found.name == user.name)
        .ok_or_else(|| Error::Privileges(format!("{} is not a user", user.name)))?
        .gid
        .as_raw();
    let directory = Directory::new(Path::new(DIRECTORY)).map_err(Error::Journal)?;
    let _lock = directory.lock().map_err(Error::Journal)?.ok_or(Error::Busy)?;
    if let Some(left) = directory.load().map_err(Error::Journal)? {
        darwin::end_group(left.gid).map_err(Error::Journal)?;
    }
    let gid = gid::of_helper(std::process::id());
    let mut redirection = Redirection::new(directory, &Plan { gid, port, strict })?;
    let outcome = enclose(control, &user, usual, gid);
    // Whatever the outcome: first those who might still use it, then the redirection.
    let ended = darwin::end_group(gid).map_err(Error::Control);
    let undone = redirection.undo();
    let status = outcome?;
    ended.and(undone)?;
    if let Some(status) = status {
        control.send(&Report::Exited(status)).map_err(Error::Control)?;
    }
    Ok(())
}

/// From the redirection to the agent's end. None: the caller went before there was an agent.
fn enclose(
    control: &Control,
    user: &User,
    usual: u32,
    gid: u32,
) -> Result<Option<ExitStatus>, Error> {
    let say = |report: &Report| control.send(report).map_err(Error::Control);
    say(&Report::Redirected { gid })?;
    let mut proved = false;
    loop {
        match next(control)? {
            Some(Order::Probe { run_id }) => {
                probe::prove(user, usual, gid, &run_id)?;
                proved = true;
                say(&Report::Probed)?;
            }
            Some(Order::Go(go)) if proved => return agent(control, user, gid, *go).map(Some),
            Some(Order::Signal { .. }) => {}
            Some(Order::Go(_) | Order::Redirect { .. }) => {
                return Err(Error::Control(io::ErrorKind::InvalidInput.into()));
            }
            None => return Ok(None),
        }
    }
}

fn agent(control: &Control, user: &User, gid: u32, go: Go) -> Result<ExitStatus, Error> {
    let mut agent = stage::start(&Become { user: user.clone(), gid, go })?;
    control.send(&Report::Started).map_err(Error::Control)?;
    let outcome = watch(control, &agent);
    if outcome.is_err() {
        let _ = agent.kill();
    }
    let status = agent.wait().map_err(Error::Control)?;
    outcome?;
    Ok(exit_status(status))
}

/// Until the agent has ended by itself. An error: it must be ended.
fn watch(control: &Control, agent: &Child) -> Result<(), Error> {
    let failed = |error: Errno| Error::Control(error.into());
    let queue = Kqueue::new().map_err(failed)?;
    let pid = Pid::from_raw(agent.id().cast_signed());
    let add = |number: usize, filter, flags| {
        KEvent::new(number, filter, EvFlags::EV_ADD | EvFlags::EV_CLEAR, flags, 0, 0)
    };
    let child = add(agent.id() as usize, EventFilter::EVFILT_PROC, FilterFlag::NOTE_EXIT);
    match queue.kevent(&[child], &mut [], None) {
        // It has ended already.
        Err(Errno::ESRCH) => return Ok(()),
        other => other.map_err(failed)?,
    };
    let number = control.as_fd().as_raw_fd().cast_unsigned() as usize;
    // Not cleared: what is left unread is told again.
    let orders =
        KEvent::new(number, EventFilter::EVFILT_READ, EvFlags::EV_ADD, FilterFlag::empty(), 0, 0);
    let mut changes = vec![orders];
    changes.extend(
        SIGNALS.map(|signal| add(signal as usize, EventFilter::EVFILT_SIGNAL, FilterFlag::empty())),
    );
    queue.kevent(&changes, &mut [], None).map_err(failed)?;
    let pause = nix::libc::timespec { tv_sec: LOOK.as_secs().cast_signed(), tv_nsec: 0 };
    loop {
        let mut events = [child];
        match queue.kevent(&[], &mut events, Some(pause)) {
            Ok(0) => {
                steps::look(&mut System)?;
                continue;
            }
            Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        let [event] = events;
        match event.filter() {
            Ok(EventFilter::EVFILT_PROC) => return Ok(()),
            Ok(EventFilter::EVFILT_READ) => match next(control)? {
                Some(Order::Signal { number }) => pass(pid, number),
                Some(Order::Redirect { .. } | Order::Probe { .. } | Order::Go(_)) => {
                    return Err(Error::Control(io::ErrorKind::InvalidInput.into()));
                }
                None => return Err(Error::Lost),
            },
            Ok(EventFilter::EVFILT_SIGNAL) => {
                let number = i32::try_from(event.ident()).unwrap_or_default();
                // Those of the terminal's reach the agent as they reach us.
                if number != Signal::SIGINT as i32 && number != Signal::SIGQUIT as i32 {
                    pass(pid, number);
                }
            }
            _ => {}
        }
    }
}

/// An agent that has ended cannot be told anything.
fn pass(agent: Pid, number: i32) {
    if let Ok(signal) = Signal::try_from(number) {
        let _ = kill(agent, signal);
    }
}

fn next(control: &Control) -> Result<Option<Order>, Error> {
    let frame = control.receive().map_err(Error::Control)?;
    Ok(frame.map(|frame| frame.message))
}

/// What has been changed. Undone when it is dropped, at the latest.
struct Redirection {
    directory: Directory,
    journal: Option<Journal>,
}

impl Redirection {
    fn new(mut directory: Directory, plan: &Plan) -> Result<Self, Error> {
        let journal = Some(steps::redirect(&mut System, &mut directory, plan)?);
        Ok(Self { directory, journal })
    }

    fn undo(&mut self) -> Result<(), Error> {
        match self.journal.take() {
            Some(journal) => steps::undo(&mut System, &mut self.directory, journal),
            None => Ok(()),
        }
    }
}

impl Drop for Redirection {
    fn drop(&mut self) {
        // If it fails the journal stays, and the next helper tries again.
        let _ = self.undo();
    }
}
