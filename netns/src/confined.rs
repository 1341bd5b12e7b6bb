//! A command under a profile, and waiting for it. For runs that cannot have the packet filter.

use std::{
    ffi::OsString,
    os::{
        fd::BorrowedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command},
};

use nix::{
    errno::Errno,
    sys::{
        event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue},
        signal::{SigSet, SigmaskHow, Signal, kill},
    },
    unistd::Pid,
};
use rustix::event::{PollFd, PollFlags, poll};

use crate::{
    outcome::ExitStatus,
    pf::{Error, Event},
};

/// Signals that are passed on to the command, or are the terminal's to pass on.
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// Proves that a profile leaves no way out but the proxy at this port of 127.0.0.1, whose password is the
/// run's id.
///
/// # Errors
/// [`Error::Probe`] says what is not as it must be.
pub fn prove(profile: &str, port: u16, run_id: &str) -> Result<(), Error> {
    crate::pf::prove_confined(profile, port, run_id)
}

/// A command that has been started. Dropping it kills it; what it has started stays confined.
#[derive(Debug)]
pub struct Confined {
    child: Child,
    queue: Kqueue,
}

impl Confined {
    /// Starts a command with this whole environment. Signals that would end the caller are blocked in
    /// this thread from now on.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        command: &[OsString],
        env: &[(OsString, OsString)],
        cwd: &Path,
    ) -> Result<Self, Error> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Error::NotFound(OsString::new()));
        };
        let failed = |error: Errno| Error::Control(error.into());
        let queue = Kqueue::new().map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg0(program)
            .args(arguments)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(cwd);
        let mut child = command.spawn().map_err(|error| Error::of_exec(program.clone(), &error))?;
        // Only now: it has none of them blocked.
        let signals: SigSet = SIGNALS.into_iter().collect();
        let watched =
            signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).and_then(|_| watch(&queue, child.id()));
        if let Err(error) = watched {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(error));
        }
        Ok(Self { child, queue })
    }

    /// Waits for its end, or for `extra`. Signals are passed on meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_event(&mut self, extra: BorrowedFd<'_>) -> Result<Event, Error> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::Control)? {
                return Ok(Event::Exited(exit_status(status)));
            }
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
            if own {
                self.pass_on()?;
            } else if other {
                return Ok(Event::Extra);
            }
        }
    }

    /// One signal that came, if it is no terminal's.
    fn pass_on(&self) -> Result<(), Error> {
        let mut events = [event(0, EventFilter::EVFILT_SIGNAL, FilterFlag::empty())];
        let now = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let count = self.queue.kevent(&[], &mut events, Some(now));
        if count.map_err(|error| Error::Control(error.into()))? == 0 {
            return Ok(());
        }
        let [event] = events;
        let number = i32::try_from(event.ident()).unwrap_or_default();
        let is_signal = matches!(event.filter(), Ok(EventFilter::EVFILT_SIGNAL));
        if let (true, Ok(signal @ (Signal::SIGTERM | Signal::SIGHUP))) =
            (is_signal, Signal::try_from(number))
        {
            // One that has ended cannot be told.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
        Ok(())
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(number: usize, filter: EventFilter, what: FilterFlag) -> KEvent {
    KEvent::new(number, filter, EvFlags::EV_ADD | EvFlags::EV_CLEAR, what, 0, 0)
}

fn watch(queue: &Kqueue, pid: u32) -> nix::Result<()> {
    let signals = SIGNALS
        .map(|signal| event(signal as usize, EventFilter::EVFILT_SIGNAL, FilterFlag::empty()));
    queue.kevent(&signals, &mut [], None)?;
    let ended = event(pid as usize, EventFilter::EVFILT_PROC, FilterFlag::NOTE_EXIT);
    match queue.kevent(&[ended], &mut [], None) {
        // It has ended already, which is looked at first.
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error),
    }
}

/// As a shell would say it.
pub(crate) fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    match status.signal() {
        Some(signal) => ExitStatus::Signaled { signal: u8::try_from(signal).unwrap_or(u8::MAX) },
        None => ExitStatus::Exited {
            code: status
                .code()
                .map_or(u8::MAX, |code| u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        },
    }
}
