//! What an agent that goes on finds when its sidecar dies, comes back, and is stopped.

use super::pod::{CAPABILITIES, Pod};
use crate::support::{
    KEY,
    docker::{AGENT, AUTHSOME, Engine, OUTSIDE, OUTSIDE6},
    eventually,
};

const URL: &str = "https://api.openai.com/v1/models";

/// An agent that lives through all of it.
fn start_agent(pod: &Pod) {
    let trust = format!("--volume={}:/run/authsome:ro", pod.trust().display());
    let environment = format!("--env-file={}", pod.trust().join("env").display());
    let mounts = Engine::host_programs();
    let mut args = vec!["run", "--detach", "--name=agent", "--network=container:network"];
    args.extend(["--cap-drop=ALL", "--user=1000:1000", &trust, &environment]);
    args.extend(mounts.iter().map(String::as_str));
    args.extend([AGENT, "sleep", "infinity"]);
    pod.engine.docker(args).success();
}

/// curl's exit code for a request of that agent's over each family, and how many of them arrived with
/// the credential.
fn requests(pod: &Pod) -> (Vec<Option<i32>>, usize) {
    let before = pod.engine.upstream.seen().len();
    let codes = [OUTSIDE.to_owned(), format!("[{OUTSIDE6}]")].map(|address| {
        let resolve = format!("api.openai.com:443:{address}");
        let curl = ["exec", "agent", "curl", "-sS", "--max-time", "10", "--resolve", &resolve, URL];
        pod.engine.docker(curl).run().status.code()
    });
    let bearer = format!("Bearer {KEY}");
    let seen = pod.engine.upstream.seen();
    let injected =
        seen[before..].iter().filter(|one| one.header("authorization") == Some(&bearer)).count();
    (codes.to_vec(), injected)
}

/// curl: failed to connect.
const REFUSED: Option<i32> = Some(7);

#[test]
fn a_killed_sidecar_leaves_443_closed_and_is_repaired_by_a_restart() {
    let Some(pod) = Pod::new() else { return };
    let secret = format!("--env=OPENAI_API_KEY={KEY}");
    pod.sidecar(&[&secret, "--volume=home:/var/lib/authsome"], &["--from-env"]);
    start_agent(&pod);
    let bundle = || {
        let mut files: Vec<_> = std::fs::read_dir(pod.trust())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // This one says which process is ready.
            .filter(|path| !path.ends_with("ready"))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let trust = bundle();
    assert_eq!(requests(&pod), (vec![Some(0); 2], 2));
    pod.authsome(&["sidecar", "--ready"]).success();

    pod.engine.docker(["kill", "--signal=KILL", "authsome"]).success();
    let before = pod.engine.upstream.seen().len();
    assert_eq!(requests(&pod), (vec![REFUSED; 2], 0));
    let insecure = ["exec", "agent", "curl", "-sSk", "--max-time", "10", URL];
    assert_eq!(pod.engine.docker(insecure).run().status.code(), REFUSED);
    assert_eq!(pod.engine.upstream.seen().len(), before);

    // The same agent, with the same files, goes on.
    pod.engine.docker(["start", "authsome"]).success();
    pod.wait_until_healthy();
    assert_eq!(requests(&pod), (vec![Some(0); 2], 2));
    assert_eq!(bundle(), trust);

    // A worker's death ends the container with a failure, so that an engine starts it again; no less closed.
    beside(&pod, "65532:65532", "kill -KILL $(cat /proc/1/task/1/children)");
    eventually("the sidecar ends", || {
        pod.engine.inspect("authsome", "{{.State.Status}}") == "exited"
    });
    assert_ne!(pod.engine.inspect("authsome", "{{.State.ExitCode}}"), "0");
    assert_eq!(requests(&pod), (vec![REFUSED; 2], 0));

    // A clean stop takes the rules away: the way out is open, without a credential.
    pod.engine.docker(["start", "authsome"]).success();
    pod.wait_until_healthy();
    pod.engine.docker(["stop", "authsome"]).success();
    assert_eq!(pod.engine.inspect("authsome", "{{.State.ExitCode}}"), "0");
    let arrived = pod.engine.upstream.seen().len();
    pod.engine.docker(insecure).success();
    let seen = pod.engine.upstream.seen();
    assert_eq!(seen.len(), arrived + 1);
    assert_eq!(seen[arrived].header("authorization"), None);
}

/// A shell in the sidecar's process namespace, which an agent has no way into; what it wrote.
fn beside(pod: &Pod, user: &str, script: &str) -> String {
    let user = format!("--user={user}");
    let mounts = Engine::host_programs();
    let mut args = vec!["run", "--rm", "--pid=container:authsome", "--network=none", &user];
    args.extend(mounts.iter().map(String::as_str));
    args.extend([AGENT, "bash", "-c", script]);
    pod.engine.docker(args).success()
}

#[test]
fn the_sidecar_runs_as_nobody_with_nothing_but_its_guards_one_capability() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[], &[]);

    let script = "for process in 1 $(cat /proc/1/task/1/children); do \
                  grep -E '^(Uid|CapEff|NoNewPrivs)' /proc/$process/status; done";
    let said = beside(&pod, "0:0", script);
    // NET_ADMIN is bit 12.
    let status = |capabilities: &str| {
        format!("Uid:\t65532\t65532\t65532\t65532\nCapEff:\t{capabilities}\nNoNewPrivs:\t1\n")
    };
    assert_eq!(said, status("0000000000001000") + &status("0000000000000000"));
}

#[test]
fn a_sidecar_that_holds_the_network_itself_takes_it_along() {
    let Some(pod) = Pod::without_network() else { return };
    let start = |name: &str, flags: &[&str], image_and_command: &[&str]| {
        let name = format!("--name={name}");
        let mut args = vec!["run", "--detach", &name];
        args.extend(flags.iter().chain(image_and_command));
        pod.engine.docker(args).success();
    };
    let capabilities = CAPABILITIES.map(|capability| format!("--cap-add={capability}"));
    let mut flags = vec!["--cap-drop=ALL"];
    flags.extend(capabilities.iter().map(String::as_str));
    start("authsome", &flags, &[AUTHSOME]);
    pod.wait_until_healthy();
    let mounts = Engine::host_programs();
    let mut flags = vec!["--network=container:authsome", "--cap-drop=ALL"];
    flags.extend(mounts.iter().map(String::as_str));
    start("agent", &flags, &[AGENT, "sleep", "infinity"]);
    let interfaces = || pod.engine.docker(["exec", "agent", "cat", "/proc/net/dev"]).success();
    assert!(interfaces().contains("eth0"));

    pod.engine.docker(["kill", "--signal=KILL", "authsome"]).success();
    pod.engine.docker(["start", "authsome"]).success();
    pod.wait_until_healthy();

    // Why `deploy/` has a container for the network: the agent is closed in for good.
    assert!(!interfaces().contains("eth0"));
}
