//! The caller's side: start the helper, prove, release, wait.

#![cfg(target_os = "linux")]

use std::{
    ffi::OsString,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Child,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal, raise},
};
use rustix::process::getpgrp;

use crate::{
    beginning::Beginning,
    check,
    control::{Control, Frame},
    error::Error,
    message::{ExitStatus, Go, ListenerKind, Order, ProbeReport, Report},
    signals::Signals,
    spec::{Network, Spec},
    terminal::Terminal,
};

/// A namespace: first without its command, then with it.
///
/// Dropping it ends everything inside. While it lives, signals that would end or stop the caller are
/// blocked in this thread and passed on to the command. The thread that made it must not end before
/// it: the helper dies with that thread.
pub struct Sandbox {
    control: Option<Control>,
    helper: Child,
    signals: Signals,
    terminal: Terminal,
    go: Go,
    run_id: String,
    ending: Ending,
    pub(crate) catch_all: bool,
    pub(crate) ipv6: bool,
}

/// How a helper ends that is no longer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a signal: the kernel ends everything in its namespace with it.
    Killed,
    /// By the end of the control socket: it has to end the command itself.
    Asked,
}

/// What a new namespace has to offer.
#[derive(Debug)]
pub struct Prepared {
    /// Its sockets, to be handed to whoever accepts on them.
    pub listeners: Vec<Listener>,
    /// Is the catch-all redirect in place? False if it was not asked for or cannot be.
    pub catch_all: bool,
    /// Is there IPv6 inside? Not where the kernel has none.
    pub ipv6: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A socket of the namespace, to listen on or to ask.
#[derive(Debug)]
pub struct Listener {
    /// What it is for.
    pub kind: ListenerKind,
    /// The socket, close-on-exec and blocking.
    pub fd: OwnedFd,
}

/// What [`Sandbox::wait_event`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command has ended, and with it everything in the namespace.
    Exited(ExitStatus),
    /// The caller's descriptor is readable, or its other end closed.
    Extra,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("helper", &self.helper.id()).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Makes a namespace for a command, without starting the command.
    ///
    /// # Errors
    /// The step that failed, with a hint if a setting of this machine forbids it.
    pub fn spawn(network: &Network, spec: &Spec) -> Result<(Self, Prepared), Error> {
        Beginning::new(network)?.complete(spec)
    }

    /// Takes over a helper that makes the rest of a namespace.
    pub(crate) fn new(
        control: Control,
        helper: Child,
        go: Go,
        run_id: String,
        ending: Ending,
    ) -> Result<Self, Error> {
        let signals = Signals::block(&[]).map_err(Error::Signals)?;
        Ok(Self {
            control: Some(control),
            helper,
            signals,
            terminal: Terminal::open(),
            go,
            run_id,
            ending,
            catch_all: false,
            ipv6: false,
        })
    }

    /// Proves, from inside, that every connection lands on the listeners and nothing gets out. The
    /// listeners must be served by now: a connection whose destination is 192.0.2.1 or 2001:db8::1
    /// is answered with `authsome-probe <run id> <destination>` and a line feed, and closed.
    ///
    /// # Errors
    /// [`Error::Probe`] says what is not as it must be.
    pub fn probe(&mut self) -> Result<ProbeReport, Error> {
        let order = Order::Probe {
            run_id: self.run_id.clone(),
            catch_all: self.catch_all,
            ipv6: self.ipv6,
        };
        self.control()?.send(&order).map_err(Error::Control)?;
        let message = self.receive()?.message;
        let Report::Probed(result) = message else { return Err(out_of_turn(&message)) };
        Ok(result?)
    }

    /// Starts the command.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotExecutable`], [`Error::WorkingDirectory`], and
    /// [`Error::Interrupted`] if a signal came in the meantime.
    pub fn release(&mut self) -> Result<(), Error> {
        while let Some(received) = self.signals.next().map_err(Error::Signals)? {
            if let Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT =
                received.signal
            {
                return Err(Error::Interrupted { signal: received.signal as i32 });
            }
        }
        let go = std::mem::take(&mut self.go);
        let program: OsString = go.command.first().cloned().unwrap_or_default().into();
        let cwd = go.cwd.clone();
        let stdin = io::stdin();
        self.control()?
            .send_with(&Order::Go(Box::new(go)), &[], &[stdin.as_fd()])
            .map_err(Error::Control)?;
        match self.receive()?.message {
            Report::Started => Ok(()),
            Report::NoDirectory { errno } => Err(Error::WorkingDirectory {
                path: cwd.into(),
                source: io::Error::from_raw_os_error(errno),
            }),
            Report::NoExec { errno } => {
                let source = io::Error::from_raw_os_error(errno);
                Err(if source.kind() == io::ErrorKind::NotFound {
                    Error::NotFound { program, source }
                } else {
                    Error::NotExecutable { program, source }
                })
            }
            other @ (Report::Listeners(_)
            | Report::Built { .. }
            | Report::Ready
            | Report::Failed { .. }
            | Report::Probed(_)
            | Report::Stopped { .. }
            | Report::Exited(_)) => Err(out_of_turn(&other)),
        }
    }

    /// Waits for the command's end, or for `extra` to become readable. Meanwhile it passes signals
    /// on, and stops and continues with the command, so that the shell's job control works.
    ///
    /// # Errors
    /// [`Error::Lost`] if the namespace ended without the command's status.
    pub fn wait_event(&mut self, extra: Option<BorrowedFd<'_>>) -> Result<Event, Error> {
        loop {
            let control = self.control.as_ref().ok_or(Error::Lost)?;
            let mut waiting = vec![
                PollFd::new(control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            waiting.extend(extra.map(|extra| PollFd::new(extra, PollFlags::POLLIN)));
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Error::Signals(error.into())),
            }
            let ready = |index: usize| waiting.get(index).and_then(PollFd::any).unwrap_or_default();
            let (reported, extra_ready) = (ready(0), ready(2));
            let continued = self.pass_signals_on()?;
            if reported {
                match self.receive()?.message {
                    Report::Exited(status) => {
                        self.finish();
                        return Ok(Event::Exited(status));
                    }
                    // Continued since then: there is no stop left to follow.
                    Report::Stopped { .. } if continued => {}
                    Report::Stopped { signal, foreground } => self.stop(signal, foreground)?,
                    other @ (Report::Listeners(_)
                    | Report::Built { .. }
                    | Report::Ready
                    | Report::Failed { .. }
                    | Report::Probed(_)
                    | Report::Started
                    | Report::NoDirectory { .. }
                    | Report::NoExec { .. }) => return Err(out_of_turn(&other)),
                }
            } else if extra_ready {
                return Ok(Event::Extra);
            }
        }
    }

    /// Passes on what processes sent us. What the terminal sent, the command has got itself: it is
    /// in our group, or else not in the foreground. True if we were continued.
    fn pass_signals_on(&self) -> Result<bool, Error> {
        let mut continued = false;
        while let Some(received) = self.signals.next().map_err(Error::Signals)? {
            continued |= received.signal == Signal::SIGCONT;
            if !received.by_kernel {
                let order = Order::Signal { number: received.signal as i32 };
                // If init is gone, its last report is still to be read.
                let _ = self.control()?.send(&order);
            }
        }
        Ok(continued)
    }

    /// Stops as the command did, so that the shell sees a stopped job; returns when continued.
    fn stop(&self, signal: i32, foreground: bool) -> Result<(), Error> {
        let group = self.terminal.foreground().filter(|_| foreground);
        let failed = |error: Errno| Error::Signals(error.into());
        match Signal::try_from(signal) {
            Ok(signal @ (Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU)) => {
                raise(signal).map_err(failed)?;
                let only = SigSet::from(signal);
                only.thread_unblock().map_err(failed)?;
                only.thread_block().map_err(failed)?;
            }
            Ok(_) | Err(_) => raise(Signal::SIGSTOP).map_err(failed)?,
        }
        // `fg` gave the terminal to our group; the command's own group had it.
        if let Some(group) = group.filter(|group| *group != getpgrp() && self.terminal.is_ours()) {
            self.terminal.give_to(group);
        }
        // Our SIGCONT is passed on like any other signal.
        Ok(())
    }

    /// After the command's end: waits until everything inside is gone, which the end of the control
    /// socket says. The helper's own end, with which the kernel takes its mounts apart, is not waited
    /// for.
    fn finish(&mut self) {
        let _ = self.control.take().map(|control| control.receive::<Report>());
        let _ = self.helper.try_wait();
        self.terminal.take_back_from_the_dead();
    }

    pub(crate) fn control(&self) -> Result<&Control, Error> {
        self.control.as_ref().ok_or(Error::Lost)
    }

    /// The next report; failures become errors with the hint that belongs to them.
    pub(crate) fn receive(&self) -> Result<Frame<Report>, Error> {
        let frame = self.control()?.receive().map_err(Error::Control)?.ok_or(Error::Lost)?;
        if let Report::Failed { step, errno, detail } = frame.message {
            let source =
                errno.map_or_else(|| io::Error::other(detail), io::Error::from_raw_os_error);
            let hint = check::hint(&step, source.raw_os_error());
            return Err(Error::Setup { step, hint, source });
        }
        Ok(frame)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.control.take().is_some() {
            // Not waited for: init sees the end of the control socket, or its parent's death.
            if self.ending == Ending::Killed {
                let _ = self.helper.kill();
            }
            let _ = self.helper.wait();
            self.terminal.take_back_from_the_dead();
        }
    }
}

pub(crate) fn out_of_turn(report: &Report) -> Error {
    Error::Control(io::Error::new(io::ErrorKind::InvalidData, format!("unexpected {report:?}")))
}
