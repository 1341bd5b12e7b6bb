//! `--publish`: the agent's own servers, reached from the host's loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use crate::support::{KEY, Program, Scene, eventually, find, is_root, text, within};

/// Echoes until the client has closed its side, then closes its own. Says where it listens, and ends when
/// its standard input does.
const ECHO: &str = "
import asyncio, sys
async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        pass
async def main():
    host, port = sys.argv[1], int(sys.argv[2])
    server = await asyncio.start_server(echo, host, port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    print('closed', flush=True)
    import os
    os._exit(0)
asyncio.run(main())
";

/// A run with an echo server in it.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What it has said on standard error so far.
    said: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
    port: u16,
}

impl Running {
    fn start(mut program: Program) -> Self {
        program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::<Mutex<String>>::default();
        let into = Arc::clone(&said);
        let listening = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                into.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| {
            let _ = child.wait();
            panic!("no server: {line:?} {}", said.lock().unwrap());
        });
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, said, listening: Some(listening), port }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Ends the server, and waits for the run's end; what it said.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.said());
        self.listening.take().unwrap().join().unwrap();
        self.said()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run with these flags and a server at `host`, port `port`; 0: one that is free on the host too, where
/// what is left of other tests' connections takes many for a minute.
fn serving(scene: &Scene, flags: &[&str], host: &str, port: u16) -> Running {
    let port = if port == 0 { free_port() } else { port }.to_string();
    Running::start(scene.run_with(flags, ["python3", "-c", ECHO, host, &port]))
}

/// A port that nothing on this machine listens on at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What comes back of `message` from a port of the host's, if anything does.
fn echoed(ip: impl Into<std::net::IpAddr>, port: u16, message: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect((ip.into(), port)).ok()?;
    stream.write_all(message).ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}

fn answers(port: u16) -> bool {
    echoed(Ipv4Addr::LOCALHOST, port, b"hello").as_deref() == Some(b"hello")
}

fn is_closed(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
        && TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_err()
}

/// Host ports of all open runs, as `daemon status` has them.
fn published(scene: &Scene) -> Vec<u64> {
    let status = scene.authsome(["daemon", "status", "--json"]).success();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let ports = find(&status, "published").and_then(|ports| ports.as_array().cloned());
    let host_port = |port: &serde_json::Value| port.get("host_port")?.as_u64();
    ports.unwrap_or_default().iter().filter_map(host_port).collect()
}

#[test]
fn the_callback_of_a_login_reaches_the_agents_server_while_it_listens() {
    let scene = Scene::new();
    let script = "import http.server, sys
class Callback(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('got ' + self.path).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Callback)
print(server.server_port, flush=True)
server.handle_request()
server.server_close()
sys.stdin.read()";
    let wanted = free_port().to_string();
    let command = ["python3", "-c", script, &wanted];
    let run = Running::start(scene.run_with(["--publish", "auto"], command));
    let port = run.port;
    eventually("the port", || published(&scene) == [u64::from(port)]);
    let url = format!("http://localhost:{port}/callback?code=abc");
    let answer = std::process::Command::new("curl").args(["-sS", &url]).output().unwrap();
    assert_eq!(text(&answer.stdout), "got /callback?code=abc", "{}", text(&answer.stderr));
    eventually("the end of the port", || is_closed(port));
    assert!(run.said().contains(&format!("authsome: localhost:{port} is the agent's\n")));
}

#[test]
fn a_server_on_either_loopback_or_on_all_addresses_is_reached_by_either() {
    let scene = Scene::new();
    for host in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
        let run = serving(&scene, &["--publish", "auto"], host, 0);
        eventually(host, || answers(run.port));
        let over_ipv6 = echoed(Ipv6Addr::LOCALHOST, run.port, b"six");
        assert_eq!(over_ipv6.as_deref(), Some(&b"six"[..]), "{host}");
        let port = run.port;
        run.end();
        eventually("the end of the port", || is_closed(port));
    }
}

#[test]
fn without_the_flag_nothing_of_the_agents_is_reached() {
    let scene = Scene::new();
    let run = serving(&scene, &[], "127.0.0.1", 0);
    let named = serving(&scene, &["--publish", "auto"], "127.0.0.1", 0);
    eventually("the other run's", || answers(named.port));
    assert!(is_closed(run.port));
    assert_eq!(published(&scene), [u64::from(named.port)]);
}

#[test]
fn a_named_port_is_there_under_the_name_it_was_given() {
    let scene = Scene::new();
    let (inside, outside) = (free_port(), free_port());
    let flag = format!("{inside}:{outside}");
    let run = serving(&scene, &["--publish", &flag], "127.0.0.1", inside);
    assert!(answers(outside));
    assert!(is_closed(inside));
    let said = run.end();
    assert!(said.contains(&format!("localhost:{outside} is the agent's port {inside}")), "{said}");
    // The next run may have it at once.
    let run = serving(&scene, &["--publish", &flag], "127.0.0.1", inside);
    assert!(answers(outside));
    run.end();
    eventually("the end of the port", || is_closed(outside));
}

#[test]
fn a_named_port_without_a_server_is_reset_not_answered_by_another() {
    let scene = Scene::new();
    let (port, nobody) = (free_port(), free_port());
    let flags = ["--publish", &port.to_string(), "--publish", &nobody.to_string()];
    let _run = serving(&scene, &flags, "127.0.0.1", port);
    assert!(answers(port));
    assert_eq!(echoed(Ipv4Addr::LOCALHOST, nobody, b"hello"), None);
}

#[test]
fn a_named_port_that_is_taken_ends_the_run_before_its_agent() {
    let scene = Scene::new();
    let taken = TcpListener::bind("[::1]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = scene.run_with(["--publish", &port], ["echo", "started"]).run();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains(&format!("port {port} of this machine's loopback")), "{said}");
    assert!(said.contains(&format!("hint: choose another: --publish {port}:")), "{said}");
}

#[test]
fn a_port_that_is_caught_inside_cannot_be_published() {
    let scene = Scene::new();
    for flags in [["--allow", "db.example:5432"], ["--host-port", "5432"]] {
        let output = scene.run_with(flags.into_iter().chain(["--publish", "5432"]), ["true"]).run();
        assert_eq!(output.status.code(), Some(125));
        let said = text(&output.stderr);
        assert!(
            said.contains("port 5432 cannot be published") && said.contains(flags[0]),
            "{said}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_and_published_once_it_is_free() {
    let scene = Scene::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = serving(&scene, &["--publish", "auto"], "127.0.0.1", port);
    eventually("the reason", || {
        run.said().contains(&format!("localhost:{port} is not the agent's: Address already in use"))
    });
    drop(taken);
    eventually("the agent's server", || answers(port));
    let said = run.end();
    assert_eq!(said.matches("is not the agent's").count(), 1, "{said}");
}

#[test]
fn what_listens_for_authsome_is_not_published() {
    let scene = Scene::new();
    let host_port = scene.upstream.address.port();
    let flags = ["--publish", "auto", "--host-port", &host_port.to_string(), "--allow", "*:5433"];
    let run = serving(&scene, &flags, "127.0.0.1", 0);
    eventually("the agent's server", || answers(run.port));
    assert_eq!(published(&scene), [u64::from(run.port)]);
    let port = run.port;
    let said = run.end();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("localhost:")).collect();
    assert_eq!(lines, [format!("authsome: localhost:{port} is the agent's")]);
}

#[test]
fn an_agent_cannot_take_every_port() {
    let scene = Scene::new();
    let script = "import socket, sys
all = [socket.create_server(('127.0.0.1', 0)) for _ in range(80)]
print(1, flush=True)
sys.stdin.read()";
    let run = Running::start(scene.run_with(["--publish", "auto"], ["python3", "-c", script]));
    eventually("some of them", || published(&scene).len() == 32);
    eventually("the reason", || run.said().contains("32 ports of this run are published already"));
    assert_eq!(published(&scene).len(), 32);
}

#[test]
fn two_hundred_connections_at_once_are_served() {
    let scene = Scene::new();
    let run = serving(&scene, &["--publish", "auto"], "127.0.0.1", 0);
    let port = run.port;
    eventually("the port", || answers(port));
    // All are open before the first is answered to its end.
    let open: Vec<_> = (0..200)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap())
        .enumerate()
        .map(|(number, mut stream)| {
            stream.write_all(format!("connection {number}").as_bytes()).unwrap();
            stream
        })
        .collect();
    for (number, mut stream) in open.into_iter().enumerate() {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("connection {number}"));
    }
}

#[test]
fn a_hundred_megabytes_pass_both_ways_and_end_where_they_end() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 100;
    let scene = Scene::new();
    let run = serving(&scene, &["--publish", "auto"], "127.0.0.1", 0);
    eventually("the port", || answers(run.port));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, run.port)).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let piece: Vec<u8> = (0..PIECE).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let sent = piece.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..PIECES {
            sender.write_all(&sent).unwrap();
        }
        // The other direction stays open.
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = vec![0; PIECE];
    for _ in 0..PIECES {
        stream.read_exact(&mut received).unwrap();
        assert!(received == piece);
    }
    assert_eq!(stream.read(&mut received).unwrap(), 0);
    sending.join().unwrap();
}

#[test]
fn the_next_daemon_publishes_what_the_one_before_did() {
    let scene = Scene::new();
    let named = free_port();
    let flags = ["--publish", "auto", "--publish", &named.to_string()];
    let run = serving(&scene, &flags, "127.0.0.1", named);
    assert!(answers(named));
    let found = serving(&scene, &["--publish", "auto"], "127.0.0.1", 0);
    eventually("the other", || answers(found.port));
    let pid = scene.daemon_pid().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    within(std::time::Duration::from_secs(20), "both again", || {
        answers(named) && answers(found.port)
    });
    assert_ne!(scene.daemon_pid(), Some(pid));
    run.end();
    found.end();
}

#[test]
fn coming_and_going_are_on_record() {
    let scene = Scene::new();
    let script = "import socket, sys
s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print(s.getsockname()[1], flush=True)
sys.stdin.readline()
s.close()
sys.stdin.read()";
    let wanted = free_port().to_string();
    let command = ["python3", "-c", script, &wanted];
    let mut run = Running::start(scene.run_with(["--publish", "auto"], command));
    let port = run.port;
    eventually("the port", || published(&scene) == [u64::from(port)]);
    run.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    eventually("the end of the port", || published(&scene).is_empty());
    let log = scene.authsome(["log", "--json", "--kind", "run"]).success();
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    let entries = find(&log, "entries").and_then(|entries| entries.as_array()).unwrap();
    let operations: Vec<_> = entries
        .iter()
        .filter(|entry| {
            find(entry, "port").and_then(serde_json::Value::as_u64) == Some(port.into())
        })
        .filter_map(|entry| find(entry, "operation")?.as_str())
        .collect();
    assert!(operations.contains(&"publish") && operations.contains(&"unpublish"), "{log:#}");
}

#[test]
fn nobody_inside_can_reach_what_gives_sockets_out() {
    let scene = Scene::new();
    // Descriptors of the agent's own, and those of init, which it may not look into.
    let script = "import os, sys
own = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and os.path.exists(f'/proc/self/fd/{fd}')]
print([name for name in own if name.startswith('socket:')])
try:
    print(os.listdir('/proc/1/fd'))
except PermissionError as error:
    print('no', error.errno)
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
pidfd = libc.syscall(434, 1, 0)
for fd in range(3, 16):
    got = libc.syscall(438, pidfd, fd, 0)
    assert got == -1 and ctypes.get_errno() == 1, (fd, got, ctypes.get_errno())
print('none')";
    let output = scene.run_with(["--publish", "auto"], ["python3", "-c", script]).success();
    assert_eq!(output, "[]\nno 13\nnone\n");
}

#[test]
fn through_sudo_the_users_daemon_publishes() {
    if !is_root() {
        // Somebody who is not root has no sudo here; the gate runs this as root.
        return;
    }
    let scene = Scene::connected();
    let owner = std::fs::metadata(scene.home()).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&owner);
    let gid = std::os::unix::fs::MetadataExt::gid(&owner);
    let wanted = free_port().to_string();
    let command = ["python3", "-c", ECHO, "127.0.0.1", &wanted];
    let mut program = scene.run_with(["--publish", "auto"], command);
    program.command.uid(0).gid(0);
    let program = program.env("SUDO_UID", uid.to_string()).env("SUDO_GID", gid.to_string());
    let run = Running::start(program);
    eventually("the port", || answers(run.port));
    run.end();
}

#[test]
fn a_credential_is_never_added_to_what_comes_from_the_host() {
    let scene = Scene::connected();
    let run = serving(&scene, &["--publish", "auto"], "127.0.0.1", 0);
    eventually("the port", || answers(run.port));
    let request = b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\n\r\n";
    let seen = echoed(Ipv4Addr::LOCALHOST, run.port, request).unwrap();
    assert_eq!(seen, request);
    assert!(!text(&seen).contains(KEY));
}
