//! An agent that moves the vault away, so that a later run would cover an empty place and leave it open.
//!
//! What is mounted on cannot be renamed, but only in the namespace where it is: with a descriptor from
//! before, an agent can step out of its mounts into an empty tree of its own, and there nothing holds.

use std::process::Stdio;

use crate::support::{KEY, Program, Scene, eventually, text};

/// Steps out. Then `above` is the directory above the home and `name` the home's name in it, and
/// `root` the directory above that; it has every capability over its own user's files.
const STEP_OUT: &str = r#"
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if libc[name](*args) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
def put(path, text):
    with open(path, "w") as file: file.write(text)
def rename(source, target, to=None):
    os.rename(source, target, src_dir_fd=above, dst_dir_fd=above if to is None else to)
path, name = os.path.split(os.environ["AUTHSOME_HOME"])
above = os.open(path, os.O_PATH | os.O_DIRECTORY)
root = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
uid, gid = os.getuid(), os.getgid()
call("unshare", 0x10000000 | 0x00020000)  # CLONE_NEWUSER, CLONE_NEWNS
put("/proc/self/setgroups", "deny")
put("/proc/self/uid_map", f"{uid} {uid} 1")
put("/proc/self/gid_map", f"{gid} {gid} 1")
call("mount", None, b"/", None, 0x40000 | 0x4000, None)  # MS_PRIVATE | MS_REC
call("mount", b"none", b"/mnt", b"tmpfs", 0, None)
os.chdir("/mnt")
os.mkdir("old")
call("syscall", {"x86_64": 155, "aarch64": 41}[platform.machine()], b".", b"old")  # pivot_root
os.chdir("/")
call("umount2", b"/old", 2)  # MNT_DETACH
"#;

fn attack(scene: &Scene, then: &str) -> Program {
    scene.run(["/usr/bin/python3", "-c", &format!("{STEP_OUT}{then}")])
}

/// The home is where it was, whole, with the same daemon; and a run covers it.
fn assert_in_place(scene: &Scene, daemon: Option<i32>) {
    eventually("the home back in its place", || scene.home().join("master.key").exists());
    assert_eq!(scene.daemon_pid(), daemon);
    assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
    let search = format!("find {} -name master.key", scene.directory.path().display());
    assert_eq!(scene.run(["sh", "-c", &search]).run().stdout, b"");
}

#[test]
fn a_home_that_an_agent_moves_away_is_put_back() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid();
    let output = attack(&scene, "rename(name, 'away')\nprint('moved')").success();
    assert_eq!(output, "moved\n", "the attack is one");
    assert_in_place(&scene, daemon);
    assert!(!scene.directory.path().join("away").exists());
}

#[test]
fn a_decoy_in_its_place_does_not_keep_it_away() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid();
    // Again and again, whoever wins each time.
    let script = "
moved = 0
for turn in range(300):
    try: rename(name, f'away-{turn}'); moved += 1
    except OSError: pass
    try: os.mkdir(name, dir_fd=above)
    except OSError: pass
print(moved > 0)";
    assert_eq!(attack(&scene, script).success(), "True\n");
    assert_in_place(&scene, daemon);
}

#[test]
fn a_directory_above_it_is_put_back_too() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid();
    let script = "
own = os.path.basename(path)
os.rename(own, own + '-away', src_dir_fd=root, dst_dir_fd=root)
print('moved')";
    assert_eq!(attack(&scene, script).success(), "moved\n");
    assert_in_place(&scene, daemon);
}

#[test]
fn a_directory_that_nobody_may_enter_does_not_keep_it_away() {
    let scene = Scene::connected();
    let daemon = scene.daemon_pid();
    // Not even its owner; an agent with capabilities over it may.
    let script = "
os.mkdir('cage', dir_fd=above)
cage = os.open('cage', os.O_PATH, dir_fd=above)
os.chmod('cage', 0, dir_fd=above)
rename(name, 'home', to=cage)
print('moved')";
    assert_eq!(attack(&scene, script).success(), "moved\n");
    assert_in_place(&scene, daemon);
}

#[test]
fn where_it_cannot_be_put_back_no_run_begins_until_it_is() {
    let scene = Scene::new();
    let shell = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        scene.as_user(&mut shell);
        let done = shell.args(["-c", script]).current_dir(scene.directory.path()).status();
        assert!(done.unwrap().success());
    };
    // A link that leads to it, which an agent can replace without stepping anywhere.
    shell("mkdir -m 700 real && ln -s real authsome");
    scene.login("openai", KEY);
    let daemon = scene.daemon_pid();
    let replace = "cd \"$(dirname \"$AUTHSOME_HOME\")\" && rm authsome && mkdir -m 700 authsome";
    scene.run(["sh", "-c", replace]).success();

    let witness = scene.user_home().join("ran");
    let refused = scene.run(["touch", witness.to_str().unwrap()]).run();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(125), "{said}");
    assert!(said.contains("the home was moved: ") && said.contains("/real"), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert!(!witness.exists());
    assert_eq!(scene.authsome(["list"]).run().status.code(), Some(5));

    shell("rmdir authsome && ln -s real authsome");
    assert_in_place(&scene, daemon);
}

#[test]
fn without_a_daemon_the_run_itself_puts_it_back() {
    let scene = Scene::connected();
    let mut program = attack(&scene, "os.read(0, 1)\nrename(name, 'away')");
    program.command.stdin(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    eventually("the agent", || scene.authsome(["daemon", "status"]).success().contains("python3"));
    scene.authsome(["daemon", "stop"]).success();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(scene.home().join("master.key").exists());
    assert!(!scene.directory.path().join("away").exists());
}
