//! Signals as something to read, not as something that interrupts.
//!
//! They are blocked and read from a descriptor. Ignoring them would not do: ignored signals stay
//! ignored over exec, and the command must start with the dispositions the caller was given.

#![cfg(target_os = "linux")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    libc,
    sys::{
        signal::{SigSet, SigmaskHow, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// What may end, stop, continue or wake a process of the run, and what is passed on.
const WATCHED: [Signal; 12] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGALRM,
];

/// A signal that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Which.
    pub(crate) signal: Signal,
    /// By the kernel (the terminal), and so to the whole foreground group; else by a process.
    pub(crate) by_kernel: bool,
}

/// The watched signals of this thread, blocked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Signals {
    descriptor: SignalFd,
    watched: SigSet,
    before: SigSet,
}

impl Signals {
    /// Blocks the watched signals, and those of `more`.
    pub(crate) fn block(more: &[Signal]) -> io::Result<Self> {
        let watched: SigSet = WATCHED.iter().chain(more).copied().collect();
        let before = watched.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = SignalFd::with_flags(&watched, flags)?;
        Ok(Self { descriptor, watched, before })
    }

    /// Runs `action` with the watched signals blocked, for what it starts to begin like that. One that
    /// comes meanwhile is delivered afterwards.
    pub(crate) fn blocked_while<T>(action: impl FnOnce() -> T) -> io::Result<T> {
        let watched: SigSet = WATCHED.iter().copied().collect();
        let before = watched.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let outcome = action();
        before.thread_set_mask()?;
        Ok(outcome)
    }

    /// The next signal that waits, if one does.
    pub(crate) fn next(&self) -> io::Result<Option<Received>> {
        while let Some(info) = self.descriptor.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or_default();
            if let Ok(signal) = Signal::try_from(number) {
                let by_kernel = info.ssi_code == libc::SI_KERNEL;
                return Ok(Some(Received { signal, by_kernel }));
            }
        }
        Ok(None)
    }

    /// Runs `action` with no signal blocked, so that what it starts has an empty mask. Only for pid
    /// 1 of a namespace, which signals without a handler do not reach.
    pub(crate) fn unblocked<T>(&self, action: impl FnOnce() -> T) -> io::Result<T> {
        SigSet::empty().thread_set_mask()?;
        let outcome = action();
        self.watched.thread_set_mask()?;
        Ok(outcome)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came too late for the command was meant for the command: it must not end the caller,
        // which has the command's exit status to report.
        while let Ok(Some(_)) = self.next() {}
        let _ = self.before.thread_set_mask();
    }
}
