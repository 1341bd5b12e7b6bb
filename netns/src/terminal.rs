//! The controlling terminal's foreground group, given back and forth with the command.
//!
//! A shell inside makes its own process groups and puts them into the foreground; when it ends or
//! stops, the terminal must come back to the caller's group, or the caller's shell reads nothing.

#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};

use rustix::{
    io::Errno,
    process::{Pid, getpgrp, test_kill_process_group},
    termios::{tcgetpgrp, tcsetpgrp},
};

/// The controlling terminal, if there is one.
#[derive(Debug)]
pub(crate) struct Terminal(Option<File>);

impl Terminal {
    /// Opens it.
    pub(crate) fn open() -> Self {
        Self(OpenOptions::new().read(true).write(true).open("/dev/tty").ok())
    }

    /// The group in the foreground, if it has a number in our pid namespace.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        self.0.as_ref().and_then(|tty| tcgetpgrp(tty).ok())
    }

    /// Is our own group in the foreground?
    pub(crate) fn is_ours(&self) -> bool {
        self.foreground() == Some(getpgrp())
    }

    /// Puts `group` into the foreground. SIGTTOU must be blocked.
    pub(crate) fn give_to(&self, group: Pid) {
        if let Some(tty) = &self.0 {
            // The group may have ended meanwhile: then it needs no terminal.
            let _ = tcsetpgrp(tty, group);
        }
    }

    /// Takes the terminal back if the group that had it is gone: it was the command's.
    pub(crate) fn take_back_from_the_dead(&self) {
        let Some(group) = self.foreground() else { return };
        if test_kill_process_group(group) == Err(Errno::SRCH) {
            self.give_to(getpgrp());
        }
    }
}
