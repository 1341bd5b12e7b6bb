//! A network with a sidecar and agents in it.

use crate::support::{
    Program,
    docker::{AGENT, AUTHSOME, Engine, OUTSIDE, OUTSIDE6},
    within, write,
};
use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

/// Hosts that the agents' containers know, at both addresses of the outside.
const NAMES: [&str; 2] = ["api.openai.com", "example.org"];

/// What the sidecar's container keeps of an engine's capabilities: to make rules, to become somebody
/// without rights, and to give that user the volumes.
pub(super) const CAPABILITIES: [&str; 4] = ["NET_ADMIN", "SETUID", "SETGID", "CHOWN"];

/// Containers that share one network.
pub(super) struct Pod {
    pub(super) engine: Engine,
}

impl Pod {
    /// An engine in which nothing runs yet; none where there can be none.
    pub(super) fn without_network() -> Option<Self> {
        Some(Self { engine: Engine::start()? })
    }

    /// Only the network; none where there is no engine.
    pub(super) fn new() -> Option<Self> {
        let pod = Self::without_network()?;
        let hosts: Vec<_> = NAMES
            .iter()
            .flat_map(|name| {
                [OUTSIDE, OUTSIDE6].map(|address| format!("--add-host={name}:{address}"))
            })
            .collect();
        let mounts = Engine::host_programs();
        let mut args = vec!["run", "--detach", "--name=network", "--cap-drop=ALL"];
        args.extend(hosts.iter().chain(&mounts).map(String::as_str));
        args.extend([AGENT, "sleep", "infinity"]);
        pod.engine.docker(args).success();
        within(Duration::from_secs(20), "the network's IPv6 address is ready", || {
            // The fifth field has the flags of the address: 0x40 while others are asked about it.
            let addresses =
                pod.engine.docker(["exec", "network", "cat", "/proc/net/if_inet6"]).success();
            addresses.lines().filter(|line| line.ends_with("eth0")).count() > 1
                && !addresses.lines().any(|line| line.split_whitespace().nth(4) == Some("40"))
        });
        std::fs::create_dir(pod.trust()).unwrap();
        std::fs::set_permissions(pod.trust(), PermissionsExt::from_mode(0o1777)).unwrap();
        Some(pod)
    }

    /// The directory that the sidecar shares with the agents.
    pub(super) fn trust(&self) -> PathBuf {
        self.engine.path("trust")
    }

    /// Starts the sidecar with more of the engine's flags and of its own, and waits until it is healthy.
    /// Without a volume for it, what it stores is in memory.
    pub(super) fn sidecar(&self, flags: &[&str], args: &[&str]) {
        let trust = format!("--volume={}:/run/authsome", self.trust().display());
        let ca = format!("--volume={}:/ca.pem:ro", self.engine.path("ca.pem").display());
        let resolve = format!("*:443:{OUTSIDE}:443");
        let mut all = vec!["run", "--detach", "--name=authsome", "--network=container:network"];
        let capabilities = CAPABILITIES.map(|capability| format!("--cap-add={capability}"));
        all.push("--cap-drop=ALL");
        all.extend(capabilities.iter().map(String::as_str));
        all.extend(["--read-only", "--security-opt=no-new-privileges", &trust, &ca]);
        if !flags.iter().any(|flag| flag.ends_with(":/var/lib/authsome")) {
            all.push("--tmpfs=/var/lib/authsome");
        }
        all.extend(flags);
        all.extend([AUTHSOME, "sidecar", "--trust-dir=/run/authsome"]);
        all.extend(["--resolve", &resolve, "--upstream-ca=/ca.pem"]);
        all.extend(args);
        self.engine.docker(all).success();
        self.wait_until_healthy();
    }

    pub(super) fn wait_until_healthy(&self) {
        within(Duration::from_secs(60), "the sidecar is healthy", || {
            let state =
                self.engine.inspect("authsome", "{{.State.Status}} {{.State.Health.Status}}");
            assert!(!state.starts_with("exited"), "{}", self.engine.logs("authsome"));
            state == "running healthy"
        });
    }

    /// `COMMAND…` in an agent's container that has no capability, as a user who is not root.
    pub(super) fn agent(&self, command: &[&str]) -> Program {
        self.agent_with(&["--user=1000:1000", "--cap-drop=ALL"], command)
    }

    /// The same with other rights.
    pub(super) fn agent_with(&self, flags: &[&str], command: &[&str]) -> Program {
        let trust = format!("--volume={}:/run/authsome:ro", self.trust().display());
        let environment = self.trust().join("env");
        let environment = format!("--env-file={}", environment.display());
        let mounts = Engine::host_programs();
        let mut args = vec!["run", "--rm", "--network=container:network", "--workdir=/tmp", &trust];
        if self.trust().join("env").exists() {
            args.push(&environment);
        }
        args.extend(mounts.iter().map(String::as_str));
        args.extend(flags);
        args.push(AGENT);
        args.extend(command);
        self.engine.docker(args)
    }

    /// `authsome ARGS…` in the sidecar's container.
    pub(super) fn authsome(&self, args: &[&str]) -> Program {
        let exec = ["exec", "authsome", "authsome"];
        self.engine.docker(exec.iter().chain(args).copied())
    }

    /// A file of the test's, for a container to mount; readable by everybody.
    pub(super) fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.engine.path(name);
        write(&path, contents.as_bytes());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        path
    }
}
