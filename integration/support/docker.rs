//! A Docker engine of the test's own, and what its containers take for the internet.
//!
//! Engine and test live in a network namespace made for them, so neither the machine's network nor
//! another engine on it is touched. The addresses set aside for documentation lead to the test's upstream there:
//! what an agent sends past the sidecar *arrives*, and is seen. The engine is pid 1 of a namespace
//! that ends with the test, however that ends: no containerd, container or mount can be left behind.

use std::{
    io::Write,
    net::UdpSocket,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use super::{Program, Upstream, is_root, packages::packages, text, within, write};

/// Where the containers find "the internet".
pub(crate) const OUTSIDE: &str = "203.0.113.10";
/// The same over IPv6.
pub(crate) const OUTSIDE6: &str = "2001:db8:1::10";
/// The image with the built program, made from `deploy/Dockerfile`.
pub(crate) const AUTHSOME: &str = "authsome:test";
/// An image without a file of its own: the machine's `/usr` is mounted into its containers.
pub(crate) const AGENT: &str = "agent:test";

/// A running engine.
pub(crate) struct Engine {
    pub(crate) upstream: Upstream,
    directory: TempDir,
    process: Child,
}

impl Engine {
    /// Starts one, with both images; none where the caller is not root: an engine needs it.
    pub(crate) fn start() -> Option<Self> {
        if !is_root() {
            return None;
        }
        // Of this thread, and of what it starts from now on.
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip(&["link", "set", "lo", "up"]);
        ip(&["address", "add", OUTSIDE, "dev", "lo"]);
        ip(&["address", "add", OUTSIDE6, "dev", "lo", "nodad"]);
        let upstream = Upstream::start_at("[::]:443");
        echo_datagrams(OUTSIDE);
        echo_datagrams(OUTSIDE6);

        let directory = tempfile::Builder::new().prefix("authsome-docker").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let log = std::fs::File::create(at("log")).unwrap();
        let process = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["dockerd", "--iptables=false", "--ip6tables=false"])
            .args(["--ipv6", "--fixed-cidr-v6", "2001:db8:2::/64"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
            .arg(format!("--cgroup-parent=/{}", control_group(directory.path())))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg(format!("--host=unix://{}", at("socket").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut engine = Self { upstream, directory, process };
        engine.wait_until_it_answers();
        engine.import_agent();
        engine.build_authsome();
        write(&engine.path("ca.pem"), engine.upstream.ca_pem.as_bytes());
        Some(engine)
    }

    fn wait_until_it_answers(&mut self) {
        within(Duration::from_secs(60), "the engine answers", || {
            let ended = self.process.try_wait().unwrap();
            let log = || std::fs::read_to_string(self.directory.path().join("log"));
            assert!(ended.is_none(), "dockerd: {}", log().unwrap_or_default());
            self.docker(["info"]).run().status.success()
        });
    }

    /// A file or directory of the test's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `docker ARGS…`, or another client of the engine's.
    pub(crate) fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Program {
        self.client("docker", args)
    }

    /// A client of the engine's that knows nothing of the user's own settings.
    pub(crate) fn client<'a>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Program {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.directory.path())
            .env("DOCKER_HOST", format!("unix://{}", self.path("socket").display()))
            .current_dir(self.directory.path());
        Program { command, stdin: Vec::new() }
    }

    /// What a container said.
    pub(crate) fn logs(&self, container: &str) -> String {
        let output = self.docker(["logs", container]).run();
        text(&output.stdout) + &text(&output.stderr)
    }

    /// One field of a container's state.
    pub(crate) fn inspect(&self, container: &str, format: &str) -> String {
        self.docker(["inspect", "--format", format, container]).success().trim().to_owned()
    }

    /// What an agent's container is started with: the machine's programs, nothing of the machine's else.
    pub(crate) fn host_programs() -> Vec<String> {
        let mut mounts = vec!["--volume=/usr:/usr:ro".to_owned()];
        for path in ["/etc/ssl", "/etc/alternatives"].map(Path::new) {
            if path.exists() {
                mounts.push(format!("--volume={0}:{0}:ro", path.display()));
            }
        }
        mounts.push(format!("--volume={}:/clients:ro", packages().display()));
        mounts
    }

    fn import_agent(&self) {
        let root = self.path("agent");
        for directory in ["usr", "etc", "home", "tmp", "clients"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        for link in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        std::fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
        let passwd = "root:x:0:0::/:/bin/sh\nagent:x:1000:1000::/home:/bin/sh\n";
        write(&root.join("etc/passwd"), passwd.as_bytes());
        let archive = self.path("agent.tar");
        let tar =
            Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&root).arg(".").status();
        assert!(tar.unwrap().success());
        self.docker(["import", archive.to_str().unwrap(), AGENT]).success();
    }

    /// From a binary that was built already, as `deploy/README.md` says; with its shared libraries, for
    /// a static one would be one more build.
    fn build_authsome(&self) {
        let context = self.path("context");
        let built = env!("CARGO_BIN_EXE_authsome");
        let root = context.join("rootfs");
        let binary = root.join("usr/bin/authsome");
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        let stripped = Command::new("strip").arg("-o").arg(&binary).arg(built).status();
        assert!(stripped.unwrap().success());
        let libraries = Command::new("ldd").arg(built).output().unwrap();
        for path in text(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/'))
        {
            copy(Path::new(path), &root);
        }
        copy(Path::new("/etc/ssl/certs/ca-certificates.crt"), &root);
        let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/Dockerfile");
        let context = context.to_str().unwrap();
        self.docker([
            "build", "--quiet", "--target", "prebuilt", "--tag", AUTHSOME, "--file", dockerfile,
            context,
        ])
        .success();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let all = self.docker(["ps", "--all", "--format", "{{.Names}} {{.Status}}"]).run();
            for container in text(&all.stdout).lines() {
                let name = container.split(' ').next().unwrap_or_default();
                let said = format!("{container}\n{}\n", self.logs(name));
                let _ = std::io::stderr().write_all(said.as_bytes());
            }
        }
        // The engine is pid 1 of its namespace: the kernel ends everything in it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Its control groups stay, empty as soon as the last process is gone.
        let deadline = Instant::now() + Duration::from_secs(10);
        let group = control_group(self.directory.path());
        while !remove_control_groups(&group) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The name of the control group that the containers of an engine are in.
fn control_group(directory: &Path) -> String {
    text(directory.file_name().unwrap().as_encoded_bytes())
}

/// Removes the empty ones; was that all? There is a tree for each controller, or (version 2) one.
fn remove_control_groups(name: &str) -> bool {
    let root = Path::new("/sys/fs/cgroup");
    let trees = directories(root).into_iter().chain([root.to_owned()]);
    trees.map(|tree| tree.join(name)).filter(|group| group.exists()).fold(true, |all, group| {
        for container in directories(&group) {
            let _ = std::fs::remove_dir(container);
        }
        std::fs::remove_dir(group).is_ok() && all
    })
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn ip(args: &[&str]) {
    assert!(Command::new("ip").args(args).status().unwrap().success(), "ip {args:?}");
}

/// Copies a file to the same place under another root.
fn copy(file: &Path, root: &Path) {
    let to = root.join(file.strip_prefix("/").unwrap());
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(file, to).unwrap();
}

/// A server of UDP/443, so that QUIC has somewhere to go where nobody refuses it.
fn echo_datagrams(address: &str) {
    let socket = UdpSocket::bind((address, 443)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}
