//! The supervisor: the caller's binary, started again. It has the command's own rights and no more, and
//! nothing that the command must not have.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use nix::{sys::prctl, unistd::Pid};
use rustix::process::set_parent_process_death_signal;

use super::{
    begin::Start, cover::Covered, descendants, filter::Sockets, gate::Gate, listening::Listening,
    made, mediator::Mediator, probe::Forbidden, target, unix::Hidden,
};
use crate::{
    control::{Control, Frame, MAX_DESCRIPTORS},
    error::{Failure, InStep, Step},
    helper::report,
    init, listen,
    message::{Go, Order, Report},
    privileges,
    signals::Signals,
    sys,
};

/// First argument of a process that must call [`notify_main`].
pub const NOTIFY_ARGUMENT: &str = "__notify";

/// Runs the supervisor. A program that uses [`crate::Mediating`] calls this before anything else when its
/// first argument is [`NOTIFY_ARGUMENT`].
#[must_use]
pub fn notify_main() -> ExitCode {
    let Ok(control) = Control::from_stdin() else { return ExitCode::FAILURE };
    let code = supervise(&control).unwrap_or_else(|failure| {
        report(&control, &failure);
        ExitCode::FAILURE
    });
    // The caller hears of our end by the control socket: by then nothing is left.
    descendants::end();
    code
}

fn supervise(control: &Control) -> Result<ExitCode, Failure> {
    sys::default_child_signal();
    sys::close_on_exec_above_stderr().in_step(Step::Guard)?;
    let Some(Frame { message: start, .. }) = control.receive::<Start>().in_step(Step::Control)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    prctl::set_child_subreaper(true).in_step(Step::Guard)?;
    privileges::drop_outside_a_namespace(start.user.as_ref()).in_step(Step::Privileges)?;
    // The end of the caller is seen by the control socket: there is something to do then.
    set_parent_process_death_signal(None).in_step(Step::Guard)?;
    let taken = target::can_duplicate().in_step(Step::Mediate)?;
    let sockets = if taken { Sockets::Taken } else { Sockets::Made };
    let signals = Signals::block(&[nix::sys::signal::Signal::SIGCHLD]).in_step(Step::Guard)?;
    let (gate, ipv6, warnings) = prepare(control, start, sockets)?;
    control.send(&Report::Built { catch_all: true, ipv6, warnings }).in_step(Step::Control)?;
    control.send(&Report::Ready).in_step(Step::Control)?;
    match obey(control, &gate, sockets)? {
        Some(agent) => Ok(init::watch(control, agent, &signals, None)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Sockets, filter and the thread that answers.
fn prepare(
    control: &Control,
    start: Start,
    sockets: Sockets,
) -> Result<(Gate, bool, Vec<String>), Failure> {
    let paths = |texts: Vec<_>| texts.into_iter().map(PathBuf::from).collect::<Vec<_>>();
    let (covered, unreachable) = (paths(start.cover), paths(start.hide));
    let (listening, mut bound) = Listening::bind().in_step(Step::Listen { port: 0 })?;
    let mut warnings = Vec::new();
    match listen::diag_socket() {
        Ok(diag) => bound.push(diag),
        Err(error) => warnings.push(format!(
            "the kernel does not tell whose a connection is ({error}): the audit log names no process"
        )),
    }
    for chunk in bound.chunks(MAX_DESCRIPTORS) {
        let kinds = chunk.iter().map(|(kind, _)| *kind).collect();
        let descriptors: Vec<_> = chunk.iter().map(|(_, socket)| socket.as_fd()).collect();
        control.send_with(&Report::Listeners(kinds), &[], &descriptors).in_step(Step::Control)?;
    }
    drop(bound);
    let ipv6 = listening.v6.is_some();
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).in_step(Step::Listen { port: 0 })?;
    let hidden = Hidden::new(&[covered.clone(), unreachable].concat());
    let forbidden = Forbidden { stranger, hidden: covered.clone() };
    let (gate, listener, found) = Gate::close(covered, forbidden, sockets)?;
    warnings.extend(words(&found));
    let host_ports = start.host_ports.into_iter().collect();
    let mediator = Mediator::new(listener, listening, host_ports, hidden, sockets);
    // Ends with the process. Should it end before, whoever asks waits, and reaches nothing.
    thread::Builder::new()
        .name("mediator".to_owned())
        .spawn(|| mediator.run())
        .in_step(Step::Init)?;
    Ok((gate, ipv6, warnings))
}

/// What the user should know of the cover.
fn words(covered: &Covered) -> Vec<String> {
    let mut warnings = Vec::new();
    if !covered.whole {
        warnings.push(
            "this kernel's Landlock is older than Linux 6.12: the agent can send signals to your other \
             processes"
                .to_owned(),
        );
    }
    let closed: Vec<_> = covered
        .closed
        .iter()
        .filter(|path| rustix::fs::access(*path, rustix::fs::Access::WRITE_OK).is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if !closed.is_empty() {
        warnings.push(format!(
            "the agent can make no new files directly in {}: what is hidden lies below",
            closed.join(", ")
        ));
    }
    warnings
}

/// Does as the caller says until the command runs; none if it never will.
fn obey(control: &Control, gate: &Gate, sockets: Sockets) -> Result<Option<Pid>, Failure> {
    loop {
        let Some(frame) = control.receive::<Order>().in_step(Step::Control)? else {
            return Ok(None);
        };
        match frame.message {
            Order::Probe { run_id, ipv6, .. } => {
                let result = gate.probe(run_id, ipv6)?;
                control.send(&Report::Probed(result)).in_step(Step::Control)?;
            }
            Order::Go(go) => {
                if sockets == Sockets::Made {
                    made::refuse_others(&frame.descriptors).in_step(Step::Mediate)?;
                }
                return start(control, gate, *go, frame.descriptors);
            }
            Order::Signal { .. } | Order::Begin { .. } | Order::Complete(_) => {}
        }
    }
}

fn start(
    control: &Control,
    gate: &Gate,
    go: Go,
    descriptors: Vec<OwnedFd>,
) -> Result<Option<Pid>, Failure> {
    // Until now the thread under the filter was looked into from the one that answers it.
    prctl::set_dumpable(false).in_step(Step::Privileges)?;
    let mut outcome = Ok(());
    let agent = init::launch(control, go, descriptors, |command| match gate.start(command) {
        Ok(started) => started,
        Err(failure) => {
            let error = std::io::Error::other("not started");
            outcome = Err(failure);
            Err(error)
        }
    })?;
    outcome?;
    // Not in the way of what is unmounted.
    let _ = env::set_current_dir("/");
    Ok(agent)
}
