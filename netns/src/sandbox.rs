//! The caller's side: start the helper, prove, release, wait.

use std::{
    env,
    ffi::OsString,
    fmt, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Child, Command},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal, raise},
};
use rustix::process::getpgrp;

use crate::{
    check,
    control::{Control, Frame},
    error::Error,
    helper::{HELPER_ARGUMENT, OURSELVES},
    message::{Build, ExitStatus, Go, ListenerKind, Order, ProbeReport, Report, Text},
    signals::Signals,
    spec::Spec,
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
    catch_all: bool,
    ipv6: bool,
}

/// What a new namespace has to offer.
#[derive(Debug)]
pub struct Prepared {
    /// Its listening sockets, to be handed to whoever accepts on them.
    pub listeners: Vec<Listener>,
    /// Is the catch-all redirect in place? False if it was not asked for or cannot be.
    pub catch_all: bool,
    /// Is there IPv6 inside? Not where the kernel has none.
    pub ipv6: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A listening socket of the namespace.
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
    pub fn spawn(spec: &Spec) -> Result<(Self, Prepared), Error> {
        if spec.command.is_empty() {
            return Err(Error::NoCommand);
        }
        let text = |path: &Path| Text::from(path.as_os_str());
        let build = Build {
            parent: std::process::id().cast_signed(),
            user_namespace: spec.user.is_none(),
            tcp_ports: spec.tcp_ports.clone(),
            catch_all: spec.catch_all,
            host_ports: spec.host_ports.clone(),
            trust_dir: Some(text(&spec.trust_dir)),
            files: spec.files.iter().map(|f| (text(&f.path), f.contents.len())).collect(),
            links: spec.links.iter().map(|l| (text(&l.path), text(&l.target))).collect(),
            overlays: spec.overlays.iter().map(Into::into).collect(),
            keep: spec.keep.iter().map(|path| text(path)).collect(),
            hide: spec.hide.iter().map(|path| text(path)).collect(),
        };
        let contents: Vec<_> = spec.files.iter().map(|file| file.contents.as_slice()).collect();
        let contents = contents.concat();
        let words = |word: &OsString| Text::from(word.as_os_str());
        let go = Go {
            command: spec.command.iter().map(words).collect(),
            env: spec.env.iter().map(|(name, value)| (words(name), words(value))).collect(),
            cwd: text(&spec.cwd),
            user: spec.user.clone(),
        };
        let (mut sandbox, prepared) = Self::build(build, &contents, go)?;
        sandbox.run_id.clone_from(&spec.run_id);
        Ok((sandbox, prepared))
    }

    /// Starts the helper and hears what it and init have to say.
    pub(crate) fn build(build: Build, files: &[u8], go: Go) -> Result<(Self, Prepared), Error> {
        let terminal = Terminal::open();
        // Blocked before the helper exists, which inherits it: a Ctrl-C must not end it.
        let signals = Signals::block(&[]).map_err(Error::Signals)?;
        let (control, theirs) = Control::pair().map_err(Error::Start)?;
        let helper = Command::new(OURSELVES)
            .arg0(env::args_os().next().unwrap_or_default())
            .arg(HELPER_ARGUMENT)
            .env_clear()
            .stdin(theirs)
            .spawn()
            .map_err(Error::Start)?;
        let mut sandbox = Self {
            control: Some(control),
            helper,
            signals,
            terminal,
            go,
            run_id: String::new(),
            catch_all: false,
            ipv6: false,
        };
        // If this fails the helper has ended, and its last words say why.
        let sent = sandbox.control()?.send_with(&Order::Build(Box::new(build)), files, &[]);
        let mut prepared =
            Prepared { listeners: Vec::new(), catch_all: false, ipv6: false, warnings: Vec::new() };
        loop {
            let frame = match (sandbox.receive(), &sent) {
                (Err(Error::Lost), Err(error)) => return Err(Error::Control(error.kind().into())),
                (frame, _) => frame?,
            };
            match frame.message {
                Report::Listeners(kinds) => {
                    let pairs = kinds.into_iter().zip(frame.descriptors);
                    prepared.listeners.extend(pairs.map(|(kind, fd)| Listener { kind, fd }));
                }
                Report::Built { catch_all, ipv6, warnings } => {
                    (sandbox.catch_all, sandbox.ipv6) = (catch_all, ipv6);
                    (prepared.catch_all, prepared.ipv6) = (catch_all, ipv6);
                    prepared.warnings = warnings;
                }
                Report::Ready => return Ok((sandbox, prepared)),
                other @ (Report::Failed { .. }
                | Report::Probed(_)
                | Report::Started
                | Report::NoDirectory { .. }
                | Report::NoExec { .. }
                | Report::Stopped { .. }
                | Report::Exited(_)) => return Err(out_of_turn(&other)),
            }
        }
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

    /// After the command's end: waits until everything inside is gone.
    fn finish(&mut self) {
        self.control = None;
        let _ = self.helper.wait();
        self.terminal.take_back_from_the_dead();
    }

    fn control(&self) -> Result<&Control, Error> {
        self.control.as_ref().ok_or(Error::Lost)
    }

    /// The next report; failures become errors with the hint that belongs to them.
    fn receive(&self) -> Result<Frame<Report>, Error> {
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
            let _ = self.helper.kill();
            let _ = self.helper.wait();
            self.terminal.take_back_from_the_dead();
        }
    }
}

fn out_of_turn(report: &Report) -> Error {
    Error::Control(io::Error::new(io::ErrorKind::InvalidData, format!("unexpected {report:?}")))
}
