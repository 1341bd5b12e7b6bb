//! A network namespace with an interface that leads nowhere, and the test's upstream at an address in it.

use std::{
    ffi::OsStr,
    io,
    net::TcpStream,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{Scene, eventually, is_root, text};

/// The upstream's addresses.
pub(super) const UPSTREAM_V4: &str = "10.9.9.9";
pub(super) const UPSTREAM_V6: &str = "fd09::9";
/// The interface.
pub(super) const INTERFACE: &str = "outside";
/// An unprivileged user of the sidecar's container, and one of the agent's.
const SIDECAR: &str = "4343";
const AGENT: &str = "4242";
const PYTHON: &str = "/usr/bin/python3";

/// Lives as long as the first process in it.
pub(super) struct Net {
    holder: Child,
    helpers: Vec<Child>,
}

impl Net {
    /// A namespace, with `upstream` at its addresses if one is given.
    pub(super) fn new(scene: &Scene) -> Self {
        let script = format!(
            "set -e; ip link set lo up; ip tuntap add {INTERFACE} mode tun; \
             ip link set {INTERFACE} up; ip addr add {UPSTREAM_V4}/24 dev {INTERFACE}; \
             ip addr add {UPSTREAM_V6}/64 dev {INTERFACE} nodad; \
             ip route add default dev {INTERFACE}; ip -6 route add default dev {INTERFACE}; \
             touch \"$1\"; exec sleep 3600"
        );
        let made = scene.directory.path().join("net");
        let holder = Command::new("unshare")
            .args(if is_root() { &["-n"][..] } else { &["-U", "-r", "-n"] })
            .args(["sh", "-c", &script, "sh"])
            .arg(&made)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .spawn()
            .unwrap();
        let mut net = Self { holder, helpers: Vec::new() };
        eventually("the namespace", || made.exists());
        let relay = net.relay(scene);
        net.helpers.push(relay);
        net
    }

    /// A command in the namespace, with every right in it.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.holder.id().to_string()).arg("-n");
        if !is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// A command of the agent's, whose container has no capability.
    pub(super) fn agent(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
        if is_root() {
            command.arg(format!("--reuid={AGENT}")).arg(format!("--regid={AGENT}"));
            command.arg("--clear-groups");
        }
        command.arg(program).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// One of the scripts beside this file, by `command`.
    pub(super) fn script(mut command: Command, script: &str, args: &[&str]) -> String {
        let output = command.arg("-c").arg(script).args(args).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What comes of these attempts, by an agent.
    pub(super) fn attempts(&self, names: &[&str]) -> Vec<String> {
        lines(&Self::script(self.agent(PYTHON), include_str!("attempts.py"), names))
    }

    /// The same, by whoever has every right in the namespace.
    pub(super) fn attempts_of_root(&self, names: &[&str]) -> Vec<String> {
        lines(&Self::script(self.command(PYTHON), include_str!("attempts.py"), names))
    }

    /// What leaves of what raw sockets send.
    pub(super) fn sent_by_raw_sockets(&self) -> Vec<String> {
        lines(&Self::script(self.command(PYTHON), include_str!("raw.py"), &[INTERFACE]))
    }

    /// Which of these ports answer from outside.
    pub(super) fn dialled_from_outside(&self, ports: &[&str]) -> Vec<String> {
        let args = [&[INTERFACE, UPSTREAM_V4], ports].concat();
        lines(&Self::script(self.command(PYTHON), include_str!("outside.py"), &args))
    }

    /// `authsome sidecar`, which gets `flags` too.
    pub(super) fn sidecar(&self, scene: &Scene, flags: &[&str]) -> Command {
        Self::sidecar_by(self.command(program(scene)), scene, flags)
    }

    /// The same, in a container whose `/etc/resolv.conf` names a server at the upstream's address.
    pub(super) fn sidecar_with_names(&mut self, scene: &Scene, flags: &[&str]) -> Command {
        let server = self.command(PYTHON).args(["-c", include_str!("names.py")]).spawn().unwrap();
        self.helpers.push(server);
        let file = scene.directory.path().join("resolv.conf");
        crate::support::write(&file, format!("nameserver {UPSTREAM_V4}\n").as_bytes());
        let script = "mount --bind \"$1\" \"$(realpath /etc/resolv.conf)\"; shift; exec \"$@\"";
        let mut command = self.command("unshare");
        command.args(["-m", "sh", "-e", "-c", script, "sh"]).arg(file).arg(program(scene));
        Self::sidecar_by(command, scene, flags)
    }

    /// `authsome` as `docker exec` starts it beside the sidecar: as root with its container's rights, or,
    /// without `rights`, as the sidecar's user.
    pub(super) fn beside(&self, scene: &Scene, rights: bool, args: &[&str]) -> Command {
        let mut command = self.command("setpriv");
        if rights {
            let kept = "-all,+net_admin,+setuid,+setgid";
            command.arg(format!("--bounding-set={kept}")).arg("--inh-caps=-all");
        } else {
            command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]);
            if is_root() {
                command.arg(format!("--reuid={SIDECAR}")).arg(format!("--regid={SIDECAR}"));
                command.arg("--clear-groups");
            }
        }
        command
            .arg(program(scene))
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("AUTHSOME_HOME", scene.directory.path().join("vault"))
            .env("AUTHSOME_TRUST_DIR", trust(scene));
        command
    }

    fn sidecar_by(mut command: Command, scene: &Scene, flags: &[&str]) -> Command {
        command
            .args(["sidecar", "--user", if is_root() { SIDECAR } else { "0" }])
            .arg("--trust-dir")
            .arg(trust(scene))
            .arg("--upstream-ca")
            .arg(scene.ca_file())
            .args(flags)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("AUTHSOME_HOME", scene.directory.path().join("vault"));
        command
    }

    /// Makes the upstream reachable inside.
    fn relay(&self, scene: &Scene) -> Child {
        let path = scene.directory.path().join("upstream.sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let upstream = scene.upstream.address;
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(upstream) else { return };
                let (Ok(near2), Ok(far2)) = (near.try_clone(), far.try_clone()) else { return };
                std::thread::spawn(move || {
                    let _ = io::copy(&mut &near, &mut &far);
                    let _ = far.shutdown(std::net::Shutdown::Write);
                });
                std::thread::spawn(move || {
                    let _ = io::copy(&mut &far2, &mut &near2);
                    let _ = near2.shutdown(std::net::Shutdown::Write);
                });
            }
        });
        let relay = self
            .command(PYTHON)
            .args(["-c", include_str!("relay.py"), UPSTREAM_V4, UPSTREAM_V6])
            .arg(&path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the upstream's address", || {
            [UPSTREAM_V4, UPSTREAM_V6].iter().all(|address| self.listens(address))
        });
        relay
    }

    fn listens(&self, address: &str) -> bool {
        let dial = format!("import socket; socket.create_connection(('{address}', 443), 2)");
        let output = self.command(PYTHON).args(["-c", &dial]).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in self.helpers.iter_mut().chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program(scene: &Scene) -> std::ffi::OsString {
    scene.authsome::<[&str; 0]>([]).command.get_program().to_owned()
}

/// The directory that sidecar and agent share.
pub(super) fn trust(scene: &Scene) -> PathBuf {
    scene.directory.path().join("trust")
}

pub(super) fn lines(output: &str) -> Vec<String> {
    output.lines().map(str::to_owned).collect()
}

/// The processes that this one has started.
pub(super) fn children(pid: u32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
