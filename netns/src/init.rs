//! Init: pid 1 of the namespace.
//!
//! It proves the redirection, gives up every right, starts the command and then only reaps,
//! reports and passes signals on. When it ends, the kernel ends everything in the namespace; it ends
//! when the command does, and when helper or caller do.

#![cfg(target_os = "linux")]

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Command, ExitCode, Stdio},
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpgid, getpgrp},
};

use crate::{
    control::{Control, Frame},
    error::{Failure, InStep, Step},
    giver::Giver,
    helper::report,
    message::{ExitStatus, Go, Order, Report, Text},
    mounts, pids, privileges, probe,
    signals::Signals,
    sys,
    terminal::Terminal,
};

/// Runs init until the command, the helper or the caller ends.
pub(crate) fn main(control: &Control, giver: Option<Giver>) -> ExitCode {
    match prepare(control) {
        Ok(Some((agent, signals))) => watch(control, agent, &signals, giver),
        Ok(None) => ExitCode::SUCCESS,
        Err(failure) => {
            report(control, &failure);
            ExitCode::FAILURE
        }
    }
}

/// Until the command runs; none if it never will.
fn prepare(control: &Control) -> Result<Option<(Pid, Signals)>, Failure> {
    // If the helper was gone before this call, then so is the caller, or the caller has killed it: in
    // either case the other end of the control socket is closed.
    privileges::die_with_parent().in_step(Step::Guard)?;
    sys::default_child_signal();
    let signals = Signals::block(&[Signal::SIGCHLD]).in_step(Step::Guard)?;
    mounts::fresh_proc().in_step(Step::Proc)?;
    // Without it all works but what takes these numbers for the machine's.
    let _ = pids::scatter();
    control.send(&Report::Ready).in_step(Step::Control)?;
    loop {
        let Some(frame) = control.receive::<Order>().in_step(Step::Control)? else {
            return Ok(None);
        };
        let Frame { message, descriptors, .. } = frame;
        match message {
            Order::Probe { run_id, catch_all, ipv6 } => {
                let result = probe::run(&run_id, catch_all, ipv6);
                control.send(&Report::Probed(result)).in_step(Step::Control)?;
            }
            Order::Go(go) => {
                let agent = start(control, *go, descriptors, &signals)?;
                return Ok(agent.map(|agent| (agent, signals)));
            }
            Order::Signal { .. } | Order::Begin { .. } | Order::Complete(_) => {}
        }
    }
}

/// Gives up every right and starts the command; none if the caller was told why it cannot be.
fn start(
    control: &Control,
    go: Go,
    descriptors: Vec<OwnedFd>,
    signals: &Signals,
) -> Result<Option<Pid>, Failure> {
    privileges::drop_all(go.user.as_ref()).in_step(Step::Privileges)?;
    sys::close_on_exec_above_stderr().in_step(Step::Privileges)?;
    // The mask is inherited, and the command's must be empty.
    let started = launch(control, go, descriptors, |mut command| {
        let child = signals.unblocked(|| command.spawn()).flatten()?;
        Ok(Pid::from_raw(child.id().cast_signed()))
    })?;
    if started.is_some() {
        let _ = env::set_current_dir("/");
    }
    Ok(started)
}

/// Has the command started by `spawn`, and tells the caller; none if it cannot be.
pub(crate) fn launch(
    control: &Control,
    go: Go,
    descriptors: Vec<OwnedFd>,
    spawn: impl FnOnce(Command) -> io::Result<Pid>,
) -> Result<Option<Pid>, Failure> {
    let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if let Err(error) = env::set_current_dir(OsString::from(go.cwd)) {
        let errno = errno(&error);
        control.send(&Report::NoDirectory { errno }).in_step(Step::Control)?;
        return Ok(None);
    }
    let mut words = go.command.into_iter().map(OsString::from);
    let program = words.next().unwrap_or_default();
    let stdin = descriptors.into_iter().next().map_or_else(Stdio::null, Stdio::from);
    let missing = !may_exist(&program, &go.env);
    let mut command = Command::new(&program);
    command
        .arg0(&program)
        .args(words)
        .env_clear()
        .envs(go.env.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
        .stdin(stdin);
    match spawn(command) {
        Ok(agent) => {
            control.send(&Report::Started).in_step(Step::Control)?;
            Ok(Some(agent))
        }
        Err(error) => {
            let errno = if missing { libc::ENOENT } else { errno(&error) };
            control.send(&Report::NoExec { errno }).in_step(Step::Control)?;
            Ok(None)
        }
    }
}

/// Is the program anywhere in the command's `PATH`? Exec says "permission denied" for one that is
/// nowhere if it may not look into one directory of several; shells say that it is missing.
fn may_exist(program: &OsStr, env: &[(Text, Text)]) -> bool {
    let path = env.iter().rfind(|(name, _)| *name == Text::Utf8("PATH".to_owned()));
    match path {
        Some((_, path)) if !program.as_bytes().contains(&b'/') => {
            let path = OsString::from(path.clone());
            env::split_paths(&path).any(|directory| directory.join(program).exists())
        }
        _ => true,
    }
}

/// Reaps, reports and passes signals on until there is nothing more to do.
pub(crate) fn watch(
    control: &Control,
    agent: Pid,
    signals: &Signals,
    mut giver: Option<Giver>,
) -> ExitCode {
    let terminal = Terminal::open();
    let mut received = GroupSignals::default();
    loop {
        // First, since a child that ended while signals were unblocked has left no SIGCHLD.
        match reap(control, agent, &terminal) {
            Ok(true) => return ExitCode::SUCCESS,
            Ok(false) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let mut waiting = vec![
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        waiting.extend(giver.as_ref().map(|giver| PollFd::new(giver.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let ready = |index: usize| waiting.get(index).and_then(PollFd::any).unwrap_or_default();
        let (order, asked) = (ready(0), ready(2));
        if received.note(signals).is_err() {
            return ExitCode::FAILURE;
        }
        if asked && !giver.as_ref().is_some_and(Giver::answer) {
            giver = None;
        }
        if !order {
            continue;
        }
        match control.receive::<Order>() {
            Ok(Some(Frame { message: Order::Signal { number }, .. })) => {
                if let Ok(signal) = Signal::try_from(number) {
                    received.pass_on(signal, agent);
                }
            }
            // Whatever else it is, nobody is left to hear of the command's end.
            Ok(_) | Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// Collects every child that has ended or stopped. True when the command has ended.
fn reap(control: &Control, agent: Pid, terminal: &Terminal) -> io::Result<bool> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == agent => {
                let code = u8::try_from(code & 0xff).unwrap_or(u8::MAX);
                control.send(&Report::Exited(ExitStatus::Exited { code }))?;
                return Ok(true);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => {
                let signal = u8::try_from(signal as i32).unwrap_or_default();
                control.send(&Report::Exited(ExitStatus::Signaled { signal }))?;
                return Ok(true);
            }
            Ok(WaitStatus::Stopped(pid, signal)) if pid == agent => {
                // Either a group of the command's own has the terminal, or the caller's, which in a namespace
                // has no number.
                let group = terminal.foreground().map(|group| group.as_raw_nonzero().get());
                let foreground = group.is_some_and(|group| group != getpgrp().as_raw());
                control.send(&Report::Stopped { signal: signal as i32, foreground })?;
            }
            Ok(WaitStatus::StillAlive) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Signals that init itself was sent.
///
/// The caller passes on what it is sent, not knowing whether it was sent alone or with its whole
/// process group. Init is in that group too: a signal that it got as well has reached the command
/// already, and must not reach it twice.
#[derive(Debug, Default)]
struct GroupSignals(Vec<Signal>);

impl GroupSignals {
    fn note(&mut self, signals: &Signals) -> io::Result<()> {
        while let Some(received) = signals.next()? {
            let known = self.0.contains(&received.signal);
            if !received.by_kernel && !known && received.signal != Signal::SIGCHLD {
                self.0.push(received.signal);
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, signal: Signal, agent: Pid) {
        let group = getpgid(Some(agent)).ok();
        let ours = group == getpgid(None).ok();
        let known = self.0.iter().position(|other| *other == signal);
        if let Some(index) = known {
            self.0.swap_remove(index);
            if ours {
                return;
            }
        }
        // A stopped command may have stopped its own group with it.
        let _ = match group.filter(|group| !ours && group.as_raw() > 0) {
            Some(group) if signal == Signal::SIGCONT => killpg(group, signal),
            _ => kill(agent, signal),
        };
    }
}
