//! `authsome run --redirect seccomp`: no namespace, and yet nothing leads round us.

use std::{
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    support::{As, KEY, Program, Scene, eventually, text},
    terminal::Terminal,
};

const URL: &str = "https://api.openai.com/v1/models";
/// Number of seccomp(2).
const SECCOMP: u32 = if cfg!(target_arch = "x86_64") { 317 } else { 277 };
/// What the scripts have in common.
const PRELUDE: &str = "import array, ctypes, errno, os, select, socket, struct, sys, threading\n\
                       def refused(action):\n    \
                           try:\n        action()\n    \
                           except OSError as error:\n        return errno.errorcode[error.errno]\n    \
                           return 'allowed'\n";

fn run<'a>(scene: &Scene, command: impl IntoIterator<Item = &'a str>) -> Program {
    run_with(scene, &[], command)
}

fn run_with<'a>(
    scene: &Scene,
    flags: &[&str],
    command: impl IntoIterator<Item = &'a str>,
) -> Program {
    let flags = ["--redirect", "seccomp"].iter().chain(flags);
    scene.run_with(flags, command).env("TMPDIR", scene.user_home())
}

fn python(scene: &Scene, script: &str) -> String {
    python_with(scene, &[], script)
}

fn python_with(scene: &Scene, flags: &[&str], script: &str) -> String {
    let script = format!("{PRELUDE}{script}");
    run_with(scene, flags, ["/usr/bin/python3", "-c", &script]).success()
}

/// A server outside that counts who comes.
fn stranger(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let came = Arc::clone(&count);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            came.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, count)
}

/// An address of this machine's that is not the loopback's, if it has one.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then(|| ip.to_string())
}

#[test]
fn clients_of_every_kind_get_their_credential() {
    let node = format!("fetch('{URL}').then(a => a.text()).then(a => console.log(a.length > 0))");
    let urllib = format!("import urllib.request as u; u.urlopen('{URL}').read()");
    let v6 = "api.openai.com:443:[2606:4700::1111]";
    let commands: [&[&str]; 6] = [
        &["curl", "-sS", URL],
        &["curl", "-sS", "--http1.1", URL],
        &["curl", "-sS", "-6", "--resolve", v6, URL],
        &["/usr/bin/python3", "-c", &urllib],
        &["node", "-e", &node],
        &["git", "ls-remote", "https://api.openai.com/repository.git"],
    ];
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        let bearer = format!("Bearer {KEY}");
        for command in commands {
            let before = scene.upstream.seen().len();
            let output = run(&scene, command.iter().copied()).run();
            let seen = scene.upstream.seen();
            let fresh = seen.get(before..).unwrap();
            assert!(
                fresh.iter().any(|seen| seen.header("authorization") == Some(&bearer)),
                "{command:?}: {}\n{}",
                output.status,
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn a_socket_that_waits_in_an_epoll_set_before_it_connects_is_woken() {
    let scene = Scene::connected();
    let script = "import ssl\n\
        s = socket.socket(); s.setblocking(False)\n\
        e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)\n\
        address = socket.getaddrinfo('api.openai.com', 443)[0][4]\n\
        print(errno.errorcode[s.connect_ex(address)])\n\
        print(any(what & select.EPOLLOUT for _, what in e.poll(10)), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))\n\
        print(s.connect_ex(address) in (0, errno.EISCONN))\n\
        s.setblocking(True)\n\
        t = ssl.create_default_context().wrap_socket(s, server_hostname='api.openai.com')\n\
        t.sendall(b'GET /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\n')\n\
        print(t.recv(12).decode())\n";
    assert_eq!(python(&scene, script), "EINPROGRESS\nTrue 0\nTrue\nHTTP/1.1 200\n");
}

#[test]
fn what_is_no_tcp_goes_nowhere() {
    let scene = Scene::connected();
    let script = "S = socket\n\
        u = S.socket(S.AF_INET, S.SOCK_DGRAM)\n\
        print(refused(lambda: u.connect(('192.0.2.1', 443))))\n\
        print(refused(lambda: u.sendto(b'x', ('192.0.2.1', 443))))\n\
        print(refused(lambda: u.sendmsg([b'x'], [], 0, ('192.0.2.1', 443))))\n\
        t = S.socket()\n\
        print(refused(lambda: t.sendto(b'x', 0x20000000, ('192.0.2.1', 443))))\n\
        print(refused(lambda: t.sendmsg([b'x'], [], 0x20000000, ('192.0.2.1', 443))))\n\
        print(refused(lambda: t.setsockopt(S.IPPROTO_TCP, 30, 1)))\n\
        print(refused(lambda: t.setsockopt(S.IPPROTO_IP, S.IP_OPTIONS, bytes([137, 7, 4, 192, 0, 2, 1, 0]))))\n\
        for family, kind, protocol in [(S.AF_INET, S.SOCK_RAW, 1), (S.AF_PACKET, S.SOCK_RAW, 0), \
            (S.AF_INET, S.SOCK_STREAM, 262), (S.AF_NETLINK, S.SOCK_RAW, 12), (40, S.SOCK_STREAM, 0)]:\n    \
            print(refused(lambda: S.socket(family, kind, protocol)))\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        print(libc.syscall(425, 8, 0), errno.errorcode[ctypes.get_errno()])\n";
    let expected = "ECONNREFUSED\nECONNREFUSED\nECONNREFUSED\nENOTSUP\nENOTSUP\nENOPROTOOPT\n\
        ENOPROTOOPT\nEPERM\nEAFNOSUPPORT\nEPROTONOSUPPORT\nEPROTONOSUPPORT\nEAFNOSUPPORT\n-1 ENOSYS\n";
    assert_eq!(python(&scene, script), expected);
}

#[test]
fn a_resolver_that_does_not_connect_its_socket_hears_from_whom_it_asked() {
    let scene = Scene::connected();
    let script = "query = b'\\x07\\x09\\x01\\0\\0\\x01' + bytes(6) + b'\\7example\\3com\\0' + b'\\0\\1\\0\\1'\n\
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.setblocking(False)\n\
        def ask():\n    \
            u.sendto(query, ('192.0.2.53', 53)); select.select([u], [], [], 10)\n\
        ask(); data, server = u.recvfrom(512); print(data[:2] == query[:2], server)\n\
        ask(); data, _, flags, server = u.recvmsg(512); print(data[-4:-2] == bytes([198, 18]), flags, server)\n";
    let expected = "True ('192.0.2.53', 53)\nTrue 0 ('192.0.2.53', 53)\n";
    assert_eq!(python(&scene, script), expected);
}

#[test]
fn the_hosts_loopback_is_closed_but_for_what_is_opened() {
    let scene = Scene::connected();
    let (port, came) = stranger("127.0.0.1");
    let script = format!(
        "for host in ['127.0.0.1', '127.0.0.2', '0.0.0.0']:\n    \
             print(refused(lambda: socket.socket().connect((host, {port}))))\n\
         six = lambda: socket.socket(socket.AF_INET6)\n\
         for host in ['::1', '::ffff:127.0.0.1', '::']:\n    \
             print(refused(lambda: six().connect((host, {port}))))\n"
    );
    assert_eq!(python(&scene, &script), "ECONNREFUSED\n".repeat(6));
    assert_eq!(came.load(Ordering::SeqCst), 0);
    let script = format!("socket.create_connection(('127.0.0.1', {port})); print('there')");
    let flags = ["--host-port", &port.to_string()];
    assert_eq!(python_with(&scene, &flags, &script), "there\n");
    eventually("the connection", || came.load(Ordering::SeqCst) == 1);
}

#[test]
fn the_agents_own_servers_are_reached_and_nobody_else_reaches_in() {
    let scene = Scene::connected();
    let script = "S = socket\n\
        def server(family, host):\n    \
            s = S.socket(family); s.bind((host, 0)); s.listen(); return s, s.getsockname()\n\
        def talk(family, address):\n    \
            c = S.socket(family); c.connect(address); return c\n\
        for family, host, client, to in [(S.AF_INET, '127.0.0.1', S.AF_INET, '127.0.0.1'), \
            (S.AF_INET, '0.0.0.0', S.AF_INET, '127.0.0.1'), (S.AF_INET6, '::', S.AF_INET, '127.0.0.1'), \
            (S.AF_INET6, '::', S.AF_INET6, '::1'), (S.AF_INET6, '::1', S.AF_INET6, '::1')]:\n    \
            s, name = server(family, host)\n    \
            c = talk(client, (to, name[1])); a, _ = s.accept()\n    \
            a.sendall(b'hello'); print(c.recv(5).decode(), name[0])\n\
        print(refused(lambda: server(S.AF_INET, '192.0.2.1')))\n\
        s = S.socket(); s.listen(); print(s.getsockname()[0])\n\
        u = S.socket(S.AF_INET, S.SOCK_DGRAM); u.bind(('127.0.0.1', 0))\n\
        v = S.socket(S.AF_INET, S.SOCK_DGRAM); v.sendto(b'ping', u.getsockname())\n\
        data, peer = u.recvfrom(9); u.sendto(b'pong', peer); print(data.decode(), v.recv(9).decode())\n";
    let expected = "hello 127.0.0.1\nhello 127.0.0.1\nhello ::ffff:127.0.0.1\nhello ::ffff:127.0.0.1\n\
        hello ::1\nEADDRNOTAVAIL\n127.0.0.1\nping pong\n";
    assert_eq!(python(&scene, script), expected);
}

#[test]
fn a_thread_that_swaps_address_or_socket_meanwhile_gains_nothing() {
    let scene = Scene::connected();
    // Where the race would lead: to a server of this machine's, by an address that is not the loopback's.
    let Some(address) = own_address() else { return };
    let (port, came) = stranger(&address);
    let witness = UdpSocket::bind((address.as_str(), 0)).unwrap();
    witness.set_nonblocking(true).unwrap();
    let udp = witness.local_addr().unwrap().port();
    let script = format!(
        "libc = ctypes.CDLL(None, use_errno=True)\n\
         def inet(host, port):\n    \
             return struct.pack('=H', socket.AF_INET) + struct.pack('!H', port) + socket.inet_aton(host) + bytes(8)\n\
         bad, good = inet('{address}', {port}), inet('198.18.0.9', 9)\n\
         ubad, ugood = inet('{address}', {udp}), inet('127.0.0.1', 53)\n\
         memory, umemory = ctypes.create_string_buffer(good, 16), ctypes.create_string_buffer(ugood, 16)\n\
         done = False\n\
         udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)\n\
         slot = os.dup(pair[0].fileno())\n\
         def swap():\n    \
             while not done:\n        \
                 ctypes.memmove(memory, bad, 16); ctypes.memmove(memory, good, 16)\n        \
                 ctypes.memmove(umemory, ubad, 16); ctypes.memmove(umemory, ugood, 16)\n\
         def turn():\n    \
             while not done:\n        \
                 os.dup2(udp.fileno(), slot); os.dup2(pair[0].fileno(), slot)\n\
         threads = [threading.Thread(target=swap), threading.Thread(target=turn)]\n\
         sys.setswitchinterval(1e-5)\n\
         for t in threads: t.start()\n\
         piece = struct.pack('QQ', ctypes.addressof(memory), 4); pieces = ctypes.create_string_buffer(piece)\n\
         head = struct.pack('QIIQQQQii', ctypes.addressof(umemory), 16, 0, ctypes.addressof(pieces), 1, 0, 0, 0, 0)\n\
         header = ctypes.create_string_buffer(head)\n\
         for n in range(1500):\n    \
             s = socket.socket(); s.setblocking(False); libc.connect(s.fileno(), memory, 16); s.close()\n    \
             u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    \
             libc.sendto(u.fileno(), memory, 4, 0, umemory, 16)\n    \
             libc.connect(u.fileno(), umemory, 16); libc.send(u.fileno(), memory, 4, 0); u.close()\n    \
             libc.sendmsg(slot, header, 0x40)\n\
         done = True\n\
         for t in threads: t.join()\n\
         print('done')\n"
    );
    // Not even what is handed on may arrive: the run is allowed nothing.
    let output = python_with(&scene, &["--egress", "providers"], &script);
    assert_eq!(output, "done\n");
    assert_eq!(came.load(Ordering::SeqCst), 0, "connections past the interceptor");
    assert!(witness.recv(&mut [0; 16]).is_err(), "a datagram went past the filter");
}

#[test]
fn a_filter_of_the_agents_own_only_takes_away() {
    let scene = Scene::connected();
    let (port, came) = stranger("127.0.0.1");
    // SECCOMP_RET_ALLOW and SECCOMP_RET_USER_NOTIF for every call, and a listener of its own.
    let script = format!(
        "libc = ctypes.CDLL(None, use_errno=True)\n\
         def install(answer, flags):\n    \
             code = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, answer))\n    \
             program = ctypes.create_string_buffer(struct.pack('=HxxxxxxQ', 1, ctypes.addressof(code)))\n    \
             got = libc.syscall({SECCOMP}, 1, flags, program)\n    \
             return errno.errorcode[ctypes.get_errno()] if got < 0 else 'installed'\n\
         print(install(0x7fff0000, 8), install(0x7fff0000, 0))\n\
         print(refused(lambda: socket.socket().connect(('127.0.0.1', {port}))))\n"
    );
    assert_eq!(python(&scene, &script), "EBUSY installed\nECONNREFUSED\n");
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

#[test]
fn local_sockets_that_lead_out_are_refused_and_the_agents_own_work() {
    let scene = Scene::connected();
    let hidden = scene.user_home().join("engine.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&hidden).unwrap();
    let script = format!(
        "unix = lambda kind=socket.SOCK_STREAM: socket.socket(socket.AF_UNIX, kind)\n\
         print(refused(lambda: unix().connect('{}')))\n\
         os.symlink('{}', 'link'); print(refused(lambda: unix().connect('link')))\n\
         print(refused(lambda: unix().connect('{}')))\n\
         print(refused(lambda: unix().connect('\\0abstract')))\n\
         s = unix(); s.bind('own.sock'); s.listen(); c = unix(); c.connect('own.sock'); a, _ = s.accept()\n\
         r, w = os.pipe(); c.sendmsg([b'take'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])\n\
         data, control, _, _ = a.recvmsg(9, 64); end = array.array('i', control[0][2])[0]\n\
         os.close(w); os.write(end, b'through'); print(data.decode(), os.read(r, 9).decode())\n",
        hidden.display(),
        hidden.display(),
        scene.home().join("daemon.sock").display(),
    );
    let script = format!("{PRELUDE}{script}");
    let output = run(&scene, ["/usr/bin/python3", "-c", &script])
        .env("DOCKER_HOST", format!("unix://{}", hidden.display()))
        .success();
    assert_eq!(output, "ECONNREFUSED\nECONNREFUSED\nECONNREFUSED\nECONNREFUSED\ntake through\n");
}

#[test]
fn local_datagrams_arrive() {
    let scene = Scene::connected();
    let script = "unix = lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
        d = unix(); d.bind('own.dgram'); unix().sendto(b'datagram', 'own.dgram')\n\
        print(d.recv(9).decode())\n";
    assert_eq!(python(&scene, script), "datagram\n");
}

#[test]
fn a_sender_that_waits_for_room_holds_up_nobody() {
    let scene = Scene::connected();
    let script = "a, b = socket.socketpair()\n\
        size = 4 << 20\n\
        def fill():\n    \
            left = memoryview(bytes(size))\n    \
            while left: left = left[a.sendmsg([left]):]\n\
        t = threading.Thread(target=fill); t.start()\n\
        print(refused(lambda: socket.socket().connect(('127.0.0.1', 9))))\n\
        got = 0\n\
        while got < size: got += len(b.recv(1 << 16))\n\
        t.join(); print(got == size)\n";
    assert_eq!(python(&scene, script), "ECONNREFUSED\nTrue\n");
}

#[test]
fn the_vaults_directory_can_neither_be_read_nor_written_nor_moved() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        let script = "H=$AUTHSOME_HOME; cat $H/master.key; grep -ra sk-proj $H; echo > $H/policy/policy.toml; \
            touch $H/x; mv $H $H.moved; mv $H/../authsome $H/../y; ln $H/master.key key; \
            ln -s $H link; cat link/master.key; unshare -Urm sh -c \"mount --bind $H . && cat master.key\"; \
            mkdir -p /tmp/.authsome-x && mv $(dirname $H) /tmp/.authsome-x/";
        let output = run(&scene, ["bash", "-c", script]).run();
        let seen = text(&output.stdout) + &text(&output.stderr);
        assert!(!seen.contains(KEY) && !seen.contains("authsome-key"), "{seen}");
        assert_eq!(text(&output.stdout), "", "{seen}");
        assert!(scene.home().join("master.key").exists());
        assert!(!scene.home().join("x").exists());
        assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
    }
}

#[test]
fn processes_outside_are_neither_traced_nor_signalled() {
    let scene = Scene::connected();
    let mut outside = std::process::Command::new("sleep");
    outside.arg("1000");
    scene.as_user(&mut outside);
    let mut outside = outside.spawn().unwrap();
    let pid = outside.id();
    let daemon = scene.daemon_pid().unwrap();
    let script = format!(
        "import signal\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         for pid in ({pid}, {daemon}, os.getppid()):\n    \
             print(refused(lambda: os.kill(pid, signal.SIGKILL)), libc.ptrace(16, pid, 0, 0), \
                 refused(lambda: open(f'/proc/{{pid}}/mem', 'rb')))\n"
    );
    let output = python(&scene, &script);
    assert!(outside.try_wait().unwrap().is_none());
    outside.kill().unwrap();
    outside.wait().unwrap();
    for line in output.lines() {
        let words: Vec<_> = line.split(' ').collect();
        assert!(matches!(words.as_slice(), ["EPERM", "-1", "EACCES" | "EPERM"]), "{output}");
    }
    assert_eq!(output.lines().count(), 3);
    assert_eq!(scene.daemon_pid(), Some(daemon));
}

#[test]
fn nothing_of_the_run_outlives_it() {
    let scene = Scene::connected();
    let script = "(setsid sleep 4243 & setsid -f sleep 4243) >/dev/null 2>&1; sleep 0.2; exit 3";
    let output = run(&scene, ["bash", "-c", script]).run();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let found = std::process::Command::new("pgrep").args(["-f", "^sleep 4243"]).output().unwrap();
    assert_eq!(text(&found.stdout), "");
}

#[test]
fn ports_are_not_published_that_are_the_machines_own() {
    let scene = Scene::connected();
    let output = run_with(&scene, &["--publish", "18080"], ["true"]).run();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("leave --publish out"), "{}", text(&output.stderr));
}

#[test]
fn the_exit_code_is_the_agents() {
    let scene = Scene::connected();
    for (command, code) in [
        (["sh", "-c", "exit 7"].as_slice(), 7),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["/nowhere/to/be/found"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let output = run(&scene, command.iter().copied()).run();
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_supervisor_that_is_killed_leaves_nobody_with_a_network() {
    let scene = Scene::connected();
    let script = "import signal, time\n\
        if os.fork():\n    time.sleep(1000)\n\
        os.setsid(); print(os.getppid(), flush=True)\n\
        print(sys.stdin.readline().strip(), refused(lambda: socket.socket().connect(('192.0.2.7', 80))), flush=True)\n";
    let script = format!("{PRELUDE}{script}");
    let mut program = run(&scene, ["/usr/bin/python3", "-c", &script]).command;
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with('\n') && output.read(&mut byte).unwrap() == 1 {
        text.push(char::from(byte[0]));
    }
    // The supervisor is the agent's parent.
    let agent = text.trim();
    let stat = std::fs::read_to_string(format!("/proc/{agent}/stat")).unwrap();
    let supervisor = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned();
    let supervisor = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).unwrap();
    let mut input = child.stdin.take().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(125));
    input.write_all(b"still\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "still ENOSYS\n");
}

#[test]
fn a_run_that_is_killed_takes_its_agent_along() {
    let scene = Scene::connected();
    let mut program = run(&scene, ["sh", "-c", "echo up; exec sleep 4244"]).command;
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn().unwrap();
    let mut up = [0; 3];
    child.stdout.take().unwrap().read_exact(&mut up).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the agent's end", || {
        let found = std::process::Command::new("pgrep").args(["-f", "^sleep 4244"]).output();
        found.unwrap().stdout.is_empty()
    });
}

#[test]
fn a_run_goes_on_with_the_next_daemon() {
    let scene = Scene::connected();
    let script = format!(
        "curl -sS -o /dev/null {URL} && echo first && read line && \
         curl -sS -o /dev/null --retry 5 --retry-all-errors {URL} && echo second"
    );
    let mut program = run(&scene, ["bash", "-c", &script]).command;
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut first = [0; 6];
    output.read_exact(&mut first).unwrap();
    let daemon = scene.daemon_pid().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(daemon), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_shell_has_job_control() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.authsome("run --redirect seccomp -- env PS1='inner> ' bash --norc --noprofile");
    terminal.expect("inner>");
    terminal.line("sh -c 'echo be''gun; exec sleep 1000'");
    terminal.expect("begun");
    terminal.keys(&["C-c"]);
    terminal.line("echo interrupted $?");
    terminal.expect("interrupted 130");
    terminal.line("sh -c 'echo run''ning; exec sleep 1000'");
    terminal.expect("running");
    terminal.keys(&["C-z"]);
    terminal.expect("Stopped");
    terminal.line("fg");
    terminal.keys(&["C-c"]);
    terminal.line("echo again $?");
    terminal.expect("again 130");
    terminal.line("exit 7");
    terminal.line("echo status $?");
    terminal.expect("status 7");
}

#[test]
fn it_needs_neither_namespace_nor_capability() {
    let scene = Scene::new();
    let program = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
    let program = program.to_string_lossy();
    let resolve = scene.upstream.resolve_flag();
    let ca = scene.ca_file();
    let inside = format!(
        "echo {KEY} | {program} login openai --secret-stdin >/dev/null || exit 1; \
         {program} run -- true 2>&1 | grep -c -- '--redirect seccomp'; \
         {program} run --redirect seccomp --resolve '{resolve}' --upstream-ca {} -- curl -sS -o /dev/null -w '%{{http_code}}\\n' {URL}; \
         {program} daemon stop >/dev/null",
        ca.display()
    );
    // As in a container: a namespace of its own in which no further ones are allowed, and no capability.
    let around = "echo 0 > /proc/sys/user/max_user_namespaces; \
        exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs sh -c \"$0\"";
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", around, &inside])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", scene.user_home())
        .env("AUTHSOME_HOME", scene.home())
        .current_dir(scene.user_home());
    scene.as_user(&mut command);
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "1\n200\n", "{}", text(&output.stderr));
    let seen = scene.upstream.seen();
    let bearer = format!("Bearer {KEY}");
    assert!(seen.iter().any(|seen| seen.header("authorization") == Some(&bearer)));
}
