//! Which program a line of the log names: the one that connected, however it was started.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{As, KEY, Program, Scene, eventually, is_root, text};

/// Python that asks for a path over TLS, on a connection of its own that stays open.
const ASK: &str = "import os, socket, ssl, sys\n\
    context = ssl.create_default_context()\n\
    kept = []\n\
    def ask(path, raw=None):\n\
    \x20   raw = raw or socket.create_connection(('api.openai.com', 443))\n\
    \x20   tls = context.wrap_socket(raw, server_hostname='api.openai.com')\n\
    \x20   tls.sendall(f'GET {path} HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\n'.encode())\n\
    \x20   assert tls.recv(4096).startswith(b'HTTP/1.1 200')\n\
    \x20   kept.append(tls)\n\
    def done():\n\
    \x20   print('done', flush=True)\n\
    \x20   sys.stdin.read()\n";

/// How the namespace is made, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By an ordinary user.
    User,
    /// By root, for an ordinary user.
    Sudo,
    /// By root, for root.
    Root,
}

impl Way {
    /// Those that can be tried by whoever runs the tests.
    fn all() -> &'static [Self] {
        if is_root() { &[Self::User, Self::Sudo, Self::Root] } else { &[Self::User] }
    }

    fn scene(self) -> Scene {
        let scene = Scene::acting(if self == Self::Root { As::Own } else { As::User });
        scene.login("openai", KEY);
        scene
    }

    fn run(self, scene: &Scene, flags: &[&str], command: &[&str]) -> Program {
        let mut program = scene.run_with(flags, command);
        if self != Self::Sudo {
            return program;
        }
        let owner = std::fs::metadata(scene.home()).unwrap();
        program.command.uid(0).gid(0);
        program.env("SUDO_UID", owner.uid().to_string()).env("SUDO_GID", owner.gid().to_string())
    }
}

/// What the log has on connections. A line that is being written is not yet one.
fn logged(scene: &Scene) -> Vec<Value> {
    let log = std::fs::read_to_string(scene.home().join("audit.log")).unwrap();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event.get("host").is_some())
        .collect()
}

/// The same, once it is `count` lines.
fn records(scene: &Scene, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("{count} records"), || {
        found = logged(scene);
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

fn executable(event: &Value) -> &str {
    event["executable"].as_str().unwrap_or_else(|| panic!("nobody is named in {event:#}"))
}

/// Where a program really is, as the kernel names it.
fn real(program: &str) -> String {
    std::fs::canonicalize(program).unwrap().to_string_lossy().into_owned()
}

/// A process's number in each namespace that has one for it (proc_pid_status(5)), innermost last.
fn numbers(event: &Value) -> Vec<u64> {
    let pid = event["process"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// The number that a process gave as the end of its path.
fn claimed(event: &Value) -> u64 {
    event["path"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

/// Starts a Python program that says when it has asked, and then lives until its input ends.
fn start(mut program: Program) -> Child {
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    program.command.spawn().unwrap()
}

fn await_done(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "done\n");
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn each_request_names_the_program_that_made_it() {
    for way in Way::all() {
        let scene = way.scene();
        let python = format!("{ASK}ask('/python')");
        let script = "curl -sS https://api.openai.com/curl >/dev/null; \
                      /usr/bin/python3 -c \"$0\"; \
                      echo body | curl -sS -T - -X POST https://api.openai.com/upload | cat >/dev/null";
        way.run(&scene, &[], &["sh", "-c", script, &python]).success();
        let (curl, python) = (real("/usr/bin/curl"), real("/usr/bin/python3"));
        let records = records(&scene, 3);
        let named: Vec<_> = records.iter().map(executable).collect();
        assert_eq!(named, [&curl, &python, &curl], "{way:?}");
        let mut pids: Vec<_> = records.iter().map(|event| event["process"].as_u64()).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 3, "{way:?}: {pids:?}");
    }
}

#[test]
fn programs_that_live_for_milliseconds_are_named() {
    for way in Way::all() {
        let scene = way.scene();
        let script = "for i in $(seq 40); do curl -sS https://api.openai.com/$i >/dev/null; done";
        way.run(&scene, &[], &["sh", "-c", script]).success();
        let curl = real("/usr/bin/curl");
        assert!(records(&scene, 40).iter().all(|event| executable(event) == curl), "{way:?}");
    }
}

#[test]
fn two_hundred_processes_at_once_are_told_apart() {
    for way in Way::all() {
        let scene = way.scene();
        let python = format!(
            "{ASK}\
            parent, ready = os.getpid(), os.pipe()\n\
            for number in range(200):\n\
            \x20   if os.fork() == 0:\n\
            \x20       ask(f'/{{os.getpid()}}')\n\
            \x20       os.write(ready[1], b'.')\n\
            \x20       sys.stdin.read()\n\
            \x20       os._exit(0)\n\
            for number in range(200): os.read(ready[0], 1)\n\
            done()\n\
            for number in range(200): assert os.wait()[1] == 0\n"
        );
        let mut child = start(way.run(&scene, &[], &["/usr/bin/python3", "-c", &python]));
        await_done(&mut child);
        // Those connections are open, so their requests' records are those that there are.
        for event in records(&scene, 200) {
            assert_eq!(numbers(&event).last(), Some(&claimed(&event)), "{way:?}: {event:#}");
        }
        end(child);
    }
}

#[test]
fn a_sandbox_in_the_namespace_hides_no_process() {
    // A root without capabilities may not map its own id into a user namespace.
    for way in Way::all().iter().filter(|way| **way != Way::Root) {
        let scene = way.scene();
        let python = format!("{ASK}ask(f'/{{os.getpid()}}')\ndone()\n");
        let sandbox = "exec bwrap --dev-bind / / --unshare-user --unshare-pid --proc /proc \
                       /usr/bin/python3 -c \"$0\"";
        let mut child = start(way.run(&scene, &[], &["sh", "-c", sandbox, &python]));
        await_done(&mut child);
        let event = records(&scene, 1).remove(0);
        assert_eq!(executable(&event), real("/usr/bin/python3"), "{way:?}");
        let numbers = numbers(&event);
        // Ours, the run's and the sandbox's.
        assert_eq!(numbers.len(), 3, "{way:?}: {numbers:?}");
        assert_eq!(numbers[0], event["process"].as_u64().unwrap());
        assert_eq!(numbers[2], claimed(&event));
        end(child);
    }
}

#[test]
fn who_connected_is_named_and_not_who_inherited_the_connection() {
    let scene = Way::User.scene();
    let python = format!(
        "{ASK}\
        raw = socket.create_connection(('api.openai.com', 443))\n\
        os.set_inheritable(raw.fileno(), True)\n\
        path = f'/{{os.getpid()}}'\n\
        if os.fork() == 0:\n\
        \x20   ask(path, raw)\n\
        \x20   os._exit(0)\n\
        os.wait()\n\
        done()\n"
    );
    let mut child = start(Way::User.run(&scene, &[], &["/usr/bin/python3", "-c", &python]));
    await_done(&mut child);
    let event = records(&scene, 1).remove(0);
    assert_eq!(numbers(&event).last(), Some(&claimed(&event)), "{event:#}");
    end(child);
}

#[test]
fn a_thread_with_descriptors_of_its_own_is_found() {
    for way in Way::all() {
        let scene = way.scene();
        let python = format!(
            "{ASK}\
            import ctypes, threading\n\
            def work():\n\
            \x20   assert ctypes.CDLL(None).unshare(0x400) == 0\n\
            \x20   ask(f'/{{os.getpid()}}')\n\
            thread = threading.Thread(target=work)\n\
            thread.start()\n\
            thread.join()\n\
            done()\n"
        );
        let mut child = start(way.run(&scene, &[], &["/usr/bin/python3", "-c", &python]));
        await_done(&mut child);
        let event = records(&scene, 1).remove(0);
        assert_eq!(executable(&event), real("/usr/bin/python3"), "{way:?}");
        assert_eq!(numbers(&event).last(), Some(&claimed(&event)), "{way:?}: {event:#}");
        end(child);
    }
}

#[test]
fn nobody_is_named_in_the_place_of_a_process_that_cannot_be_looked_into() {
    for way in Way::all() {
        let scene = way.scene();
        let python = format!(
            "{ASK}\
            import ctypes\n\
            assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0\n\
            ask(f'/{{os.getpid()}}')\n\
            done()\n"
        );
        let mut child = start(way.run(&scene, &[], &["/usr/bin/python3", "-c", &python]));
        await_done(&mut child);
        let event = records(&scene, 1).remove(0);
        if *way == Way::Root {
            // Whose daemon may look into everything.
            assert_eq!(numbers(&event).last(), Some(&claimed(&event)), "{event:#}");
        } else {
            assert!(
                event.get("process").or(event.get("executable")).is_none(),
                "{way:?}: {event:#}"
            );
        }
        end(child);
    }
}

#[test]
fn what_is_refused_or_passed_on_names_its_program_too() {
    let scene = Way::User.scene();
    let port = scene.upstream.address.port().to_string();
    let flags = ["--egress", "providers", "--host-port", &port];
    // TLS, another port behind the redirect, IPv6, bash's own socket, and a port of the host.
    let script = format!(
        "curl -sS https://elsewhere.example/; curl -sS http://elsewhere.example:8081/; \
         curl -sS -6 'https://[2606:4700::1111]/'; exec 3<>/dev/tcp/198.51.100.1/9000; cat <&3; \
         curl -ksS https://127.0.0.1:{port}/ >/dev/null; true"
    );
    Way::User.run(&scene, &flags, &["bash", "-c", &script]).success();
    let records = records(&scene, 5);
    let (curl, bash) = (real("/usr/bin/curl"), real("/bin/bash"));
    let named: Vec<_> = records.iter().map(executable).collect();
    assert_eq!(named, [&curl, &curl, &curl, &bash, &curl], "{records:#?}");
    assert!(records[..4].iter().all(|event| event["decision"] == "deny"), "{records:#?}");
    assert_eq!(records[4]["kind"], "splice");
}

#[test]
fn any_name_of_a_program_is_one_line_and_a_program_that_is_gone_says_so() {
    let scene = Way::User.scene();
    let directory = real(scene.user_home().to_str().unwrap());
    let name = "we\n\u{1b}[31m\"ird";
    let script = "cp /usr/bin/curl \"$0\" && \"./$0\" -sS https://api.openai.com/weird >/dev/null; \
                  cp /usr/bin/python3 gone && ./gone -c \"$1\"";
    let python = format!("{ASK}os.unlink('gone')\nask('/gone')\n");
    Way::User.run(&scene, &[], &["sh", "-c", script, name, &python]).success();
    let records = records(&scene, 2);
    assert_eq!(executable(&records[0]), format!("{directory}/{name}"));
    assert_eq!(executable(&records[1]), format!("{directory}/gone (deleted)"));
    let log = std::fs::read_to_string(scene.home().join("audit.log")).unwrap();
    assert!(!log.contains('\u{1b}'));
    scene.authsome(["log", "verify"]).success();
}

#[test]
fn the_next_daemon_names_processes_too() {
    let scene = Way::User.scene();
    let script = "curl -sS https://api.openai.com/one && read go && \
                  curl -sS --retry 5 --retry-all-errors https://api.openai.com/two";
    let mut program = Way::User.run(&scene, &[], &["bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    assert_eq!(executable(&records(&scene, 1)[0]), real("/usr/bin/curl"));
    let before = scene.daemon_pid().unwrap();
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    eventually("another daemon", || scene.daemon_pid().is_some_and(|pid| pid != before));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut last = None;
    eventually("the second record", || {
        last = logged(&scene).into_iter().rfind(|event| event["path"] == "/two");
        last.is_some()
    });
    assert_eq!(executable(&last.unwrap()), real("/usr/bin/curl"));
}

#[test]
fn a_runs_own_lines_and_names_that_are_asked_for_have_no_process() {
    let scene = Way::User.scene();
    Way::User.run(&scene, &[], &["getent", "hosts", "api.openai.com"]).success();
    eventually("the end of the run", || {
        scene.authsome(["log", "--json"]).success().contains("\"close\"")
    });
    let log = std::fs::read_to_string(scene.home().join("audit.log")).unwrap();
    assert!(!log.contains("\"process\""), "{log}");
}

#[test]
fn the_agent_has_no_descriptor_that_it_was_not_given() {
    for way in Way::all() {
        let scene = way.scene();
        let listed = way.run(&scene, &[], &["sh", "-c", "ls -l /proc/$$/fd"]).success();
        assert!(!listed.contains("socket:"), "{way:?}: {listed}");
    }
}
