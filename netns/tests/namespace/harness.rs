//! Runs cases as cargo and nextest expect it of a test binary.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::{fs::PermissionsExt, fs::chown, process::CommandExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output, Stdio},
};

/// A promise and how it is tried.
pub(crate) type Case = (&'static str, fn(&Scene));

/// Who calls, and how the command is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whoever started the tests, in a user namespace.
    Caller,
    /// The user `tester`, in a user namespace.
    Tester,
    /// Root, without a user namespace; the command is `tester`'s.
    Root,
}

/// A caller with a directory of its own.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) mode: Mode,
    pub(crate) directory: PathBuf,
    program: PathBuf,
    tester: Option<u32>,
}

pub(crate) fn run(cases: &[Case]) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let mut out = io::stdout();
    if has("--list") {
        for (name, _) in cases.iter().filter(|_| !has("--ignored")) {
            writeln!(out, "{name}: test").unwrap();
        }
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| {
        filter.is_none_or(|filter| {
            if has("--exact") { name == filter } else { name.contains(filter.as_str()) }
        })
    };
    let mut failed = 0;
    for (name, case) in cases.iter().filter(|(name, _)| wanted(name) && !has("--ignored")) {
        for mode in modes() {
            let passed = catch_unwind(AssertUnwindSafe(|| case(&Scene::new(mode)))).is_ok();
            writeln!(out, "{name} ({mode:?}) ... {}", if passed { "ok" } else { "FAILED" })
                .unwrap();
            failed += u32::from(!passed);
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn modes() -> Vec<Mode> {
    if nix::unistd::geteuid().is_root() && tester().is_some() {
        vec![Mode::Caller, Mode::Tester, Mode::Root]
    } else {
        vec![Mode::Caller]
    }
}

fn tester() -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find_map(|line| line.strip_prefix("tester:"))?;
    line.split(':').nth(1)?.parse().ok()
}

impl Scene {
    fn new(mode: Mode) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("netns-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in("/tmp")
            .unwrap()
            .keep();
        let program = directory.join("program");
        fs::copy(env::current_exe().unwrap(), &program).unwrap();
        for name in ["trust", "hidden", "work"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        for name in ["trust/vault", "hidden/secret", "socket", "roots.pem"] {
            let mut file = fs::File::create(directory.join(name)).unwrap();
            file.write_all(b"from the host\n").unwrap();
        }
        let tester = (mode != Mode::Caller).then(|| tester().unwrap());
        if let Some(tester) = tester {
            for name in ["", "trust", "trust/vault", "hidden", "hidden/secret", "work", "roots.pem"]
            {
                chown(directory.join(name), Some(tester), Some(tester)).unwrap();
            }
        }
        Self { mode, directory, program, tester }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Makes something in the directory the command's.
    pub(crate) fn give(&self, name: &str) {
        if let Some(tester) = self.tester {
            std::os::unix::fs::lchown(self.directory.join(name), Some(tester), Some(tester))
                .unwrap();
        }
    }

    /// The driver with these options and this command, ready to be started.
    pub(crate) fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut driver = Command::new(&self.program);
        driver.arg("driver").args(["--trust", &self.path("trust")]);
        driver.args(["--cwd", &self.path("work")]).args(["--file", "bundle.pem"]);
        match (self.mode, self.tester) {
            (Mode::Tester, Some(uid)) => _ = driver.uid(uid).gid(uid),
            (Mode::Root, Some(uid)) => _ = driver.args(["--user", &uid.to_string()]),
            _ => {}
        }
        driver.args(options).arg("--").args(command).current_dir("/").stdin(Stdio::null());
        driver
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.command(options, command).output().unwrap()
    }

    /// Runs a bash script that must succeed; its output.
    pub(crate) fn script(&self, options: &[&str], script: &str) -> String {
        let output = self.run(options, &["bash", "-c", script]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let directory: &Path = &self.directory;
        let _ = fs::remove_dir_all(directory);
    }
}
