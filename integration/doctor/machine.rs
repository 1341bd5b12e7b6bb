//! Machines on which no namespace can be made.

use super::{doctor_in, unshared};
use crate::support::{Scene, has, text};

/// Installs a seccomp filter that answers one system call with an error, and goes on as the program. Where
/// `first` is not `-1`, only calls whose first argument is that.
const FILTER: &str = r#"
import ctypes, os, struct, sys
number, first, error = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def op(code, value, yes=0, no=0): return struct.pack("HBBI", code, yes, no, value)
program = [op(0x20, 0), op(0x15, number, 0, 3 if first >= 0 else 1)]
if first >= 0: program += [op(0x20, 16), op(0x15, first, 0, 1)]
program += [op(0x06, 0x00050000 | error), op(0x06, 0x7fff0000)]
code = b"".join(program)
class Prog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
prog = Prog(len(program), code)
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0
os.execv(sys.argv[4], sys.argv[4:])
"#;

/// A system call's number on this machine.
fn number(of: &str) -> &'static str {
    match (of, std::env::consts::ARCH) {
        ("unshare", "x86_64") => "272",
        ("unshare", _) => "97",
        ("socket", "x86_64") => "41",
        (_, _) => "198",
    }
}

fn filtered(call: &str, first: &str, errno: &str) -> [String; 6] {
    ["/usr/bin/python3", "-c", FILTER, number(call), first, errno].map(str::to_owned)
}

#[test]
fn a_limit_of_namespaces_is_named_with_its_command() {
    for (setting, what) in [
        ("max_user_namespaces", "create a user namespace"),
        ("max_net_namespaces", "create network"),
        ("max_pid_namespaces", "create network"),
    ] {
        let scene = Scene::new();
        let report = doctor_in(&scene, unshared(&format!("echo 0 > /proc/sys/user/{setting}")));
        report.says("namespaces", "fail", what, &format!("sudo sysctl -w user.{setting}=15000"));
        report.says("namespaces", "fail", &format!("user.{setting} is 0"), "");
        report.says("redirection", "fail", "cannot create", &format!("user.{setting} is 0"));
    }
}

#[test]
fn an_outer_limit_is_told_from_ones_own() {
    let scene = Scene::new();
    // The inner namespace has limits of its own, and they are not the ones that refuse.
    let script = "echo 1 > /proc/sys/user/max_user_namespaces; exec unshare -Ur sh -ec 'exec \"$@\"' sh \"$@\"";
    let report = doctor_in(&scene, unshared(script));
    report.says("namespaces", "fail", "enclosing user namespace", "max_user_namespaces outside");
}

#[test]
fn a_seccomp_filter_is_named() {
    let scene = Scene::new();
    let report = doctor_in(&scene, filtered("unshare", "-1", "1"));
    report.says("namespaces", "fail", "seccomp filter", "start");
    report.says("system", "ok", "under a seccomp filter", "");
}

#[test]
fn a_kernel_without_namespaces_is_named() {
    let scene = Scene::new();
    // As a kernel without CONFIG_USER_NS answers.
    let report = doctor_in(&scene, filtered("unshare", "-1", "22"));
    report.says("namespaces", "fail", "built without", "CONFIG_USER_NS");
}

#[test]
fn a_chroot_is_named() {
    let scene = Scene::new();
    let root = scene.directory.path().join("user/root");
    let root = root.display();
    let script = format!("mkdir {root}; mount --rbind / {root}; exec chroot {root} \"$@\"");
    let report = doctor_in(&scene, unshared(&script));
    report.says("namespaces", "fail", "this is a chroot", "leave the chroot");
}

#[test]
fn a_masked_proc_is_named() {
    let scene = Scene::new();
    let script = "mount -t tmpfs none /proc/sys/kernel";
    let report = doctor_in(&scene, unshared(script));
    report.says("namespaces", "fail", "covers parts of /proc", "");
}

#[test]
fn no_ipv6_is_no_failure() {
    let scene = Scene::new();
    // AF_INET6, and EAFNOSUPPORT as of a kernel that was started with ipv6.disable=1.
    let report = doctor_in(&scene, filtered("socket", "10", "97"));
    report.says("ipv6", "ok", "IPv4 only", "");
    report.says("IPv6 to 443", "ok", "no IPv6", "");
    assert_eq!(report.code, Some(0), "{:#}", report.json);
}

#[test]
fn a_wrong_clock_is_named_in_its_direction() {
    assert!(has("faketime"), "scripts/test-setup installs it");
    for (date, word) in [("2004-05-01 00:00:00", "behind"), ("2061-05-01 00:00:00", "ahead")] {
        let scene = Scene::new();
        let report = doctor_in(&scene, ["faketime", "-f", &format!("@{date}")]);
        report.says("clock", "fail", word, "timedatectl");
    }
}

#[test]
fn as_root_a_setting_is_mended_for_now_and_for_the_next_boot() {
    let scene = Scene::new();
    // Root of a namespace of its own, with settings of its own and a directory of its own for them.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; mount -t tmpfs none /etc/sysctl.d; \
                  \"$@\"; cat /etc/sysctl.d/60-authsome.conf >&2; \"$1\" daemon stop >&2; exit";
    let program = scene.authsome(["doctor", "--json", "--quick", "--fix"]);
    let output = super::launched(&scene, program, unshared(script)).run();
    let (said, kept) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("\"ready\":true"), "{said}");
    assert!(said.contains("set user.max_user_namespaces to 15000"), "{said}");
    assert!(kept.contains("user.max_user_namespaces = 15000\n"), "{kept}");
}
