//! Runs one client, with a limit to its time and to what it may say.

use std::{
    fs,
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{find::Found, table::Row};
use crate::interceptor::dns::PROBE_NAME;

/// For a client that has only to start.
const LIMIT: Duration = Duration::from_secs(20);
/// For one that has to compile.
const SLOW_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// For what it left behind to close its output.
const REST: Duration = Duration::from_secs(1);
/// More is not read.
const MOST: u64 = 64 * 1024;

/// What a client did.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    /// Its exit code; none: a signal, or it was stopped here.
    pub(super) code: Option<i32>,
    /// It took too long.
    pub(super) late: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs it, from where the doctor was called: its configuration may lie there.
pub(super) fn run(row: &Row, found: &Found, run: &str) -> io::Result<Attempt> {
    with(row, row.args, found, run)
}

/// Is a proxy in its configuration, as far as it can be asked? Names are resolved in a run whether they exist
/// or not, so what it says of a proxy that it does not reach need not say so.
pub(super) fn has_proxy(row: &Row, found: &Found) -> bool {
    !row.proxy.is_empty()
        && with(row, row.proxy, found, "").is_ok_and(|asked| {
            asked.code == Some(0) && !matches!(asked.stdout.trim(), "" | "null" | "undefined")
        })
}

fn with(row: &Row, args: &[&str], found: &Found, run: &str) -> io::Result<Attempt> {
    let directory = tempfile::Builder::new().prefix("authsome-doctor-").tempdir()?;
    for (name, contents) in row.files {
        let path = directory.path().join(name);
        crate::paths::write_private(&path, fill(contents, directory.path(), run).as_bytes())
            .map_err(io::Error::other)?;
    }
    let mut command = Command::new(&found.path);
    command
        .args(args.iter().map(|word| fill(word, directory.path(), run)))
        .envs(row.env.iter().map(|(name, value)| (name, fill(value, directory.path(), run))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn()?;
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let code = wait(&mut child, if row.slow { SLOW_LIMIT } else { LIMIT })?;
    let text = |from: Receiver<Vec<u8>>| {
        let bytes = from.recv_timeout(REST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let attempt = Attempt {
        code: code.flatten(),
        late: code.is_none(),
        stdout: text(stdout),
        stderr: text(stderr),
    };
    // Whatever it started goes as well.
    end(&child);
    // A compiler's cache may have been made for nobody to write to.
    drop(fs::remove_dir_all(directory.path()));
    Ok(attempt)
}

/// Its exit code, or none if it has to be ended.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<Option<i32>>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if began.elapsed() > limit {
            end(child);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Ends its process group.
fn end(child: &Child) {
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
}

/// Reads to the end, in a thread of its own: two pipes that are read in turn could both be full.
fn reader(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = (&mut from).take(MOST).read_to_end(&mut bytes);
            let _ = io::copy(&mut from, &mut io::sink());
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn fill(text: &str, directory: &std::path::Path, run: &str) -> String {
    text.replace("{url}", &format!("https://{PROBE_NAME}/"))
        .replace("{host}", PROBE_NAME)
        .replace("{run}", run)
        .replace("{dir}", &directory.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static [&'static str]) -> Attempt {
        let row = Row { program: "sh", args: script, ..Row::NONE };
        run(&row, &Found { path: "/bin/sh".into() }, "0123").unwrap()
    }

    #[test]
    fn output_and_exit_code_are_those_of_the_program() {
        let attempt = shell(&["-c", "echo {run} {host}; echo no >&2; exit 3"]);
        assert_eq!(attempt.stdout, format!("0123 {PROBE_NAME}\n"));
        assert_eq!((attempt.stderr.as_str(), attempt.code, attempt.late), ("no\n", Some(3), false));
    }

    #[test]
    fn what_a_program_leaves_behind_holds_nobody_up() {
        let attempt = shell(&["-c", "sleep 600 & echo done"]);
        assert_eq!((attempt.code, attempt.late), (Some(0), false));
    }
}
