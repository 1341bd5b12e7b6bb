//! `authsome sidecar` beside an agent in one network namespace, as root and as root of a user namespace.

mod doctor;
mod net;

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use self::net::{Net, UPSTREAM_V4, UPSTREAM_V6, children, trust};
use crate::support::{KEY, Scene, eventually, text, write};

const OPENAI: &str = "https://api.openai.com/v1/models";

/// A sidecar that is ready.
struct Sidecar<'n> {
    guard: Child,
    net: &'n Net,
    trust: std::path::PathBuf,
}

impl<'n> Sidecar<'n> {
    /// With `KEY` for OpenAI, from a variable, and the upstream in the place of every host.
    fn start(net: &'n Net, scene: &Scene, flags: &[&str]) -> Self {
        Self::start_at(UPSTREAM_V4, net, scene, flags)
    }

    /// The same, with the upstream at this address.
    fn start_at(upstream: &str, net: &'n Net, scene: &Scene, flags: &[&str]) -> Self {
        let resolve = format!("*:443:{upstream}");
        let usual = ["--from-env", "--resolve", &resolve];
        let mut command = net.sidecar(scene, &[&usual, flags].concat());
        command.env("OPENAI_API_KEY", KEY);
        Self::of(command, net, scene)
    }

    fn of(mut command: Command, net: &'n Net, scene: &Scene) -> Self {
        let log = std::fs::File::create(scene.directory.path().join("log")).unwrap();
        let guard = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let mut sidecar = Self { guard, net, trust: trust(scene) };
        crate::support::within(std::time::Duration::from_secs(30), "the sidecar is ready", || {
            let ended = sidecar.guard.try_wait().unwrap();
            let said = std::fs::read_to_string(scene.directory.path().join("log"));
            assert!(ended.is_none(), "{ended:?}: {}", said.unwrap_or_default());
            sidecar.says_ready(scene)
        });
        sidecar
    }

    fn says_ready(&self, scene: &Scene) -> bool {
        let trust = self.trust.to_str().unwrap();
        scene.authsome(["sidecar", "--ready", "--trust-dir", trust]).run().status.success()
    }

    /// `curl` as the agent has it, with what the sidecar shares as its whole environment.
    fn curl(&self, address: &str, args: &[&str]) -> Command {
        let mut command = self.net.agent("curl");
        let name = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        command.args(["-sS", "--max-time", "10", "--resolve"]);
        command.arg(format!("api.openai.com:443:{name}")).args(args).arg(OPENAI);
        for line in std::fs::read_to_string(self.trust.join("env")).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            command.env(name, value);
        }
        command
    }

    fn requests(&self, address: &str) {
        let output = self.curl(address, &[]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn worker(&self) -> i32 {
        let [worker] = children(self.guard.id())[..] else { panic!("one worker") };
        worker
    }

    /// Sends a signal to the guard and waits for its end.
    fn end(mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.guard.id().cast_signed()), signal).unwrap();
        self.guard.wait().unwrap()
    }

    /// The port that connections are redirected to, which only the guard's rules say.
    fn port(&self) -> String {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp6", self.guard.id())).unwrap();
        let listening = |line: &str| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let any = address.bytes().all(|digit| digit == b'0');
            let listens = fields.nth(1)? == "0A";
            (any && listens).then(|| u16::from_str_radix(port, 16).unwrap().to_string())
        };
        let ports: Vec<_> = table.lines().filter_map(listening).collect();
        let [port] = ports.as_slice() else { panic!("one listener: {table}") };
        port.clone()
    }
}

impl Drop for Sidecar<'_> {
    fn drop(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

fn keys(scene: &Scene) -> Vec<String> {
    let seen = scene.upstream.seen();
    seen.iter().filter_map(|seen| Some(seen.header("authorization")?.to_owned())).collect()
}

#[test]
fn requests_carry_the_credential_over_ipv4_and_ipv6() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    sidecar.requests("203.0.113.5");
    sidecar.requests("2001:db8:7::1");
    assert_eq!(keys(&scene), [format!("Bearer {KEY}"), format!("Bearer {KEY}")]);
}

#[test]
fn its_own_connections_are_not_redirected() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start_at(&format!("[{UPSTREAM_V6}]"), &net, &scene, &[]);
    // From the same address that the sidecar then dials.
    sidecar.requests(UPSTREAM_V6);
    assert_eq!(keys(&scene).len(), 1);
}

#[test]
fn an_agent_without_capabilities_does_not_get_round_it() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &[]);
    let tried = net.attempts(&["mark", "rules", "raw4", "raw6", "packet", "udp4", "udp6"]);
    let refused = ["mark", "rules", "raw4", "raw6", "packet", "udp4", "udp6"];
    assert_eq!(tried, refused.map(|name| format!("{name} EPERM")));
    // What is answered is answered by the interceptor.
    assert_eq!(
        net.attempts(&["tcp4", "tcp6", "mapped"]),
        ["tcp4 done", "tcp6 done", "mapped done"]
    );
}

#[test]
fn what_a_raw_socket_sends_to_the_port_does_not_leave() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &[]);
    let one_family = ["web left", "ack stayed", "rst stayed", "udp stayed"];
    assert_eq!(net.sent_by_raw_sockets(), [one_family, one_family].concat());
}

#[test]
fn without_the_worker_the_port_is_closed_and_a_restart_opens_it() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let mut sidecar = Sidecar::start(&net, &scene, &[]);
    let authority = std::fs::read(sidecar.trust.join("authsome-ca.pem")).unwrap();
    kill(Pid::from_raw(sidecar.worker()), Signal::SIGKILL).unwrap();
    assert!(!sidecar.guard.wait().unwrap().success());
    assert!(!sidecar.says_ready(&scene));
    let closed = ["tcp4 ECONNREFUSED", "tcp6 ECONNREFUSED", "udp4 EPERM", "udp6 EPERM"];
    assert_eq!(net.attempts(&["tcp4", "tcp6", "udp4", "udp6"]), closed);

    let sidecar = Sidecar::start(&net, &scene, &[]);
    sidecar.requests("203.0.113.5");
    // An agent that has read its roots goes on trusting it.
    assert_eq!(std::fs::read(sidecar.trust.join("authsome-ca.pem")).unwrap(), authority);
}

#[test]
fn without_the_guard_the_worker_ends_and_the_port_is_closed() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    let worker = Pid::from_raw(sidecar.worker());
    sidecar.end(Signal::SIGKILL);
    eventually("the worker ends", || kill(worker, None).is_err());
    assert_eq!(net.attempts(&["tcp4", "tcp6"]), ["tcp4 ECONNREFUSED", "tcp6 ECONNREFUSED"]);
}

#[test]
fn a_clean_stop_takes_the_rules_away() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    assert!(sidecar.end(Signal::SIGTERM).success());
    // There is nothing to be deleted any more, and nobody out there to answer.
    assert_eq!(net.attempts_of_root(&["rules"]), ["rules ENOENT"]);
    assert_eq!(net.attempts(&["tcp4"]), ["tcp4 timed out"]);
}

#[test]
fn rules_that_are_taken_away_are_put_back() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    assert_eq!(net.attempts_of_root(&["rules"]), ["rules done"]);
    eventually("the rules are back", || net.attempts(&["udp4"]) == ["udp4 EPERM"]);
    sidecar.requests("203.0.113.5");
}

#[test]
fn nobody_dials_the_listener_itself() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &["--allow", "*"]);
    let port = sidecar.port();
    assert_eq!(net.dialled_from_outside(&[&port]), ["own answered", "sidecar silence"]);
    let dial = format!(
        "import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); print(s.recv(1))"
    );
    assert_eq!(Net::script(net.agent("/usr/bin/python3"), &dial, &[]), "b''\n");
}

#[test]
fn with_names_captured_no_query_leaves() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &["--dns", "capture"]);
    let mut command = net.agent("curl");
    let bundle = sidecar.trust.join("ca-bundle.pem");
    let output = command.args(["-sS", "--max-time", "10", OPENAI, "--cacert"]).arg(bundle).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(keys(&scene), [format!("Bearer {KEY}")]);
}

#[test]
fn with_names_captured_its_own_questions_go_to_the_containers_server() {
    let scene = Scene::new();
    let mut net = Net::new(&scene);
    let flags = ["--dns", "capture", "--from-env", "--allow", "api.openai.com"];
    let mut command = net.sidecar_with_names(&scene, &flags);
    command.env("OPENAI_API_KEY", KEY);
    let sidecar = Sidecar::of(command, &net, &scene);
    sidecar.requests("203.0.113.5");
    assert_eq!(keys(&scene), [format!("Bearer {KEY}")]);
}

#[test]
fn commands_beside_it_act_as_its_user() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let _sidecar = Sidecar::start(&net, &scene, &[]);
    // As `docker exec` has it: whoever runs the tests, and that may be root.
    let beside = |args: &[&str]| {
        let program = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
        let home = scene.directory.path().join("vault");
        Command::new(program).args(args).env("AUTHSOME_HOME", home).output().unwrap()
    };
    let listed = beside(&["list", "--json"]);
    assert!(text(&listed.stdout).contains("\"openai\""), "{listed:?}");
    let shown = beside(&["log", "--json"]);
    assert!(text(&shown.stdout).contains("agent://local/sidecar"), "{shown:?}");
}

#[test]
fn the_machines_own_network_is_left_alone() {
    let scene = Scene::new();
    let output = scene.authsome(["sidecar", "--user", "0"]).run();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("the machine's own network"), "{output:?}");
}

#[test]
fn what_is_strict_lets_nothing_else_out() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &["--egress", "providers"]);
    sidecar.requests("203.0.113.5");
    sidecar.requests("2001:db8:7::1");
    assert_eq!(net.attempts(&["web"]), ["web EHOSTUNREACH"]);
}

#[test]
fn a_secret_in_a_mounted_file_is_used_from_there() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let secrets = scene.directory.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    write(&secrets.join("openai"), KEY.as_bytes());
    write(&secrets.join("unrelated"), b"x");
    let resolve = format!("*:443:{UPSTREAM_V4}");
    let flags = ["--resolve", &resolve, "--credentials", secrets.to_str().unwrap()];
    let sidecar = Sidecar::of(net.sidecar(&scene, &flags), &net, &scene);
    sidecar.requests("203.0.113.5");
    assert_eq!(keys(&scene), [format!("Bearer {KEY}")]);
    assert!(!holds(&scene.directory.path().join("vault"), KEY));
    assert!(!holds(&sidecar.trust, KEY));
}

#[test]
fn neither_process_keeps_a_right_that_it_does_not_need() {
    let scene = Scene::new();
    let net = Net::new(&scene);
    let sidecar = Sidecar::start(&net, &scene, &[]);
    let status = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let (guard, worker) = (status(sidecar.guard.id()), status(sidecar.worker().cast_unsigned()));
    assert!(guard.contains("CapEff:\t0000000000001000\n"), "{guard}");
    assert!(worker.contains("CapEff:\t0000000000000000\n"), "{worker}");
    assert!(worker.contains("CapPrm:\t0000000000000000\n"), "{worker}");
    for status in [&guard, &worker] {
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        assert!(!status.contains("Uid:\t0\t"), "{status}");
    }
}

/// Does a file below `directory` hold this?
fn holds(directory: &Path, secret: &str) -> bool {
    std::fs::read_dir(directory).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, secret);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        memchr::memmem::find(&bytes, secret.as_bytes()).is_some()
    })
}
