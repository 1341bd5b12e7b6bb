//! What happens when things die: nothing stays behind, nothing acknowledged is lost, the run goes on.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{KEY, Scene, eventually, text};

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Processes that mention this scene's directory in their environment or command line.
fn processes_of(scene: &Scene) -> Vec<i32> {
    let wanted = scene.directory.path().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let all = [read("environ"), read("cmdline")].concat();
        if String::from_utf8_lossy(&all).contains(&wanted)
            && pid != std::process::id().cast_signed()
        {
            found.push(pid);
        }
    }
    found
}

#[test]
fn a_killed_run_takes_its_agent_with_it() {
    let scene = Scene::connected();
    let mut program = scene.run(["sleep", "1000"]);
    program.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = program.command.spawn().unwrap();
    let pid = child.id().cast_signed();
    eventually("the agent", || {
        processes_of(&scene).iter().any(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(b"sleep"))
        })
    });
    signal(pid, Signal::SIGKILL);
    child.wait().unwrap();
    let daemon = scene.daemon_pid().unwrap();
    eventually("everything of the run to be gone", || {
        processes_of(&scene).iter().all(|pid| *pid == daemon)
    });
    let status = scene.authsome(["daemon", "status", "--json"]).success();
    assert!(!status.contains("sleep"), "{status}");
}

#[test]
fn a_run_survives_its_daemon() {
    let scene = Scene::connected();
    let script = "curl -sS https://api.openai.com/one && read go && \
                  curl -sS --retry 5 --retry-connrefused --retry-all-errors https://api.openai.com/two";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    eventually("the first request", || !scene.upstream.seen().is_empty());
    let before = scene.daemon_pid().unwrap();
    signal(before, Signal::SIGKILL);
    eventually("another daemon", || scene.daemon_pid().is_some_and(|pid| pid != before));
    {
        use std::io::Write;
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = scene.upstream.seen();
    assert!(seen.last().unwrap().uri.ends_with("/two"));
    assert_eq!(
        seen.last().unwrap().header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}

#[test]
fn a_stopped_daemon_stays_stopped_and_the_run_waits_for_another() {
    let scene = Scene::connected();
    let script = "curl -sS https://api.openai.com/one && read go && curl -sS -m 20 https://api.openai.com/two";
    let mut program = scene.run(["bash", "-c", script]);
    program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    eventually("the first request", || !scene.upstream.seen().is_empty());
    scene.authsome(["daemon", "stop"]).success();
    eventually("the daemon to be gone", || !scene.home().join("daemon.sock").exists());
    // Commands that need it start the next one, and the run finds it.
    scene.authsome(["list"]).success();
    drop(child.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, b"\n")));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(scene.upstream.seen().last().unwrap().uri.ends_with("/two"));
}

#[test]
fn acknowledged_writes_survive_any_kill() {
    let scene = Scene::new();
    let mut stored = Vec::new();
    for round in 0..12_u64 {
        let name = format!("c{round}");
        let key = format!("sk-round-{round:02}-0123456789abcdefghij");
        let login = ["login", "openai", "--connection", &name, "--secret-stdin"];
        let output = scene.authsome(login).stdin_text(&key).run();
        // A daemon that has just been killed is nobody's excuse for a failed command.
        assert!(output.status.success(), "round {round}: {}", text(&output.stderr));
        stored.push((name, key));
        if let Some(pid) = scene.daemon_pid() {
            // At a moment that differs each time.
            std::thread::sleep(Duration::from_millis(round % 5));
            signal(pid, Signal::SIGKILL);
        }
    }
    for (name, key) in stored {
        let shown = scene
            .authsome([
                "get",
                "openai",
                "--connection",
                &name,
                "--field",
                "api_key",
                "--show-secret",
            ])
            .success();
        assert_eq!(shown.trim(), key);
    }
    scene.authsome(["log", "verify"]).success();
}

#[test]
fn random_kills_leave_nothing_behind() {
    let scene = Scene::connected();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let rounds: u64 = 100;
    for round in 0..rounds {
        let mut program =
            scene.run(["sh", "-c", "sleep 0.3; curl -s https://api.openai.com/; sleep 30"]);
        program.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = program.command.spawn().unwrap();
        // Spread over start-up, running and request.
        std::thread::sleep(Duration::from_millis(round * 37 % 120));
        let run = child.id().cast_signed();
        let victim = match round % 3 {
            0 => Some(run),
            1 => scene.daemon_pid(),
            _ => processes_of(&scene).into_iter().find(|pid| *pid > run),
        };
        if let Some(victim) = victim {
            let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
        }
        let _ = kill(Pid::from_raw(run), Signal::SIGKILL);
        child.wait().unwrap();
    }
    // The next command works, without help, and the credential is still there.
    scene.run(["curl", "-sS", "https://api.openai.com/last"]).success();
    let daemon = scene.daemon_pid().unwrap();
    eventually("no process but the daemon", || {
        processes_of(&scene).iter().all(|pid| *pid == daemon)
    });
    assert_eq!(std::fs::read_to_string("/proc/mounts").unwrap(), mounts);
    assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
    scene.authsome(["log", "verify"]).success();
    scene.authsome(["doctor"]).success();
}

#[test]
fn many_commands_at_once_start_one_daemon() {
    let scene = Scene::new();
    let children: Vec<_> = (0..12)
        .map(|_| {
            let mut program = scene.authsome(["list", "--json"]);
            program.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            program.command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let daemon = scene.daemon_pid().unwrap();
    let others = processes_of(&scene);
    assert!(others.iter().all(|pid| *pid == daemon), "{others:?}");
}

#[test]
fn a_vault_that_another_process_holds_is_said_to_be() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid().unwrap();
    let second = scene.authsome(["daemon", "serve"]).run();
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert!(text(&second.stdout).contains("already_running"));
    assert_eq!(scene.daemon_pid(), Some(daemon));
}

#[test]
fn a_client_of_another_version_is_refused_with_the_mend() {
    use std::io::{BufRead, BufReader, Write};
    let scene = Scene::connected();
    let socket = scene.home().join("daemon.sock");
    let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    stream
        .write_all(
            b"{\"version\":\"0.0.1\",\"request\":{\"op\":\"connections\",\"provider\":null}}\n",
        )
        .unwrap();
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).unwrap();
    assert!(reply.contains("version 0.0.1") && reply.contains("authsome daemon stop"), "{reply}");
}

#[test]
fn draining_lets_a_request_finish() {
    let scene = Scene::connected();
    let mut program = scene.run(["curl", "-sSN", "https://api.openai.com/events"]);
    program.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.command.spawn().unwrap();
    eventually("the request", || !scene.upstream.seen().is_empty());
    let began = Instant::now();
    scene.authsome(["daemon", "stop"]).success();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("data: ").count(), 5);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn files_are_private_from_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::connected();
    scene.run(["curl", "-sS", "https://api.openai.com/"]).success();
    let mut waiting = vec![scene.home()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        seen += 1;
        if metadata.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        }
    }
    assert!(seen > 5);
}
