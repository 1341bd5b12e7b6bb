//! The caller's side: have a group redirected, have that proved, let the agent go, wait.

use std::{
    ffi::OsString,
    fs::DirBuilder,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::{
            fs::DirBuilderExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue},
        signal::{SigSet, Signal},
    },
    unistd::{geteuid, getpeereid},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Error,
    helper::HELPER_ARGUMENT,
    message::{Go, Order, Report, User},
};
use crate::{control::Control, outcome::ExitStatus, text::Text};

/// Becomes root for the helper. By its absolute path, since it is asked for a password.
const SUDO: &str = "/usr/bin/sudo";
/// How often one looks whether sudo(8) has given up.
const PAUSE: Duration = Duration::from_millis(200);
/// Signals that are passed on to the agent, or are the terminal's to pass on.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// What to redirect.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The port of 127.0.0.1 that connections to port 443 arrive at.
    pub port: u16,
    /// Nothing else of the agent's gets out, but for DNS.
    pub strict: bool,
    /// For a caller that is root: number and name of the user that the agent becomes.
    pub user: Option<(u32, String)>,
}

/// What [`Session::wait_event`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent has ended, and all that it started.
    Exited(ExitStatus),
    /// The caller's descriptor is readable, or its other end closed.
    Extra,
}

/// A group that is redirected: first without an agent, then with one. Dropping it ends both.
///
/// Once it is there, signals that would end the caller are blocked in this thread, and stay so: what comes
/// too late for the agent was meant for the agent.
#[derive(Debug)]
pub struct Session {
    control: Control,
    helper: Child,
    gid: u32,
    /// Becomes readable when a signal came, or the helper says something.
    queue: Kqueue,
}

impl Session {
    /// Starts the helper, by way of sudo(8) unless the caller is root, and has it redirect a group.
    ///
    /// # Errors
    /// Whatever failed; the filter is as it was.
    pub fn begin(spec: &Spec) -> Result<Self, Error> {
        let (control, helper) = start()?;
        let user = spec.user.clone().map(|(uid, name)| User { uid, name });
        let order = Order::Redirect { port: spec.port, strict: spec.strict, user };
        control.send(&order).map_err(Error::Control)?;
        let Report::Redirected { gid } = hear(&control)? else { return Err(out_of_turn()) };
        let queue = watch(&control).map_err(|error| Error::Control(error.into()))?;
        Ok(Self { control, helper, gid, queue })
    }

    /// The group that is redirected.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Proves it. The listener must be served by now, and answer [`super::PROBE_QUESTION`].
    ///
    /// # Errors
    /// [`Error::Probe`] says what is not as it must be.
    pub fn probe(&mut self, run_id: &str) -> Result<(), Error> {
        let order = Order::Probe { run_id: run_id.to_owned() };
        self.control.send(&order).map_err(Error::Control)?;
        match hear(&self.control)? {
            Report::Probed => Ok(()),
            Report::Redirected { .. } | Report::Started | Report::Exited(_) | Report::Failed(_) => {
                Err(out_of_turn())
            }
        }
    }

    /// Starts the agent: program and arguments, its whole environment, where it starts.
    ///
    /// # Errors
    /// It could not be executed.
    pub fn release(
        &mut self,
        command: &[OsString],
        env: &[(OsString, OsString)],
        cwd: &Path,
    ) -> Result<(), Error> {
        let text = |word: &OsString| Text::from(word.as_os_str());
        let go = Go {
            command: command.iter().map(text).collect(),
            env: env.iter().map(|(name, value)| (text(name), text(value))).collect(),
            cwd: cwd.as_os_str().into(),
        };
        self.control.send(&Order::Go(Box::new(go))).map_err(Error::Control)?;
        match hear(&self.control)? {
            Report::Started => Ok(()),
            Report::Redirected { .. } | Report::Probed | Report::Exited(_) | Report::Failed(_) => {
                Err(out_of_turn())
            }
        }
    }

    /// Waits for the agent's end, or for `extra`. Signals are passed on meanwhile.
    ///
    /// # Errors
    /// The agent was ended because it would have been able to get out, or is lost.
    pub fn wait_event(&mut self, extra: BorrowedFd<'_>) -> Result<Event, Error> {
        loop {
            let mut ready = [
                PollFd::new(&self.queue, PollFlags::IN),
                PollFd::from_borrowed_fd(extra, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Error::Control(error.into())),
            }
            let [own, other] = ready.map(|descriptor| !descriptor.revents().is_empty());
            if own && let Some(status) = self.tend()? {
                let _ = self.helper.wait();
                return Ok(Event::Exited(status));
            }
            if other {
                return Ok(Event::Extra);
            }
        }
    }

    /// One event of our own; the agent's status if it was its end.
    fn tend(&self) -> Result<Option<ExitStatus>, Error> {
        let failed = |error: Errno| Error::Control(error.into());
        let mut events =
            [KEvent::new(0, EventFilter::EVFILT_READ, EvFlags::empty(), FilterFlag::empty(), 0, 0)];
        let now = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
        if self.queue.kevent(&[], &mut events, Some(now)).map_err(failed)? == 0 {
            return Ok(None);
        }
        let [event] = events;
        if matches!(event.filter(), Ok(EventFilter::EVFILT_SIGNAL)) {
            let number = i32::try_from(event.ident()).unwrap_or_default();
            if number != Signal::SIGINT as i32 && number != Signal::SIGQUIT as i32 {
                self.control.send(&Order::Signal { number }).map_err(Error::Control)?;
            }
            return Ok(None);
        }
        match hear(&self.control)? {
            Report::Exited(status) => Ok(Some(status)),
            Report::Redirected { .. } | Report::Probed | Report::Started | Report::Failed(_) => {
                Err(out_of_turn())
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The end of the socket has the helper end the agent and undo all; nothing else may.
        let _ = rustix::net::shutdown(self.control.as_fd(), rustix::net::Shutdown::Both);
        let _ = self.helper.wait();
    }
}

/// Readable for signals, which are blocked from now on, and for the helper.
fn watch(control: &Control) -> nix::Result<Kqueue> {
    let signals: SigSet = SIGNALS.into_iter().collect();
    signals.thread_block()?;
    let queue = Kqueue::new()?;
    let add = |number, filter, flags| {
        KEvent::new(number, filter, EvFlags::EV_ADD | flags, FilterFlag::empty(), 0, 0)
    };
    let number = control.as_fd().as_raw_fd().cast_unsigned() as usize;
    let mut changes = vec![add(number, EventFilter::EVFILT_READ, EvFlags::empty())];
    changes.extend(
        SIGNALS.map(|signal| add(signal as usize, EventFilter::EVFILT_SIGNAL, EvFlags::EV_CLEAR)),
    );
    queue.kevent(&changes, &mut [], None)?;
    Ok(queue)
}

/// The helper and the socket to it, which lies where only this user may be.
fn start() -> Result<(Control, Child), Error> {
    let meeting = Meeting::new().map_err(Error::Start)?;
    let listener = UnixListener::bind(meeting.socket()).map_err(Error::Start)?;
    listener.set_nonblocking(true).map_err(Error::Start)?;
    let ourselves = crate::ourselves().map_err(Error::Start)?;
    let mut command = if geteuid().is_root() {
        Command::new(ourselves)
    } else {
        let mut sudo = Command::new(SUDO);
        sudo.arg("--").arg(ourselves);
        sudo
    };
    command.arg(HELPER_ARGUMENT).arg(meeting.socket());
    let mut helper = command.spawn().map_err(Error::Start)?;
    match accept(&listener, &mut helper) {
        Ok(stream) => Ok((Control::over(stream), helper)),
        Err(error) => {
            let _ = helper.kill();
            let _ = helper.wait();
            Err(error)
        }
    }
}

/// Waits for the helper, however long a person takes for a password.
fn accept(listener: &UnixListener, helper: &mut Child) -> Result<UnixStream, Error> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let (uid, _) = getpeereid(&stream).map_err(|error| Error::Control(error.into()))?;
                if !uid.is_root() {
                    return Err(Error::Control(io::ErrorKind::PermissionDenied.into()));
                }
                stream.set_nonblocking(false).map_err(Error::Control)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Error::Control(error)),
        }
        if helper.try_wait().map_err(Error::Start)?.is_some() {
            return Err(Error::NoHelper);
        }
        let pause =
            Timespec::try_from(PAUSE).map_err(|error| Error::Start(io::Error::other(error)))?;
        // Whatever it says, the next look tells.
        let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&pause));
    }
}

/// A directory for the socket alone.
struct Meeting(PathBuf);

impl Meeting {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("authsome-pf-{}", std::process::id()));
        // Whatever has the name is not ours: it is not used.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hear(control: &Control) -> Result<Report, Error> {
    match control.receive::<Report>().map_err(Error::Control)? {
        Some(frame) => match frame.message {
            Report::Failed(failure) => Err(failure.into()),
            report @ (Report::Redirected { .. }
            | Report::Probed
            | Report::Started
            | Report::Exited(_)) => Ok(report),
        },
        None => Err(Error::Lost),
    }
}

fn out_of_turn() -> Error {
    Error::Control(io::ErrorKind::InvalidData.into())
}
