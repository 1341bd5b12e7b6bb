//! What is promised.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Stdio},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::harness::{Case, Mode, Scene};

pub(crate) const ALL: &[Case] = &[
    ("the_exit_code_is_the_commands", exit_code),
    ("a_signals_death_is_128_plus_its_number", death_by_signal),
    ("a_missing_command_is_127", missing_command),
    ("a_file_that_is_no_program_is_126", no_program),
    ("a_working_directory_that_is_hidden_is_an_error", hidden_directory),
    ("stdin_is_the_callers", stdin),
    ("every_address_lands_on_our_listeners", every_address),
    ("other_ports_are_refused", other_ports),
    ("catch_all_redirects_other_ports_but_not_loopback", catch_all),
    ("a_host_port_is_on_loopback_only", host_port),
    ("a_host_port_that_is_caught_too_stays_caught", shared_port),
    ("many_ports_are_caught", many_ports),
    ("names_are_answered_from_the_address_that_was_asked", names),
    ("without_an_interceptor_nothing_starts", unproved),
    ("there_is_no_interface_but_lo", only_loopback),
    ("no_privilege_is_left", no_privilege),
    ("the_command_is_its_user", user),
    ("the_command_cannot_see_its_parent", parent_unseen),
    ("init_cannot_be_read_or_killed", init_is_safe),
    ("what_is_hidden_stays_hidden_even_nested", hidden),
    ("the_trust_directory_is_read_only", read_only),
    ("another_directory_in_the_trust_directorys_place_is_an_error", replaced),
    ("a_copy_can_be_written_to_and_is_forgotten", copied),
    ("overlays_are_in_place", overlays),
    ("a_merged_directory_shows_both", merged),
    ("what_is_kept_stays_under_all_its_names", kept),
    ("descriptors_above_2_are_closed", descriptors),
    ("whoever_has_the_sockets_knows_the_namespace_by_its_number", known),
    ("signal_mask_and_dispositions_are_native", mask),
    ("a_signal_to_the_caller_reaches_the_command", forwarded),
    ("a_signal_to_the_group_reaches_the_command_once", group_signal),
    ("a_stopped_command_stops_the_caller_and_goes_on_with_it", stopped),
    ("killing_the_caller_ends_everything", caller_killed),
    ("what_the_command_left_behind_ends_with_it", left_behind),
    ("bubblewrap_works_inside", bubblewrap),
    ("the_machine_passes_its_own_check", checks),
];

fn exit_code(scene: &Scene) {
    assert_eq!(scene.run(&[], &["sh", "-c", "exit 7"]).status.code(), Some(7));
}

fn death_by_signal(scene: &Scene) {
    assert_eq!(scene.run(&[], &["sh", "-c", "kill -TERM $$"]).status.code(), Some(143));
}

fn missing_command(scene: &Scene) {
    let output = scene.run(&[], &["no-such-command"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-command: command not found"));
}

fn no_program(scene: &Scene) {
    let output = scene.run(&[], &[&scene.path("roots.pem")]);
    assert_eq!(output.status.code(), Some(126));
}

fn hidden_directory(scene: &Scene) {
    fs::create_dir(scene.directory.join("trust/inside")).unwrap();
    let output = scene.run(&["--cwd", &scene.path("trust/inside")], &["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("working directory"));
}

fn stdin(scene: &Scene) {
    let mut command = scene.command(&[], &["wc", "-c"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[b'x'; 200_000]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "200000");
}

/// Connects to each address and prints what the listener says of it.
fn dial(addresses: &[&str]) -> String {
    let dial = |address: &&str| format!("cat < /dev/tcp/{address}\n");
    addresses.iter().map(dial).collect()
}

fn every_address(scene: &Scene) {
    let script = dial(&[
        "140.82.112.5/443",
        "10.0.0.1/443",
        "127.0.0.53/443",
        "2606:4700::1111/443",
        "::1/443",
        "1.2.3.4/80",
    ]);
    let expected = "Tcp { port: 443 } 140.82.112.5:443\nTcp { port: 443 } 10.0.0.1:443\n\
        Tcp { port: 443 } 127.0.0.53:443\nTcp { port: 443 } [2606:4700::1111]:443\n\
        Tcp { port: 443 } [::1]:443\nTcp { port: 80 } 1.2.3.4:80\n";
    assert_eq!(scene.script(&[], &script), expected);
}

fn other_ports(scene: &Scene) {
    let script = "for a in 1.2.3.4/22 2606:4700::1111/22 127.0.0.1/22; do
        (exec 3<>/dev/tcp/$a) 2>&1 | grep -m1 -c refused; done; exit 0";
    assert_eq!(scene.script(&[], script), "1\n1\n1\n");
}

fn catch_all(scene: &Scene) {
    let script = dial(&["9.9.9.9/22", "2606:4700::1/8080", "1.2.3.4/443"])
        + "(exec 3<>/dev/tcp/127.0.0.1/22) 2>&1 | grep -m1 -c refused
           (exec 3<>/dev/tcp/::1/22) 2>&1 | grep -m1 -c refused";
    let expected = "Redirected 9.9.9.9:22\nRedirected [2606:4700::1]:8080\n\
        Tcp { port: 443 } 1.2.3.4:443\n1\n1\n";
    assert_eq!(scene.script(&["--catch-all"], &script), expected);
}

fn host_port(scene: &Scene) {
    let script = dial(&["127.0.0.1/5432", "::1/5432"])
        + "(exec 3<>/dev/tcp/1.2.3.4/5432) 2>&1 | grep -m1 -c refused";
    let expected =
        "HostPort { port: 5432 } 127.0.0.1:5432\nHostPort { port: 5432 } [::1]:5432\n1\n";
    assert_eq!(scene.script(&["--host-port", "5432"], &script), expected);
}

fn shared_port(scene: &Scene) {
    let script = dial(&["127.0.0.1/5432", "1.2.3.4/5432"]);
    let expected = "HostPort { port: 5432 } 127.0.0.1:5432\nTcp { port: 5432 } 1.2.3.4:5432\n";
    let options = ["--host-port", "5432", "--port", "5432"];
    assert_eq!(scene.script(&options, &script), expected);
}

fn many_ports(scene: &Scene) {
    let ports: Vec<String> = (2000..2400).map(|port| port.to_string()).collect();
    let options: Vec<&str> = ports.iter().flat_map(|port| ["--port", port.as_str()]).collect();
    let expected = "Tcp { port: 2399 } 1.2.3.4:2399\n";
    assert_eq!(scene.script(&options, &dial(&["1.2.3.4/2399"])), expected);
}

/// A connected socket takes only what comes from the address that it asked.
fn names(scene: &Scene) {
    let script = r"for a in 8.8.8.8 127.0.0.53 2001:4860:4860::8888; do
        exec 3<>/dev/udp/$a/53
        printf '\x01\x02\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01' >&3
        timeout 5 head -c 35 <&3 | od -An -tu1 | tr -s ' \n' ' ' | sed 's/.* 198/198/'; echo; done";
    assert_eq!(scene.script(&[], script), "198 18 0 1 \n198 18 0 1 \n198 18 0 1 \n");
}

fn unproved(scene: &Scene) {
    let output = scene.run(&["--no-serve"], &["touch", &scene.path("work/started")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did not arrive at the interceptor"));
    assert!(!scene.directory.join("work/started").exists());
}

fn only_loopback(scene: &Scene) {
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    assert_eq!(scene.script(&[], script), "lo\n");
}

fn no_privilege(scene: &Scene) {
    let script = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status | cut -f2 | sort | uniq -c";
    let lines = scene.script(&[], script);
    let counted: Vec<Vec<&str>> =
        lines.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(counted, [["5", "0000000000000000"], ["1", "1"]]);
}

fn user(scene: &Scene) {
    let expected = match scene.mode {
        Mode::Caller => "0\n".to_owned(),
        Mode::Tester | Mode::Root => {
            use std::os::unix::fs::MetadataExt;
            format!("{}\n", fs::metadata(scene.directory.join("work")).unwrap().uid())
        }
    };
    if nix::unistd::geteuid().is_root() {
        assert_eq!(scene.script(&[], "id -u"), expected);
    }
}

fn parent_unseen(scene: &Scene) {
    let script = "tr '\\0' ' ' < /proc/1/cmdline | grep -c '__netns'
        ls -d /proc/[0-9]* | wc -l; echo $PPID";
    let lines = scene.script(&[], script);
    let numbers: Vec<u32> = lines.lines().map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!((numbers[0], numbers[2]), (1, 1), "{lines}");
    assert!(numbers[1] <= 4, "{lines}");
}

fn init_is_safe(scene: &Scene) {
    let script = "cat /proc/1/environ /proc/1/mem 2>&1 | grep -c denied
        readlink /proc/1/fd/0 || echo 1
        kill -KILL 1; kill -TERM 1; kill -STOP 1; echo alive";
    assert_eq!(scene.script(&[], script), "2\n1\nalive\n");
}

fn hidden(scene: &Scene) {
    let script = format!(
        "ls -A {0}; cat {1}; ls {2}
        unshare -Urm bash -c 'umount -l {0}; umount -l {1}; umount -l {2}
            mount -o remount,rw {2}; ls -A {0}; cat {1}; ls {2}' 2>/dev/null
        umount {0} 2>/dev/null; ls -A {0}",
        scene.path("hidden"),
        scene.path("socket"),
        scene.path("trust"),
    );
    let options = ["--hide", &scene.path("hidden"), "--hide", &scene.path("socket")];
    let nested = if is_root(scene) { "" } else { "bundle.pem\n" };
    assert_eq!(scene.script(&options, &script), format!("bundle.pem\n{nested}"));
    let missing = ["--hide", "/no/such/thing"];
    assert_eq!(scene.script(&missing, "echo started"), "started\n");
}

fn read_only(scene: &Scene) {
    let script = format!(
        "touch {0}/x 2>&1 | grep -cE 'Read-only|denied'; (echo x > {0}/bundle.pem) 2>/dev/null; cat {0}/bundle.pem",
        scene.path("trust")
    );
    let expected = "1\nfrom the run\n";
    assert_eq!(scene.script(&[], &script), expected);
}

fn replaced(scene: &Scene) {
    let trust = scene.path("trust");
    assert_eq!(scene.run(&["--trust-is", &trust], &["true"]).status.code(), Some(0));
    let output = scene.run(&["--trust-is", "/"], &["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it was moved"));
}

fn copied(scene: &Scene) {
    let target = scene.path("database");
    fs::create_dir_all(&target).unwrap();
    fs::File::create(format!("{target}/theirs")).unwrap();
    scene.give("database");
    let script = format!("ls {target}; cat {target}/ours; echo x > {target}/ours; cat {target}/*");
    assert_eq!(scene.script(&["--copy", &target], &script), "ours\nfrom the run\nx\n");
    let left = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["theirs"]);
}

fn overlays(scene: &Scene) {
    let (target, link) = (scene.path("roots.pem"), scene.path("link.pem"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let options = ["--overlay", &link, "--overlay", "/no/such/file"];
    let script = format!("cat {target}; (echo x > {target}) 2>/dev/null; cat {link}");
    assert_eq!(scene.script(&options, &script), "from the run\nfrom the run\n");
    assert_eq!(fs::read_to_string(target).unwrap(), "from the host\n");
}

/// As an overlay mount and, for a path that such a mount cannot take, as a copy.
fn merged(scene: &Scene) {
    for name in ["work/certs", "work/with:colon"] {
        let target = scene.path(name);
        fs::create_dir_all(format!("{target}/below")).unwrap();
        fs::copy(scene.path("roots.pem"), format!("{target}/below/theirs")).unwrap();
        fs::copy(scene.path("roots.pem"), format!("{target}/roots.pem")).unwrap();
        std::os::unix::fs::symlink("below/theirs", format!("{target}/link")).unwrap();
        let options = ["--merge", &target, "--overlay", &format!("{target}/roots.pem")];
        let script = "cd $0; cat ours link roots.pem; touch new 2>&1 | grep -c Read-only; ls";
        let output = scene.run(&options, &["bash", "-c", script, &target]);
        let expected =
            "from the run\nfrom the host\nfrom the run\n1\nbelow\nlink\nours\nroots.pem\n";
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
    }
}

/// A program below two directories, reached through a link to its directory and a link to itself.
fn kept(scene: &Scene) {
    let real = scene.directory.join("shelf/opt/bin");
    fs::create_dir_all(&real).unwrap();
    fs::copy("/bin/echo", real.join("tool")).unwrap();
    std::os::unix::fs::symlink("opt/bin", scene.directory.join("shelf/bin")).unwrap();
    std::os::unix::fs::symlink("../shelf/bin/tool", scene.directory.join("shelf/name")).unwrap();
    for path in
        ["shelf", "shelf/opt", "shelf/opt/bin", "shelf/opt/bin/tool", "shelf/bin", "shelf/name"]
    {
        scene.give(path);
    }
    let before = fs::read(real.join("tool")).unwrap();
    let script = "cd $0; tried=0
        try() { tried=$((tried+1)); \"$@\" 2>/dev/null && echo \"done: $*\"; }
        try cp /bin/true opt/bin/tool; try cp --remove-destination /bin/true opt/bin/tool
        try mv opt/bin/tool opt/bin/old; try rm -f opt/bin/tool; try chmod 0 opt/bin/tool
        try mv opt/bin opt/old; try mv opt old; try mv bin old; try rm bin; try rm name; try mv name old
        try ln -sf /bin/true name; try unshare -Urm mv opt/bin/tool opt/bin/old
        try umount opt/bin/tool; try mv ../shelf ../old
        touch opt/bin/new opt/new new && ./name still works $tried; exec opt/bin/tool as itself";
    let options = ["--keep", &scene.path("shelf/name"), "--keep", &scene.path("no/such")];
    let shelf = scene.path("shelf");
    let output = scene.run(&options, &["bash", "-c", script, &shelf]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "still works 15\nas itself\n", "{errors}");
    assert_eq!(fs::read(scene.directory.join("shelf/name")).unwrap(), before);
}

fn descriptors(scene: &Scene) {
    let driver = scene.command(&[], &["ls", "/proc/self/fd"]);
    let mut words = vec![driver.get_program().to_owned()];
    words.extend(driver.get_args().map(ToOwned::to_owned));
    let output = std::process::Command::new("bash")
        .args(["-c", "exec 3</etc/passwd 7</etc/passwd; exec \"$@\"", "bash"])
        .args(words)
        .output()
        .unwrap();
    // The fourth is the directory that ls reads.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0\n1\n2\n3\n");
}

fn known(scene: &Scene) {
    let said = scene.script(&["--tell-network"], "readlink /proc/self/ns/net");
    let (first, second) = said.trim().split_once('\n').unwrap();
    assert_eq!(first, second);
}

fn mask(scene: &Scene) {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2";
    let lines = scene.script(&[], script);
    let masks: Vec<u64> =
        lines.lines().map(|line| u64::from_str_radix(line, 16).unwrap()).collect();
    // Real-time signals are the C library's affair.
    assert_eq!(masks.iter().map(|mask| mask & 0x7fff_ffff).collect::<Vec<_>>(), [0, 0]);
}

/// Starts a script in a process group of its own and waits until it has said its first line.
fn start(scene: &Scene, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = scene.command(&[], &["bash", "-c", script]);
    let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "ready\n");
    (child, lines)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

const TRAPS: &str = "trap 'n=$((n+1)); echo got' USR1; trap 'echo $n; exit 3' TERM; n=0
    echo ready; while :; do sleep 0.05; done";

fn forwarded(scene: &Scene) {
    let (mut child, mut lines) = start(scene, TRAPS);
    kill(pid(&child), Signal::SIGUSR1).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "got\n");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

fn group_signal(scene: &Scene) {
    let (mut child, mut lines) = start(scene, TRAPS);
    killpg(pid(&child), Signal::SIGUSR1).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    // Passed on in order: a second USR1 would be counted before TERM.
    kill(pid(&child), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!((line.as_str(), rest.as_str()), ("got\n", "1\n"));
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

fn stopped(scene: &Scene) {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let (mut child, mut lines) = start(scene, "echo ready; kill -STOP $$; echo on; exit 5");
    let status = waitpid(pid(&child), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(pid(&child), Signal::SIGSTOP));
    kill(pid(&child), Signal::SIGCONT).unwrap();
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "on\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// A pipe that everything inside holds open ends when the last of it is gone.
fn caller_killed(scene: &Scene) {
    let (mut child, mut lines) = start(scene, "(setsid sleep 1000 &); echo ready; sleep 1000");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

fn left_behind(scene: &Scene) {
    let output = scene.run(&[], &["sh", "-c", "setsid sleep 1000 & exit 4"]);
    assert_eq!(output.status.code(), Some(4));
}

/// Root without capabilities cannot map uid 0 into a nested user namespace: since Linux 5.12 that
/// takes CAP_SETFCAP (user_namespaces(7)).
fn is_root(scene: &Scene) -> bool {
    scene.mode == Mode::Caller && nix::unistd::geteuid().is_root()
}

fn bubblewrap(scene: &Scene) {
    if is_root(scene) {
        let refused = scene.run(&[], &["unshare", "-Ur", "true"]);
        assert_eq!(refused.status.code(), Some(1));
        return;
    }
    let script = "bwrap --ro-bind / / --unshare-all --proc /proc --dev /dev echo nested";
    assert_eq!(scene.script(&[], script), "nested\n");
}

fn checks(_: &Scene) {
    for check in netns::check(false) {
        assert!(check.outcome.is_ok(), "{check:?}");
    }
}
