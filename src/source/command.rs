//! What a program writes to standard output.
//!
//! No shell: the words are the program and its arguments. It gets the environment of this process less
//! our own variables, no input, and a process group of its own, which is killed as a whole when the time
//! is up. What it leaves running when it ends well is its own affair (agents that keep a password
//! manager unlocked). Signals that this process blocks stay blocked in it.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::unistd::{AccessFlags, access};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process_group},
};
use zeroize::Zeroizing;

use super::{Error, MAX_VALUE, Result, said};

/// Variables of ours, which are no other program's business.
const OWN_VARIABLES: &str = "AUTHSOME_";
/// Most bytes of standard error that are looked at.
const MAX_SAID: usize = 4096;

/// The program's own path in place of its name.
pub(super) fn anchored(mut words: Vec<String>, cwd: &Path, path: &OsStr) -> Result<Vec<String>> {
    let Some(program) = words.first_mut() else { return Ok(words) };
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![cwd.join(&*program)]
    } else {
        std::env::split_paths(path).map(|directory| cwd.join(directory).join(&*program)).collect()
    };
    let executable =
        |file: &PathBuf| file.is_file() && access(file.as_path(), AccessFlags::X_OK).is_ok();
    match candidates
        .into_iter()
        .find(executable)
        .and_then(|found| found.to_str().map(str::to_owned))
    {
        Some(found) => {
            *program = found;
            Ok(words)
        }
        None => Err(Error::NoProgram(program.clone())),
    }
}

/// Standard output of the program, and at most one byte more than a value has.
pub(super) fn run(words: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>> {
    let (program, arguments) = words.split_first().ok_or(Error::Syntax("there is no program"))?;
    let lost = |source| Error::Run { program: program.clone(), source };
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(OWN_VARIABLES) {
            command.env_remove(name);
        }
    }
    let mut group = Group::new(command.spawn().map_err(lost)?).map_err(lost)?;
    let out = group.child.stdout.take();
    let mut out = Collected::new(out.map(OwnedFd::from), MAX_VALUE + 1).map_err(lost)?;
    let said = group.child.stderr.take();
    let mut said = Collected::new(said.map(OwnedFd::from), MAX_SAID).map_err(lost)?;
    while !group.wait(&out, &said, deadline).map_err(lost)? {
        out.read(deadline).map_err(lost)?;
        said.read(deadline).map_err(lost)?;
        if Instant::now() >= deadline {
            return Err(Error::Slow { program: program.clone(), seconds: limit.as_secs() });
        }
    }
    // What it wrote last.
    out.read(deadline).map_err(lost)?;
    said.read(deadline).map_err(lost)?;
    let status = group.reap().map_err(lost)?;
    if status.success() {
        return Ok(out.bytes);
    }
    let said = said::shown(&said.bytes, &out.bytes);
    Err(Error::Failed { program: program.clone(), status: status.to_string(), said })
}

/// A program and what it starts; killed on drop, unless it has ended before.
struct Group {
    child: Child,
    /// Readable once it has ended.
    ended: OwnedFd,
    reaped: bool,
}

impl Group {
    fn new(mut child: Child) -> io::Result<Self> {
        match pid(&child).and_then(end_of) {
            Ok(ended) => Ok(Self { child, ended, reaped: false }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Waits until it has ended (then true), has written something, or the time is up.
    fn wait(&self, out: &Collected, said: &Collected, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut descriptors = vec![PollFd::new(&self.ended, PollFlags::IN)];
        let open = [out, said].into_iter().filter_map(|from| from.from.as_ref());
        descriptors.extend(open.map(|from| PollFd::new(from, PollFlags::IN)));
        match poll(&mut descriptors, Some(&left)) {
            Ok(_) => Ok(descriptors.first().is_some_and(|ended| !ended.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn reap(&mut self) -> io::Result<std::process::ExitStatus> {
        let status = self.child.wait();
        self.reaped = status.is_ok();
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // Before it is waited for: until then nobody else can have its number.
        if let Ok(pid) = pid(&self.child) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Readable once a child has ended (pidfd_open(2)).
#[cfg(target_os = "linux")]
fn end_of(child: Pid) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?)
}

/// Readable once a child has ended (kqueue(2)).
#[cfg(target_os = "macos")]
fn end_of(child: Pid) -> io::Result<OwnedFd> {
    use nix::{
        errno::Errno,
        sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue},
    };
    let number = usize::try_from(child.as_raw_nonzero().get()).map_err(io::Error::other)?;
    let add =
        |number, filter, what, data| KEvent::new(number, filter, EvFlags::EV_ADD, what, data, 0);
    let queue = Kqueue::new()?;
    let ended = add(number, EventFilter::EVFILT_PROC, FilterFlag::NOTE_EXIT, 0);
    match queue.kevent(&[ended], &mut [], None) {
        // It has ended already, and waits to be asked how: a timer that is due says the same.
        Err(Errno::ESRCH) => {
            let now = add(0, EventFilter::EVFILT_TIMER, FilterFlag::empty(), 0);
            queue.kevent(&[now], &mut [], None)?;
        }
        other => drop(other?),
    }
    Ok(queue.into())
}

fn pid(child: &Child) -> io::Result<Pid> {
    let number = i32::try_from(child.id()).map_err(io::Error::other)?;
    Pid::from_raw(number).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What was written to a pipe so far, up to a number of bytes; the rest is read and forgotten, so that
/// who writes does not wait.
struct Collected {
    from: Option<OwnedFd>,
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Collected {
    fn new(from: Option<OwnedFd>, most: usize) -> io::Result<Self> {
        if let Some(from) = &from {
            rustix::io::ioctl_fionbio(from, true)?;
        }
        Ok(Self { from, bytes: Zeroizing::new(Vec::with_capacity(most)), most })
    }

    /// Reads what there is, without waiting, at most until the time is up: there may always be more.
    fn read(&mut self, deadline: Instant) -> io::Result<()> {
        let mut chunk = Zeroizing::new([0_u8; 4096]);
        while let Some(from) = &self.from {
            match rustix::io::read(from.as_fd(), &mut chunk[..]) {
                Ok(0) => self.from = None,
                Ok(count) => {
                    let room = self.most.saturating_sub(self.bytes.len()).min(count);
                    self.bytes.extend_from_slice(chunk.get(..room).unwrap_or_default());
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn output(command: &[&str]) -> Result<Vec<u8>> {
        run(&words(command), LIMIT).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn standard_output_is_the_value() {
        assert_eq!(output(&["/bin/echo", "a b", "$HOME"]).unwrap(), b"a b $HOME\n");
    }

    #[test]
    fn a_failure_shows_status_and_standard_error_and_never_standard_output() {
        let error =
            output(&["/bin/sh", "-c", "echo hunter2; echo locked >&2; exit 3"]).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert_eq!(error.said(), Some("locked"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn standard_error_that_repeats_standard_output_is_not_shown() {
        let error =
            output(&["/bin/sh", "-c", "echo hunter2; echo got hunter2 >&2; exit 1"]).unwrap_err();
        assert_eq!(error.said(), None);
    }

    #[test]
    fn what_hangs_is_killed_with_what_it_started() {
        let place = tempfile::tempdir().unwrap();
        let note = place.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", note.display());
        let began = Instant::now();
        let error = run(&words(&["/bin/sh", "-c", &script]), Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, Error::Slow { .. }), "{error}");
        assert!(began.elapsed() < LIMIT);
        let child: i32 = std::fs::read_to_string(note).unwrap().trim().parse().unwrap();
        // Killed, though perhaps not yet reaped by whoever took it over.
        let deadline = Instant::now() + LIMIT;
        while is_alive(child) {
            assert!(Instant::now() < deadline, "its child goes on");
            std::thread::yield_now();
        }
    }

    fn is_alive(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        let began = Instant::now();
        assert_eq!(
            output(&["/bin/sh", "-c", "sleep 600 & echo $!"])
                .map(|out| {
                    let pid = String::from_utf8(out).unwrap().trim().parse().unwrap();
                    kill_process(pid);
                })
                .ok(),
            Some(())
        );
        assert!(began.elapsed() < LIMIT);
    }

    fn kill_process(pid: i32) {
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_flood_is_read_to_its_end_and_not_kept() {
        let bytes = output(&["/usr/bin/head", "-c", "10000000", "/dev/zero"]).unwrap();
        assert_eq!(bytes.len(), MAX_VALUE + 1);
    }

    #[test]
    fn it_gets_no_input() {
        assert_eq!(output(&["/bin/cat"]).unwrap(), b"");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&["/nonexistent/op"]).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/op"), "{error}");
    }

    #[test]
    fn a_name_is_found_in_the_path_and_only_if_it_can_be_executed() {
        let place = tempfile::tempdir().unwrap();
        crate::paths::write_private(&place.path().join("sh"), b"no program").unwrap();
        let path = std::env::join_paths([place.path(), Path::new("/bin")]).unwrap();
        let found = anchored(words(&["sh", "-c"]), Path::new("/"), &path).unwrap();
        assert_eq!(found, ["/bin/sh", "-c"]);
        assert!(anchored(words(&["authsome-no-such"]), Path::new("/"), &path).is_err());
        let relative = anchored(words(&["./sh"]), Path::new("/bin"), &path).unwrap();
        assert_eq!(relative, ["/bin/./sh"]);
    }
}
