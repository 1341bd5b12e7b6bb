//! One client in the ways that it can be told to connect.

use crate::support::{KEY, Scene, has, text, write};

pub(super) const URL: &str = "https://api.openai.com/v1/models";

/// Runs a client and insists that its request carried the key.
fn injected(command: &[&str]) {
    let scene = Scene::connected();
    let output = scene.run(command).run();
    let seen = scene.upstream.seen();
    let bearer = format!("Bearer {KEY}");
    assert!(
        seen.iter().any(|seen| seen.header("authorization") == Some(&bearer)),
        "{command:?}: {}\n{}\n{seen:?}",
        output.status,
        text(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

#[test]
fn curl_over_http2_and_over_http1() {
    let scene = Scene::connected();
    let show = ["-sS", "-o", "/dev/null", "-w", "%{http_version}"];
    let version =
        |flag| scene.run(["curl", flag].iter().copied().chain(show).chain([URL])).success();
    assert_eq!(version("--http2"), "2");
    assert_eq!(version("--http1.1"), "1.1");
    let bearer = format!("Bearer {KEY}");
    assert!(scene.upstream.seen().iter().all(|seen| seen.header("authorization") == Some(&bearer)));
}

#[test]
fn curl_over_ipv4() {
    injected(&["curl", "-sS", "-4", URL]);
}

#[test]
fn curl_to_a_literal_ipv6_address() {
    injected(&["curl", "-sS", "-6", "--resolve", "api.openai.com:443:[2606:4700::1111]", URL]);
}

#[test]
fn curl_that_refuses_proxies() {
    injected(&["curl", "-sS", "--noproxy", "*", URL]);
}

#[test]
fn python_requests_with_no_variable_but_its_own() {
    let python = super::client("python/bin/python3");
    let script = format!(
        "import os, requests; os.environ.clear(); requests.get('{URL}').raise_for_status()"
    );
    injected(&[&python, "-c", &script]);
}

#[test]
fn openssl_with_an_empty_environment() {
    assert!(has("openssl"));
    let scene = Scene::connected();
    let script = "printf 'GET / HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: close\\r\\n\\r\\n' | \
                  openssl s_client -quiet -verify_return_error -connect api.openai.com:443 \
                  -servername api.openai.com";
    scene.run(["env", "-i", "/bin/sh", "-c", script]).success();
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}

/// What the user trusts is trusted in a run, and the run is: under `env -i` too, where only the file
/// tells of it.
#[test]
fn roots_that_a_configuration_names_are_kept_and_the_runs_added() {
    let clients: [(&str, &str, &[&str]); 3] = [
        (".curlrc", "cacert = @", &["curl", "-sSf"]),
        (".wgetrc", "ca_certificate = @", &["wget", "-q", "-O", "-"]),
        (".gitconfig", "[http]\n\tsslCAInfo = @", &["git", "ls-remote"]),
    ];
    for (file, line, client) in clients {
        let scene = Scene::connected();
        let line = line.replace('@', &scene.ca_file().display().to_string());
        write(&scene.user_home().join(file), format!("{line}\n").as_bytes());
        let script = format!(
            "for host in api.openai.com spliced.example; do \
             {0} https://$host/ && env -i HOME=\"$HOME\" {0} https://$host/ || exit; done",
            client.join(" ")
        );
        scene.run(["/bin/sh", "-c", &script]).success();
        let bearer = format!("Bearer {KEY}");
        let seen = scene.upstream.seen();
        let injected = seen.iter().filter(|seen| seen.header("authorization") == Some(&bearer));
        assert!(injected.count() >= 2, "{file}: {seen:?}");
    }
}

/// A file that is covered cannot be removed, as whoever installs a newer one does.
#[test]
fn an_environment_that_is_exposed_can_be_upgraded_in_a_run() {
    let scene = Scene::new();
    let packages = ".venv/lib/python3.12/site-packages/certifi";
    let script = format!("mkdir -p {packages} && touch {packages}/cacert.pem");
    scene.run(["/bin/sh", "-c", &script]).success();
    let environment = scene.user_home().join(".venv");
    let remove = ["rm", "-r", packages];
    let covered = scene.run(remove).env("VIRTUAL_ENV", &environment).run();
    assert!(text(&covered.stderr).contains("busy"), "{}", text(&covered.stderr));
    scene.run_with(["--expose", ".venv"], remove).env("VIRTUAL_ENV", &environment).success();
    assert!(!environment.join("lib/python3.12/site-packages/certifi").exists());
}
