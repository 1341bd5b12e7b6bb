//! The thread under filter and Landlock. What it starts is under them too, and nothing else is.
//!
//! It lives as long as the supervisor: the command ends with the thread that started it.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use nix::unistd::Pid;

use super::{
    cover::{self, Covered},
    filter::{self, Sockets},
    probe::{self, Forbidden},
    sys,
};
use crate::{
    error::{Failure, InStep, ProbeError, Step},
    message::ProbeReport,
};

/// What the thread is asked to do.
enum Order {
    Probe { run_id: String, ipv6: bool, answer: Sender<Result<ProbeReport, ProbeError>> },
    Start { command: Box<Command>, answer: Sender<io::Result<Pid>> },
}

/// The thread.
#[derive(Debug)]
pub(super) struct Gate(Sender<Order>);

/// The thread's first words.
type Closed = Result<(OwnedFd, Covered), Failure>;

impl Gate {
    /// Starts the thread and closes it in. The descriptor is what the filter asks on.
    pub(super) fn close(
        hidden: Vec<PathBuf>,
        forbidden: Forbidden,
        sockets: Sockets,
    ) -> Result<(Self, OwnedFd, Covered), Failure> {
        let (orders, inbox) = channel();
        let (sender, first) = channel();
        thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || {
                let closed = close(&hidden, sockets);
                let serves = closed.is_ok();
                let told = sender.send(closed).is_ok();
                if serves && told {
                    serve(&inbox, &forbidden);
                }
            })
            .in_step(Step::Init)?;
        let (listener, covered) = first
            .recv()
            .map_err(|_| gone())
            .in_step(Step::Init)
            .and_then(|closed: Closed| closed)?;
        Ok((Self(orders), listener, covered))
    }

    /// Proves from inside that connections arrive and nothing else leads out.
    pub(super) fn probe(
        &self,
        run_id: String,
        ipv6: bool,
    ) -> Result<Result<ProbeReport, ProbeError>, Failure> {
        self.ask(|answer| Order::Probe { run_id, ipv6, answer })
    }

    /// Starts a command.
    pub(super) fn start(&self, command: Command) -> Result<io::Result<Pid>, Failure> {
        self.ask(|answer| Order::Start { command: Box::new(command), answer })
    }

    fn ask<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Result<T, Failure> {
        let (sender, answer) = channel();
        self.0.send(order(sender)).map_err(|_| gone()).in_step(Step::Init)?;
        answer.recv().map_err(|_| gone()).in_step(Step::Init)
    }
}

fn close(hidden: &[PathBuf], sockets: Sockets) -> Closed {
    let architecture = filter::NATIVE.ok_or(io::ErrorKind::Unsupported).in_step(Step::Filter)?;
    let covered = cover::hide(hidden).in_step(Step::Landlock)?;
    let listener =
        sys::install(&mut filter::program(architecture, sockets)).in_step(Step::Filter)?;
    Ok((listener, covered))
}

fn serve(inbox: &Receiver<Order>, forbidden: &Forbidden) {
    while let Ok(order) = inbox.recv() {
        // Whoever asked waits for the answer.
        match order {
            Order::Probe { run_id, ipv6, answer } => {
                let _ = answer.send(probe::run(&run_id, ipv6, forbidden));
            }
            Order::Start { mut command, answer } => {
                sys::tie(&mut command);
                let started = command.spawn().map(|child| Pid::from_raw(child.id().cast_signed()));
                let _ = answer.send(started);
            }
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread under the filter has ended")
}
