//! `authsome run --redirect seccomp` where a filter above forbids to take descriptors out of processes, and to
//! read their memory by a call of its own, as the default profiles of containers do.

use std::{
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
};

use crate::support::{As, KEY, Program, Scene, text};

/// Numbers of pidfd_getfd(2) and process_vm_readv(2).
const FORBIDDEN: [u32; 2] = [438, if cfg!(target_arch = "x86_64") { 310 } else { 270 }];

/// Starts the rest of its command line under a filter that refuses both.
fn under_a_filter() -> Vec<String> {
    let [getfd, readv] = FORBIDDEN;
    let script = format!(
        "import ctypes, os, struct, sys\n\
         rules = [(0x20, 0, 0, 0), (0x15, 2, 0, {getfd}), (0x15, 1, 0, {readv}), \
             (6, 0, 0, 0x7fff0000), (6, 0, 0, 0x50001)]\n\
         code = ctypes.create_string_buffer(b''.join(struct.pack('=HBBI', *rule) for rule in rules))\n\
         program = ctypes.create_string_buffer(struct.pack('=HxxxxxxQ', len(rules), ctypes.addressof(code)))\n\
         libc = ctypes.CDLL(None)\n\
         assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0\n\
         os.execv(sys.argv[1], sys.argv[1:])\n"
    );
    ["/usr/bin/python3", "-c", &script].map(str::to_owned).to_vec()
}

fn forbidden(scene: &Scene, mut program: Program) -> Program {
    let wrapper = under_a_filter();
    let inner = std::mem::replace(&mut program.command, Command::new("/usr/bin/python3"));
    program.command.args(wrapper.iter().skip(1)).arg(inner.get_program()).args(inner.get_args());
    program.command.env_clear().current_dir(scene.user_home());
    for (name, value) in inner.get_envs() {
        program.command.env(name, value.unwrap_or_default());
    }
    scene.as_user(&mut program.command);
    program
}

#[test]
fn every_promise_holds_but_for_local_datagrams() {
    let wrapper = under_a_filter();
    let output = Command::new("/usr/bin/python3")
        .args(wrapper.iter().skip(1))
        .arg(std::env::current_exe().unwrap())
        .args(["seccomp::", "--skip", "local_datagrams_arrive", "--test-threads", "2"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("test seccomp::"), "{}", text(&output.stdout));
}

#[test]
fn no_socket_is_there_whose_sends_would_have_to_be_looked_at() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        scene.login("openai", KEY);
        let script = "import socket as S\n\
            def kind(s): return s.getsockopt(S.SOL_SOCKET, 39), s.getsockopt(S.SOL_SOCKET, S.SO_TYPE)\n\
            print(kind(S.socket(S.AF_INET, S.SOCK_DGRAM)) == (S.AF_UNIX, S.SOCK_SEQPACKET))\n\
            for make in S.socket, S.socketpair:\n    \
                try: make(S.AF_UNIX, S.SOCK_DGRAM)\n    \
                except OSError as error: print(error.errno == 93)\n";
        let command = ["/usr/bin/python3", "-c", script];
        let program = scene.run_with(["--redirect", "seccomp"], command);
        let program = program.env("TMPDIR", scene.user_home());
        assert_eq!(forbidden(&scene, program).success(), "True\nTrue\nTrue\n");
    }
}

#[test]
fn a_port_that_was_given_back_is_free_and_many_sockets_are_no_burden() {
    let scene = Scene::connected();
    let script = "import socket as S\n\
        s = S.socket(); s.bind(('127.0.0.1', 0)); at = s.getsockname(); s.close()\n\
        t = S.socket(); t.bind(at); t.listen(); t.listen(); c = S.create_connection(at); print('bound')\n\
        a, _ = t.accept(); c.sendmsg([b'end']); c.close(); print(a.recv(9), a.recv(9))\n\
        for _ in range(1500): S.socket().close(); S.socket(S.AF_INET, S.SOCK_DGRAM).close()\n\
        print('made')\n";
    let command = ["/usr/bin/python3", "-c", script];
    let program = scene.run_with(["--redirect", "seccomp"], command);
    let program = program.env("TMPDIR", scene.user_home());
    assert_eq!(forbidden(&scene, program).success(), "bound\nb'end' b''\nmade\n");
}

#[test]
fn a_datagram_socket_is_not_handed_in() {
    let scene = Scene::connected();
    let mut program = forbidden(&scene, scene.run_with(["--redirect", "seccomp"], ["true"]));
    program.command.env("TMPDIR", scene.user_home());
    let (output, _other) = UnixDatagram::pair().unwrap();
    program.command.stdin(Stdio::null()).stdout(OwnedFd::from(output)).stderr(Stdio::piped());
    let output = program.command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("a standard stream is a socket for datagrams"), "{said}");
}
