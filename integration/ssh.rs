//! ssh, scp and git over ssh, against a real sshd.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use crate::support::{Scene, eventually, is_root, text, write};

/// A server that lets the scene's user in with the scene's key.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    fn start(scene: &Scene) -> Self {
        let directory = scene.user_home().join("sshd");
        as_user(scene, &["mkdir", "-m", "700", directory.to_str().unwrap()]);
        for name in ["host", "client"] {
            let path = directory.join(name);
            as_user(
                scene,
                &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()],
            );
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/client.pub\n\
             StrictModes no\nPasswordAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\n",
            dir = directory.display()
        );
        let config_file = scene.directory.path().join("sshd_config");
        write(&config_file, config.as_bytes());
        // Needs the directory of its unprivileged half, whoever starts it.
        if is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(&config_file);
        scene.as_user(&mut command);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, port };
        eventually("the SSH server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_user(scene: &Scene, command: &[&str]) {
    let mut program = Command::new(command[0]);
    program.args(&command[1..]).current_dir(scene.user_home());
    scene.as_user(&mut program);
    let output = program.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

/// Options of every client here: nobody's configuration, the scene's key.
fn options(scene: &Scene) -> String {
    let key = scene.user_home().join("sshd/client");
    format!(
        "-i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o LogLevel=ERROR -o BatchMode=yes",
        key.display()
    )
}

/// Runs a script whose `$O` are ssh's options, with `git.example.com` at the server.
fn run(scene: &Scene, server: &Sshd, flags: &[&str], script: &str) -> Output {
    let resolve = format!("git.example.com:22:127.0.0.1:{}", server.port);
    let all = ["--resolve", &resolve].into_iter().chain(flags.iter().copied());
    let script = format!("O='{}'; {script}", options(scene));
    scene.run_with(all, ["bash", "-c", &script]).run()
}

#[test]
fn ssh_scp_and_git_reach_an_allowed_host_by_its_name() {
    let scene = Scene::new();
    let server = Sshd::start(&scene);
    let home: PathBuf = scene.user_home();
    as_user(
        &scene,
        &[
            "git",
            "init",
            "-q",
            "-b",
            "main",
            "--bare",
            home.join("repository.git").to_str().unwrap(),
        ],
    );
    let home = home.display();
    let script = format!(
        "set -e; ssh $O git.example.com 'echo over ssh'; echo content > {home}/sent
         scp -q $O {home}/sent git.example.com:{home}/received; cat {home}/received
         export GIT_SSH_COMMAND=\"ssh $O\"
         git clone -q ssh://git.example.com{home}/repository.git clone 2> clone.log
         cd clone; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m pushed
         git push -q origin HEAD:refs/heads/main; git ls-remote origin main | cut -f 2"
    );
    for flags in [&[][..], &["--egress", "providers", "--allow", "git.example.com:22"]] {
        let _ = std::fs::remove_dir_all(scene.user_home().join("clone"));
        let output = run(&scene, &server, flags, &script);
        assert_eq!(
            text(&output.stdout),
            "over ssh\ncontent\nrefs/heads/main\n",
            "{flags:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_refused_host_says_why_to_the_client() {
    let scene = Scene::new();
    let server = Sshd::start(&scene);
    let flags = ["--egress", "providers"];
    let output = run(&scene, &server, &flags, "ssh $O git.example.com true");
    assert_eq!(output.status.code(), Some(255));
    let said = text(&output.stderr);
    assert!(
        said.contains("authsome: git.example.com:22 is not a connected provider's host"),
        "{said}"
    );
    assert!(said.contains("authsome run --allow git.example.com:22"), "{said}");
    let clone = "GIT_SSH_COMMAND=\"ssh $O\" git clone ssh://git.example.com/x.git";
    let said = text(&run(&scene, &server, &flags, clone).stderr);
    assert!(said.contains("authsome run --allow git.example.com:22"), "{said}");
}

#[test]
fn the_systems_included_configuration_does_not_stop_ssh() {
    if !is_root() {
        // Only root can give a process another system configuration; the gate runs this as root.
        return;
    }
    let scene = Scene::new();
    let server = Sshd::start(&scene);
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    let included = scene.directory.path().join("included");
    std::fs::create_dir(&included).unwrap();
    write(&included.join("10-root.conf"), b"Host unlikely.invalid\n");
    let script = format!("ssh {} git.example.com 'echo fine'", options(&scene));
    let resolve = format!("git.example.com:22:127.0.0.1:{}", server.port);
    let run = scene.run_with(["--resolve", &resolve], ["bash", "-c", &script]);
    // In a mount namespace of its own, so that nobody else has that configuration.
    let mount = "mount --bind \"$0\" /etc/ssh/ssh_config.d && exec setpriv --reuid \"$1\" --regid \"$2\" \
                 --clear-groups \"${@:3}\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", mount]).arg(&included);
    command.args([owner.uid().to_string(), owner.gid().to_string()]);
    command.arg(run.command.get_program()).args(run.command.get_args()).env_clear();
    command.envs(run.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(scene.user_home()).output().unwrap();
    assert_eq!(text(&output.stdout), "fine\n", "{}", text(&output.stderr));
}
