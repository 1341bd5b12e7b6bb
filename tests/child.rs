//! Parts of a test that need a process of their own: to be killed, or to have a disk of its own.
//!
//! Such a test is run a second time, by its name, in a new process of the same binary: [`dir`] tells it
//! which of its two halves it is.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Tells a child where to work.
const DIR: &str = "AUTHSOME_TEST_DIR";

/// The directory this process was started to work in, if it is such a half.
pub(crate) fn dir() -> Option<PathBuf> {
    env::var_os(DIR).map(Into::into)
}

fn arguments(test: &str) -> [&str; 4] {
    ["--exact", test, "--nocapture", "--test-threads=1"]
}

/// Starts `test`; what it writes to standard output can be read.
pub(crate) fn start(test: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(arguments(test))
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `test` in a mount namespace where `dir` is a file system of `size` (as tmpfs(5) takes it). It
/// is gone afterwards, whatever happens. Needs root or user namespaces.
pub(crate) fn run_on_small_disk(test: &str, dir: &Path, size: &str) {
    let root = rustix::process::geteuid().is_root();
    let script = format!("mount -t tmpfs -o size={size},mode=700 tmpfs \"$0\" && exec \"$@\"");
    let output = Command::new("unshare")
        .args(if root { ["--mount"].as_slice() } else { &["--mount", "--map-root-user"] })
        .args(["sh", "-c", &script])
        .arg(dir)
        .arg(env::current_exe().unwrap())
        .args(arguments(test))
        .env(DIR, dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Fills the file system up, and gives back a file whose removal makes room again.
pub(crate) fn fill(dir: &Path) -> PathBuf {
    use std::io::Write;
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    path
}
