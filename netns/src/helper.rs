//! The helper: makes the namespaces, then starts init in them and waits.
//!
//! It is the caller's binary, started again, with one thread until it has unshared. It tells the
//! caller of every failure in words and starts nothing after one.

#![cfg(target_os = "linux")]

use std::{
    env,
    fs::File,
    io,
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{prctl, wait::waitpid},
    unistd::{ForkResult, getegid, geteuid, getppid},
};

use crate::{
    control::{Control, Frame, MAX_DESCRIPTORS},
    error::{Failure, InStep, Step},
    giver::Giver,
    init, link, listen,
    listen::Bound,
    message::{ListenerKind, Mounts, Order, Report, Text},
    mounts::Plan,
    privileges, redirect, refusals,
    spec::Network,
    sys,
};

/// First argument of a process that must call [`helper_main`].
pub const HELPER_ARGUMENT: &str = "__netns";
/// Our own binary, even if it was replaced or deleted meanwhile.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// Runs the helper or init. A program that uses [`crate::Sandbox`] calls this before anything else,
/// above all before it starts a thread, when its first argument is [`HELPER_ARGUMENT`].
#[must_use]
pub fn helper_main() -> ExitCode {
    let Ok(control) = Control::from_stdin() else { return ExitCode::FAILURE };
    let outcome = help(&control);
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            report(&control, &failure);
            ExitCode::FAILURE
        }
    }
}

/// Tells the caller of a failure. If it is gone, there is nobody to tell.
pub(crate) fn report(control: &Control, failure: &Failure) {
    let _ = control.send(&Report::Failed {
        step: failure.step.clone(),
        errno: failure.source.raw_os_error(),
        detail: failure.source.to_string(),
    });
}

fn help(control: &Control) -> Result<ExitCode, Failure> {
    sys::default_child_signal();
    sys::close_on_exec_above_stderr().in_step(Step::Guard)?;
    privileges::die_with_parent().in_step(Step::Guard)?;
    let Some(Frame { message: Order::Begin { parent, network }, .. }) =
        control.receive().in_step(Step::Control)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    if getppid().as_raw() != parent {
        return Ok(ExitCode::FAILURE);
    }

    make_namespaces(&network)?;
    let ipv6 = link::make_every_address_local().in_step(Step::Link)?;
    let mut warnings = Vec::new();
    let giver = network.give_sockets.then(Giver::pair).transpose().in_step(Step::Control)?;
    let (giver, at) = giver.unzip();
    let catch_all = send_listeners(control, &network, at, ipv6, &mut warnings)?;
    if catch_all {
        // No protection: without it programs learn less clearly that they may not do what they do.
        let _ = refusals::explain(network.as_root);
    }
    let Some(Frame { message: Order::Complete(mounts), blob, .. }) =
        control.receive().in_step(Step::Control)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    make_mounts(&mounts, &blob, network.as_root, &mut warnings)?;
    env::set_current_dir("/").in_step(Step::Namespaces)?;

    control.send(&Report::Built { catch_all, ipv6, warnings }).in_step(Step::Control)?;
    // Not dumpable from its first moment on.
    prctl::set_dumpable(false).in_step(Step::Guard)?;
    match sys::fork().in_step(Step::Init)? {
        ForkResult::Child => Ok(init::main(control, giver)),
        ForkResult::Parent { child } => {
            drop(giver);
            // Our end of the control socket ends with us: so the caller hears of init's end.
            while let Err(Errno::EINTR) = waitpid(child, None) {}
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The user namespace comes first and alone: it is the one that machines forbid.
fn make_namespaces(network: &Network) -> Result<(), Failure> {
    if !network.as_root {
        let (uid, gid) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).in_step(Step::UserNamespace)?;
        let map = |path: &str, line: String| {
            File::options()
                .write(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()))
        };
        map("/proc/self/setgroups", "deny".to_owned()).in_step(Step::IdMap)?;
        map("/proc/self/uid_map", format!("{uid} {uid} 1")).in_step(Step::IdMap)?;
        map("/proc/self/gid_map", format!("{gid} {gid} 1")).in_step(Step::IdMap)?;
    }
    unshare(
        CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC,
    )
    .in_step(Step::Namespaces)
}

/// Binds the listeners and sends them up. Returns whether the catch-all redirect is in place.
fn send_listeners(
    control: &Control,
    network: &Network,
    giver: Option<OwnedFd>,
    ipv6: bool,
    warnings: &mut Vec<String>,
) -> Result<bool, Failure> {
    let mut bound = listen::bind_all(&network.tcp_ports, &network.host_ports, ipv6)?;
    bound.extend(giver.map(|giver| (ListenerKind::SocketGiver, giver)));
    let catch_all = network.catch_all
        && match catch_all(&network.tcp_ports, ipv6) {
            Ok(redirected) => {
                bound.push(redirected);
                true
            }
            Err(error) => {
                warnings.push(format!(
                    "nf_tables cannot be used here ({error}): ports that are not listed are refused"
                ));
                false
            }
        };
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
    Ok(catch_all)
}

fn catch_all(tcp_ports: &[u16], ipv6: bool) -> io::Result<Bound> {
    let (port, listener) = listen::bind_redirected(ipv6)?;
    redirect::every_other_port_to(port, tcp_ports)?;
    Ok((ListenerKind::Redirected, listener))
}

fn make_mounts(
    mounts: &Mounts,
    blob: &[u8],
    keep_owner: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let Some(trust_dir) = &mounts.trust_dir else { return Ok(()) };
    let trust_dir = PathBuf::from(trust_dir.clone());
    let mut rest = blob;
    let mut files = Vec::with_capacity(mounts.files.len());
    for (path, length) in &mounts.files {
        let (contents, after) = rest
            .split_at_checked(*length)
            .ok_or(io::ErrorKind::UnexpectedEof)
            .in_step(Step::Control)?;
        rest = after;
        files.push((path.clone().into(), contents));
    }
    let plan = Plan {
        trust_dir: Path::new(&trust_dir),
        trust_dir_id: mounts.trust_dir_id,
        files,
        merges: mounts.merges.iter().map(paths).collect(),
        overlays: mounts.overlays.iter().map(paths).collect(),
        copies: mounts.copies.iter().map(paths).collect(),
        keep: mounts.keep.iter().cloned().map(Into::into).collect(),
        hide: mounts.hide.iter().cloned().map(Into::into).collect(),
        keep_owner,
    };
    warnings.extend(plan.carry_out()?);
    // No protection: without it some programs say less clearly that they may not do what they do.
    let _ = sys::no_rights_from_files();
    Ok(())
}

fn paths((source, target): &(Text, Text)) -> (PathBuf, PathBuf) {
    (source.clone().into(), target.clone().into())
}
