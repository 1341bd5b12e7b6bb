//! Sandboxes that agents bring along, inside a run: bubblewrap, Codex' own, Claude Code's own. And what
//! programs say that need more rights than an agent has.

use std::{os::unix::fs::MetadataExt, path::Path};

use crate::support::{
    As, KEY, Scene,
    packages::{node, packages},
    text, write,
};

const URL: &str = "https://api.openai.com/v1/models";

/// What a script says, of both streams.
fn said(scene: &Scene, script: &str) -> String {
    let output = scene.run(["bash", "-c", script]).run();
    text(&output.stdout) + &text(&output.stderr)
}

fn injected(scene: &Scene) -> usize {
    let bearer = format!("Bearer {KEY}");
    let seen = scene.upstream.seen();
    seen.iter().filter(|seen| seen.header("authorization") == Some(&bearer)).count()
}

#[test]
fn in_bubblewrap_with_the_runs_network_requests_get_their_credential() {
    let scene = Scene::connected();
    let script = format!(
        "bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all --share-net \
         --die-with-parent --new-session curl -sS {URL}"
    );
    let output = said(&scene, &script);
    assert_eq!(injected(&scene), 1, "{output}");
}

#[test]
fn in_bubblewrap_without_a_network_there_is_none() {
    let scene = Scene::connected();
    let script =
        format!("bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all curl -sS {URL}");
    let output = said(&scene, &script);
    assert!(output.contains("Could not resolve host"), "{output}");
    assert_eq!(injected(&scene), 0);
}

#[test]
fn a_sandbox_that_shows_little_can_be_made() {
    let scene = Scene::new();
    let script = "bwrap --unshare-all --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib \
        --symlink usr/lib64 /lib64 --tmpfs /tmp --proc /proc --dev /dev \
        bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev sh -c 'echo deep; ls /proc | grep -cx 1'";
    assert_eq!(said(&scene, script), "deep\n1\n");
}

#[test]
fn namespaces_can_be_nested_with_a_proc_of_their_own() {
    let scene = Scene::new();
    let script = "unshare --user --map-root-user --net --mount --pid --fork --mount-proc \
                  sh -c 'id -u; ls /proc | grep -c ^[0-9]'";
    let output = said(&scene, script);
    assert!(output.starts_with("0\n"), "{output}");
}

/// A script with the packages' programs in its `PATH`.
fn with_packages(script: &str) -> String {
    let node = node();
    let node = node.parent().map(Path::to_owned).unwrap_or_default();
    let programs = packages().join("node_modules/.bin");
    format!("export PATH={}:{}:$PATH; {script}", programs.display(), node.display())
}

/// Codex' sandbox with these settings. Its helper is found where its own home is, and that may not be in
/// a directory of temporary files.
fn codex(home: &Path, settings: &str, script: &str) -> String {
    let home = home.display();
    with_packages(&format!("CODEX_HOME={home} codex sandbox {settings} -- sh -c '{script}'"))
}

#[test]
fn codex_own_sandbox_works_with_and_without_a_network() {
    let scene = Scene::connected();
    let directory = tempfile::Builder::new().tempdir_in(packages().parent().unwrap()).unwrap();
    let home = directory.path();
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    std::os::unix::fs::chown(home, Some(owner.uid()), Some(owner.gid())).unwrap();
    let write = r#"-c sandbox_mode=\"workspace-write\""#;
    let script = format!("echo hi > made && cat made; curl -sS {URL}");
    let output = said(&scene, &codex(home, write, &script));
    assert!(output.contains("hi\n") && output.contains("Could not resolve host"), "{output}");
    assert_eq!(injected(&scene), 0);

    let open = format!("{write} -c sandbox_workspace_write.network_access=true");
    let output =
        said(&scene, &codex(home, &open, &format!("curl -sS {URL}; ls -A $AUTHSOME_HOME")));
    assert_eq!(injected(&scene), 1, "{output}");
    assert!(!output.contains("master.key"), "{output}");

    let output = said(&scene, &codex(home, "", "echo hi > refused"));
    assert!(output.contains("Read-only file system"), "{output}");
}

#[test]
fn claude_codes_own_sandbox_works_through_its_proxy() {
    let scene = Scene::connected();
    let settings = scene.directory.path().join("srt.json");
    let home = scene.user_home();
    let allowed = format!(
        r#"{{"network":{{"allowedDomains":["api.openai.com"],"deniedDomains":[]}},
            "filesystem":{{"denyRead":[],"allowWrite":["{}"],"denyWrite":[]}}}}"#,
        home.display()
    );
    write(&settings, allowed.as_bytes());
    let srt = |command: &str| {
        with_packages(&format!("srt --settings {} -c '{command}'", settings.display()))
    };
    let output = said(&scene, &srt(&format!("curl -sS {URL}; echo hi > made && cat made")));
    assert_eq!(injected(&scene), 1, "{output}");
    assert!(output.contains("hi\n"), "{output}");
    let output = said(&scene, &srt("curl -sS https://elsewhere.example/"));
    assert!(output.contains("403"), "{output}");
    assert_eq!(scene.upstream.seen().len(), 1);
}

#[test]
fn what_programs_name_after_their_pid_is_told_apart_between_runs() {
    let scene = Scene::new();
    let pid = || scene.run(["sh", "-c", "echo $$"]).success().trim().parse::<u32>().unwrap();
    let pids: std::collections::BTreeSet<_> = (0..4).map(|_| pid()).collect();
    assert!(pids.len() > 1, "{pids:?}");
}

#[test]
fn sudo_says_what_keeps_it_from_working() {
    let scene = Scene::new();
    let output = said(&scene, "sudo -n true");
    assert!(output.contains("\"no new privileges\" flag is set"), "{output}");
}

#[test]
fn a_ping_is_refused_with_a_reason_and_never_answered() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        for (target, reason) in
            [("example.com", "Packet filtered"), ("2001:db8::5", "dministratively prohibited")]
        {
            let output = scene.run(["ping", "-n", "-c", "1", "-W", "2", target]).run();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(!output.status.success() && said.contains(reason), "{target}: {said}");
            assert!(said.contains(" 0 received"), "{target}: {said}");
        }
        // Itself, it reaches.
        scene.run(["ping", "-n", "-c", "1", "-W", "2", "127.0.0.1"]).success();
        scene.run(["ping", "-n", "-c", "1", "-W", "2", "::1"]).success();
    }
}

#[test]
fn a_traceroute_ends_with_a_refusal_not_with_a_host() {
    let scene = Scene::new();
    let output = said(&scene, "traceroute -n -q 1 -m 2 example.com");
    assert!(output.contains("!X"), "{output}");
}

#[test]
fn udp_that_leads_nowhere_has_no_route_but_its_own_loopback_has() {
    let scene = Scene::new();
    let script = "import errno, socket
def told(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    s.connect(address)
    try:
        s.send(b'x')
        s.recv(1)
    except OSError as error:
        return errno.errorcode.get(error.errno, 'nothing')
print(told(('192.0.2.9', 123)), told(('192.0.2.9', 443)), told(('127.0.0.1', 9)))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.sendto(b'hello', server.getsockname())
print(server.recv(5).decode())
client.sendto(b'nobody hears it, and nobody minds', ('192.0.2.9', 8125))";
    let output = scene.run(["python3", "-c", script]).success();
    assert_eq!(output, "EHOSTUNREACH ECONNREFUSED ECONNREFUSED\nhello\n");
}
