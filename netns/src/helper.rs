//! The helper: makes the namespaces, then starts init in them and waits.
//!
//! It is the caller's binary, started again, with one thread until it has unshared. It tells the
//! caller of every failure in words and starts nothing after one.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io,
    io::Write,
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::{getegid, geteuid, getppid},
};

use crate::{
    control::{Control, Frame, MAX_DESCRIPTORS},
    error::{Failure, InStep, Step},
    init, link, listen,
    listen::Bound,
    message::{Build, ListenerKind, Order, Report},
    mounts::Plan,
    privileges, redirect, sys,
};

/// First argument of a process that must call [`helper_main`].
pub const HELPER_ARGUMENT: &str = "__netns";
/// Second argument of init.
pub(crate) const INIT_ARGUMENT: &str = "init";
/// Our own binary, even if it was replaced or deleted meanwhile.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// Runs the helper or init. A program that uses [`crate::Sandbox`] calls this before anything else,
/// above all before it starts a thread, when its first argument is [`HELPER_ARGUMENT`].
#[must_use]
pub fn helper_main() -> ExitCode {
    if env::args_os().nth(2).as_deref() == Some(OsStr::new(INIT_ARGUMENT)) {
        return init::main();
    }
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
    let Some(Frame { message: Order::Build(build), blob, .. }) =
        control.receive().in_step(Step::Control)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    if getppid().as_raw() != build.parent {
        return Ok(ExitCode::FAILURE);
    }

    make_namespaces(&build)?;
    let ipv6 = link::make_every_address_local().in_step(Step::Link)?;
    let mut warnings = Vec::new();
    let catch_all = send_listeners(control, &build, ipv6, &mut warnings)?;
    make_mounts(&build, &blob, &mut warnings)?;
    env::set_current_dir("/").in_step(Step::Namespaces)?;

    control.send(&Report::Built { catch_all, ipv6, warnings }).in_step(Step::Control)?;
    if build.user_namespace {
        privileges::keep_for_init().in_step(Step::Init)?;
    }
    let mut init = Command::new(OURSELVES)
        .arg0(env::args_os().next().unwrap_or_default())
        .args([HELPER_ARGUMENT, INIT_ARGUMENT])
        .env_clear()
        .spawn()
        .in_step(Step::Init)?;
    prctl::set_dumpable(false).in_step(Step::Guard)?;
    let_go_of_control().in_step(Step::Control)?;
    // From here on the caller hears of init's end by the end of the control socket.
    let _ = init.wait();
    Ok(ExitCode::SUCCESS)
}

/// The user namespace comes first and alone: it is the one that machines forbid.
fn make_namespaces(build: &Build) -> Result<(), Failure> {
    if build.user_namespace {
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
    build: &Build,
    ipv6: bool,
    warnings: &mut Vec<String>,
) -> Result<bool, Failure> {
    let mut bound = listen::bind_all(&build.tcp_ports, &build.host_ports, ipv6)?;
    let catch_all = build.catch_all
        && match catch_all(&build.tcp_ports, ipv6) {
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

fn make_mounts(build: &Build, blob: &[u8], warnings: &mut Vec<String>) -> Result<(), Failure> {
    let Some(trust_dir) = &build.trust_dir else { return Ok(()) };
    let trust_dir = PathBuf::from(trust_dir.clone());
    let mut rest = blob;
    let mut files = Vec::with_capacity(build.files.len());
    for (path, length) in &build.files {
        let (contents, after) = rest
            .split_at_checked(*length)
            .ok_or(io::ErrorKind::UnexpectedEof)
            .in_step(Step::Control)?;
        rest = after;
        files.push((path.clone().into(), contents));
    }
    let plan = Plan {
        trust_dir: Path::new(&trust_dir),
        files,
        links: build
            .links
            .iter()
            .map(|(path, target)| (path.clone().into(), target.clone().into()))
            .collect(),
        overlays: build
            .overlays
            .iter()
            .map(|(source, target)| (source.clone().into(), target.clone().into()))
            .collect(),
        keep: build.keep.iter().cloned().map(Into::into).collect(),
        hide: build.hide.iter().cloned().map(Into::into).collect(),
        keep_owner: !build.user_namespace,
    };
    warnings.extend(plan.carry_out()?);
    Ok(())
}

/// Init has the control socket now: with it held here too, its death would go unseen.
fn let_go_of_control() -> io::Result<()> {
    let nothing = File::open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdin(&nothing)?)
}
