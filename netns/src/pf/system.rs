//! The packet filter of this machine.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
};

use super::call::{Call, Filter, Output};
use crate::darwin::Device;

/// By its absolute path: the caller's `PATH` says nothing here.
const PFCTL: &str = "/sbin/pfctl";

/// pfctl(8) and `/dev/pf`.
#[derive(Debug)]
pub(crate) struct System;

impl Filter for System {
    fn call(&mut self, call: &Call) -> io::Result<Output> {
        let mut child = Command::new(PFCTL)
            .args(call.arguments())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // It may have ended without reading: its exit code says more.
            let _ = input.write_all(call.input().as_bytes());
        }
        let output = child.wait_with_output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Output { success: output.status.success(), text })
    }

    fn set_loopback_skip(&mut self, skip: bool) -> io::Result<()> {
        Device::open()?.set_loopback_skip(skip)
    }
}
