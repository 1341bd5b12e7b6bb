//! A scene: a home of its own, an upstream, and the built program run as an ordinary user.

mod apis;
pub(crate) mod docker;
pub(crate) mod packages;
mod upstream;

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) use self::upstream::{Seen, Upstream};

/// A key in the shape of OpenAI's.
pub(crate) const KEY: &str = "sk-proj-Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gH";

/// Whom the program runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// An ordinary user; the test's own if that is no root.
    User,
    /// Whoever runs the tests.
    Own,
}

/// A user's home with authsome in it. Its daemon is stopped when the scene ends.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) upstream: Upstream,
    user: Option<(u32, u32)>,
}

impl Scene {
    /// For an ordinary user, with an upstream, nothing connected.
    pub(crate) fn new() -> Self {
        Self::acting(As::User)
    }

    pub(crate) fn acting(whom: As) -> Self {
        let directory = tempfile::Builder::new().prefix("authsome-scene").tempdir().unwrap();
        let upstream = Upstream::start();
        let user = (whom == As::User && is_root()).then(ordinary_user);
        let scene = Self { directory, upstream, user };
        std::fs::create_dir(scene.user_home()).unwrap();
        write(&scene.ca_file(), scene.upstream.ca_pem.as_bytes());
        for path in [scene.directory.path(), &scene.user_home()] {
            if let Some((uid, gid)) = scene.user {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
            }
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        scene
    }

    /// With `KEY` stored for OpenAI.
    pub(crate) fn connected() -> Self {
        let scene = Self::new();
        scene.login("openai", KEY);
        scene
    }

    pub(crate) fn login(&self, provider: &str, secret: &str) {
        let output = self.authsome(["login", provider, "--secret-stdin"]).stdin_text(secret).run();
        assert!(output.status.success(), "login failed: {}", text(&output.stderr));
    }

    pub(crate) fn user_home(&self) -> PathBuf {
        self.directory.path().join("user")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("authsome")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// `authsome ARGS…` with a plain environment.
    pub(crate) fn authsome<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Program {
        let mut command = Command::new(program());
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.user_home())
            .env("AUTHSOME_HOME", self.home())
            .env("LANG", "C.UTF-8")
            .current_dir(self.user_home());
        self.as_user(&mut command);
        Program { command, stdin: Vec::new() }
    }

    /// Makes a command run as the scene's user.
    pub(crate) fn as_user(&self, command: &mut Command) {
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
    }

    /// `authsome run … -- COMMAND…` with the upstream in the place of every host.
    pub(crate) fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, command: I) -> Program {
        self.run_with::<[&str; 0], _>([], command)
    }

    pub(crate) fn run_with<F, I>(&self, flags: F, command: I) -> Program
    where
        F: IntoIterator<Item: AsRef<OsStr>>,
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut program = self.authsome(["run", "--resolve", &self.upstream.resolve_flag()]);
        program
            .command
            .arg("--upstream-ca")
            .arg(self.ca_file())
            .args(flags)
            .arg("--")
            .args(command);
        program
    }

    /// The daemon's process id.
    pub(crate) fn daemon_pid(&self) -> Option<i32> {
        let output = self.authsome(["daemon", "status", "--json"]).run();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        find(&status, "pid")?.as_i64()?.try_into().ok()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.authsome(["daemon", "stop"]).run();
    }
}

/// A command to run.
pub(crate) struct Program {
    pub(crate) command: Command,
    stdin: Vec<u8>,
}

impl Program {
    pub(crate) fn stdin_text(mut self, text: &str) -> Self {
        self.stdin = text.as_bytes().to_vec();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Output {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = std::mem::take(&mut self.stdin);
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&text);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Runs it and insists on success; its standard output.
    pub(crate) fn success(self) -> String {
        let output = self.run();
        assert!(
            output.status.success(),
            "{}\nstdout: {}\nstderr: {}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A member anywhere in a JSON value.
pub(crate) fn find<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(members) => {
            members.get(name).or_else(|| members.values().find_map(|member| find(member, name)))
        }
        serde_json::Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => None,
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    within(Duration::from_secs(10), what, is_so);
}

/// The same, for what takes a busy machine long.
pub(crate) fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {} seconds", limit.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "a file that the program reads, not one of its own")]
pub(crate) fn write(path: &Path, contents: &[u8]) {
    std::fs::write(path, contents).unwrap();
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Is there such a program?
pub(crate) fn has(program: &str) -> bool {
    std::env::split_paths("/usr/local/bin:/usr/bin:/bin")
        .any(|directory| directory.join(program).is_file())
}

/// The first ordinary user of the machine, else an id that no one has.
fn ordinary_user() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let uid: u32 = fields.next()?.parse().ok()?;
            let gid: u32 = fields.next()?.parse().ok()?;
            (1000..60_000).contains(&uid).then_some((uid, gid))
        })
        .next()
        .unwrap_or((4242, 4242))
}

/// The built program at a place that every user can reach.
fn program() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_authsome"));
    if !is_root() {
        return built.to_owned();
    }
    let metadata = std::fs::metadata(built).unwrap();
    let stamp = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    let directory = std::env::temp_dir().join(format!("authsome-test-{}", stamp.as_nanos()));
    let copy = directory.join("authsome");
    if !copy.exists() {
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Tests run side by side. Whoever is first puts it in place, whole; nobody replaces it, since
        // a program that is running must go on to find itself.
        let own = tempfile::NamedTempFile::new_in(&directory).unwrap();
        std::fs::copy(built, own.path()).unwrap();
        std::fs::set_permissions(own.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if let Err(error) = own.into_temp_path().persist_noclobber(&copy) {
            assert_eq!(error.error.kind(), std::io::ErrorKind::AlreadyExists);
        }
    }
    copy
}
