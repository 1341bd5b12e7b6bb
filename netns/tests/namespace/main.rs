#![cfg(test)]
//! The crate in real namespaces. Each promise is one case, run as every kind of user there is: the
//! one who started the tests and, if that is root, the user `tester` and root's own mode.
//!
//! Not libtest: its threads exist before `main`, and the helper must be started without any.

mod cases;
mod driver;
mod harness;

use std::{env, ffi::OsStr, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some(netns::HELPER_ARGUMENT) => netns::helper_main(),
        Some("driver") => driver::run(arguments),
        _ => harness::run(cases::ALL),
    }
}
