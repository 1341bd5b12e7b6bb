//! Real clients: each must trust the run and have its credential put in, with no help from proxies.

use crate::support::{KEY, Scene, has, packages::packages, text};

const URL: &str = "https://api.openai.com/v1/models";

/// Where `scripts/test-setup` puts the clients.
fn client(path: &str) -> String {
    let client = packages().join(path);
    assert!(client.exists(), "{} is not there: scripts/test-setup installs it", client.display());
    client.to_string_lossy().into_owned()
}

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
fn curl() {
    injected(&["curl", "-sS", URL]);
}

#[test]
fn curl_with_an_empty_environment() {
    injected(&["env", "-i", "curl", "-sS", URL]);
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
fn wget() {
    injected(&["wget", "-q", "-O", "-", URL]);
}

#[test]
fn wget_with_an_empty_environment() {
    injected(&["env", "-i", "wget", "-q", "-O", "-", URL]);
}

#[test]
fn python_urllib() {
    let script = format!("import urllib.request as r; print(r.urlopen('{URL}').read())");
    injected(&["/usr/bin/python3", "-c", &script]);
}

#[test]
fn python_urllib_with_an_empty_environment() {
    let script = format!("import urllib.request as r; print(r.urlopen('{URL}').read())");
    injected(&["env", "-i", "/usr/bin/python3", "-c", &script]);
}

#[test]
fn python_requests() {
    let python = client("python/bin/python3");
    let script = format!("import requests; requests.get('{URL}').raise_for_status()");
    injected(&[&python, "-c", &script]);
}

#[test]
fn python_requests_with_no_variable_but_its_own() {
    let python = client("python/bin/python3");
    let script = format!(
        "import os, requests; os.environ.clear(); requests.get('{URL}').raise_for_status()"
    );
    injected(&[&python, "-c", &script]);
}

#[test]
fn python_httpx_over_http2() {
    let python = client("python/bin/python3");
    let script = format!(
        "import httpx; r = httpx.Client(http2=True).get('{URL}'); r.raise_for_status(); \
         assert r.http_version == 'HTTP/2', r.http_version"
    );
    injected(&[&python, "-c", &script]);
}

#[test]
fn node_fetch() {
    let script = format!("fetch('{URL}').then(r => process.exit(r.ok ? 0 : 1))");
    injected(&["node", "-e", &script]);
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

#[test]
fn git_over_https() {
    let scene = Scene::new();
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ456789";
    scene.login("github-git", token);
    // The upstream is no git server; what matters is what it was asked with.
    let output = scene.run(["git", "ls-remote", "https://github.com/owner/private.git"]).run();
    let seen = scene.upstream.seen();
    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("x-access-token:{token}"),
    );
    assert_eq!(
        seen.first().and_then(|seen| seen.header("authorization")),
        Some(format!("Basic {basic}").as_str()),
        "{}",
        text(&output.stderr)
    );
    assert!(seen[0].uri.contains("/owner/private.git/info/refs"));
}

#[test]
fn java() {
    let scene = Scene::connected();
    let source = scene.user_home().join("Get.java");
    let program = format!(
        "public class Get {{ public static void main(String[] a) throws Exception {{ \
         var c = (javax.net.ssl.HttpsURLConnection) new java.net.URL(\"{URL}\").openConnection(); \
         System.exit(c.getResponseCode() == 200 ? 0 : 1); }} }}"
    );
    crate::support::write(&source, program.as_bytes());
    scene.run(["java", source.to_str().unwrap()]).success();
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}

#[test]
fn chromium() {
    let scene = Scene::connected();
    let flags = ["--headless=new", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"];
    let browse = ["timeout", "60", "chromium"].into_iter().chain(flags).chain([URL]);
    let output = scene.run(browse).run();
    let bearer = format!("Bearer {KEY}");
    let seen = scene.upstream.seen();
    assert!(
        seen.iter().any(|seen| seen.header("authorization") == Some(&bearer)),
        "{seen:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    // What it must find there when it is run outside: the empty directory that it makes itself.
    let left = std::fs::read_dir(scene.user_home().join(".pki/nssdb")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_browsers_own_database_is_shown_with_the_runs_certificate_and_kept() {
    for password in ["", "secret"] {
        let scene = Scene::new();
        let certutil = |script: &str| {
            let script = format!(
                "cd ~; umask 77; mkdir -p .pki/nssdb; printf '{password}\\n' > word; \
                 certutil() {{ command certutil \"$@\" -d sql:.pki/nssdb -f word; }}; {script}"
            );
            ["sh".to_owned(), "-c".to_owned(), script]
        };
        let outside = |script: &str| {
            let mut program = scene.authsome::<[&str; 0]>([]);
            let [shell, flag, script] = certutil(script);
            let mut command = std::process::Command::new(shell);
            command.args([flag, script]).env_clear().env("HOME", scene.user_home());
            command.env("PATH", "/usr/bin:/bin");
            scene.as_user(&mut command);
            program.command = command;
            program.success()
        };
        let add = format!("certutil -A -n mine -t TC,, -i {}", scene.ca_file().display());
        outside(&format!("certutil -N && {add}"));
        let before = outside("cat .pki/nssdb/*.db | sha256sum");

        // Reading and writing, as a browser does.
        let inside = certutil("certutil -L && certutil -M -n mine -t C,, && certutil -D -n mine");
        let seen = scene.run(inside).success();

        let trust = |name: &str| {
            let line = seen.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_ascii_whitespace().last()).map(str::to_owned)
        };
        assert_eq!(trust("mine").as_deref(), Some("CT,,"), "{seen}");
        assert_eq!(trust("authsome run").as_deref(), Some("C,,"), "{seen}");
        assert_eq!(outside("cat .pki/nssdb/*.db | sha256sum"), before);
    }
}

#[test]
fn claude_code() {
    let scene = Scene::new();
    let key = "sk-ant-api03-Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gHjK2lQ9wX7tB2nM5cR8yU1oP4aS6dF0gHjK2lQ9wX7tB2nM5cR8yU1oP-4aS6dAA";
    scene.login("anthropic", key);
    // It goes on about the answer; what matters is what reached the API.
    let _ = scene.run(["timeout", "60", &client("node_modules/.bin/claude"), "-p", "hi"]).run();
    let seen = scene.upstream.seen();
    let request = seen.iter().find(|seen| seen.uri.contains("/v1/messages"));
    assert_eq!(
        request.and_then(|seen| seen.header("x-api-key")),
        Some(key),
        "{:?}",
        seen.iter().map(|seen| &seen.uri).collect::<Vec<_>>()
    );
}

#[test]
fn codex() {
    let scene = Scene::connected();
    let codex = client("node_modules/.bin/codex");
    let output = scene.run(["timeout", "60", &codex, "exec", "--skip-git-repo-check", "hi"]).run();
    let bearer = format!("Bearer {KEY}");
    let seen = scene.upstream.seen();
    assert!(
        seen.iter()
            .any(|seen| seen.uri.contains("/responses")
                && seen.header("authorization") == Some(&bearer)),
        "{seen:?}\n{}",
        text(&output.stderr)
    );
}
