//! The dashboard of the real daemon, before a real browser and before strangers.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, chown},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    browser::{Browser, look},
    support::{KEY, Scene, eventually, text, write},
};

/// A token in the shape of GitHub's.
const TOKEN: &str = "ghp_Zk3vQ9wX7tB2nM5cR8yU1oP4aS6dF0gHjK";

/// A home with a dashboard on a port of its own.
pub(crate) fn scene() -> Scene {
    let scene = Scene::new();
    scene.authsome(["init"]).success();
    let config = scene.home().join("config.toml");
    write(&config, b"dashboard_port = 0\n");
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    chown(&config, Some(owner.uid()), Some(owner.gid())).unwrap();
    scene
}

/// A one-time link.
pub(crate) fn link(scene: &Scene) -> String {
    let answer = scene.authsome(["ui", "--no-browser", "--json"]).success();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["url"].as_str().unwrap().to_owned()
}

/// `http://127.0.0.1:PORT`, as the daemon says it.
fn origin(scene: &Scene) -> String {
    let answer = scene.authsome(["daemon", "status", "--json"]).success();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    crate::support::find(&answer, "dashboard").unwrap().as_str().unwrap().to_owned()
}

/// Status, head and body of an answer to `curl ARGS…`.
fn curl(args: &[&str]) -> (u16, String) {
    let output = Command::new("curl").args(["-sS", "-i", "-m", "20"]).args(args).output().unwrap();
    let answer = text(&output.stdout);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{args:?}: {output:?}")), answer)
}

/// The cookie that a link is exchanged for: `NAME=VALUE`.
fn cookie(scene: &Scene) -> String {
    let (status, answer) = curl(&[&link(scene)]);
    assert_eq!(status, 200, "{answer}");
    let (_, cookie) = answer.split_once("set-cookie: ").expect("a cookie");
    cookie.split(';').next().unwrap().to_owned()
}

/// A run that stays open until it is killed, after it was refused a host.
struct Open(Child);

impl Open {
    fn run(scene: &Scene) -> Self {
        let script = "curl -sS -m 5 https://exfil.example.test/; \
                      curl -sS https://api.openai.com/v1/models; sleep 600";
        let mut program = scene.run_with(["--egress", "providers"], ["sh", "-c", script]);
        let command = program.command.stdin(Stdio::null()).stdout(Stdio::null());
        let run = Self(command.stderr(Stdio::null()).spawn().unwrap());
        eventually("the run asks", || !scene.upstream.seen().is_empty());
        run
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_person_connects_by_clicking_watches_a_run_and_disconnects() {
    let scene = scene();
    let (link, mut browser) = (link(&scene), Browser::start(&scene));
    assert_eq!(browser.open(&link).title, "Overview – authsome");

    browser.follow("Providers");
    browser.fill("Search by name or host", "api.openai.com");
    browser.press("Search");
    browser.follow("OpenAI");
    let filled = browser.fill("API key", KEY);
    assert!(!filled.text.contains(KEY), "the key can be read: {}", filled.text);
    let connected = browser.press("Connect");
    assert!(connected.text.contains("The connection is stored."), "{}", connected.text);
    assert!(connected.text.contains("openai/default"), "{}", connected.text);

    browser.follow("Runs");
    browser.wait_for("Live: new requests appear on top.");
    scene.run(["curl", "-sS", "https://api.openai.com/v1/models"]).success();
    let seen = scene.upstream.seen();
    let bearer = seen.last().and_then(|seen| seen.header("authorization"));
    assert_eq!(bearer, Some(&*format!("Bearer {KEY}")));
    let live = browser.wait_for("api.openai.com/v1/models");
    assert!(live.text.contains("Credential added"), "{}", live.text);
    scene.run_with(["--egress", "providers"], ["curl", "-sS", "https://exfil.example.test/"]).run();
    let live = browser.wait_for("egress-refused");
    assert!(live.text.contains("exfil.example.test"), "{}", live.text);
    assert!(!live.html.contains(KEY), "{}", live.html);

    browser.follow("Connections");
    browser.follow("Disconnect openai/default");
    let gone = browser.press("Disconnect openai/default");
    assert!(gone.text.contains("openai/default is deleted."), "{}", gone.text);
    let list = scene.authsome(["list", "--json"]).success();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["connections"], serde_json::json!([]));

    assert_eq!(browser.press("Sign out").title, "Signed out – authsome");
    assert_eq!(browser.open(&origin(&scene)).title, "Nothing here – authsome");
    assert_eq!(browser.open(&link).title, "Nothing here – authsome");
}

#[test]
fn a_provider_with_a_login_takes_a_pasted_token() {
    let scene = scene();
    let mut browser = Browser::start(&scene);
    browser.open(&link(&scene));
    browser.follow("Providers");
    browser.follow("GitHub");
    browser.unfold("Use a key or token instead");
    browser.fill("Personal access token", "no token of theirs");
    let refused = browser.press("Connect");
    assert!(refused.text.contains("Starts with ghp_ or github_pat_."), "{}", refused.text);
    // What was sent is open again, and empty where it was secret.
    assert!(!refused.html.contains("no token of theirs"), "{}", refused.html);
    browser.fill("Personal access token", TOKEN);
    assert!(browser.press("Connect").text.contains("The connection is stored."));
    scene.run(["curl", "-sS", "https://api.github.com/user"]).success();
    let seen = scene.upstream.seen();
    let bearer = seen.last().and_then(|seen| seen.header("authorization"));
    assert_eq!(bearer, Some(&*format!("Bearer {TOKEN}")));
}

#[test]
fn every_page_can_be_used_by_everybody() {
    let scene = scene();
    scene.login("openai", KEY);
    scene.login("github", TOKEN);
    let _run = Open::run(&scene);
    let answer = scene.authsome(["daemon", "status", "--json"]).success();
    let status: Value = serde_json::from_str(&answer).unwrap();
    let runs = crate::support::find(&status, "runs").unwrap();
    let run = format!("/runs/{}", runs[0]["id"].as_str().unwrap());
    let pages = [
        "/",
        "/connections",
        "/connections/openai/default/disconnect",
        "/providers",
        "/providers/github",
        "/providers/openai",
        "/providers/salesforce",
        "/runs",
        &run,
        "/audit",
        "/audit?decision=deny",
        "/health",
    ];
    look(&scene, &link(&scene), &pages.map(str::to_owned));
}

#[test]
fn strangers_are_refused() {
    let scene = scene();
    let cookie = cookie(&scene);
    let origin = origin(&scene);
    let page = format!("{origin}/connections");
    let (status, shown) = curl(&["-b", &cookie, &page]);
    assert_eq!(status, 200, "{shown}");
    for header in [
        "x-frame-options: DENY",
        "frame-ancestors 'none'",
        "default-src 'none'",
        "cache-control: no-store",
    ] {
        assert!(shown.contains(header), "no {header} in {shown}");
    }
    let post = format!("{origin}/providers/openai/key");
    let csrf = shown.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap();
    let form = format!("csrf={csrf}&secret.api_key={KEY}&connection=default");
    let own = format!("Origin: {origin}");
    for (status, what, args) in [
        (403, "no session", vec![&*page]),
        (403, "a guessed session", vec!["-b", "authsome=00", &page]),
        (421, "another name", vec!["-b", &cookie, "-H", "Host: evil.test", &page]),
        (421, "localhost", vec!["-b", &cookie, "-H", "Host: localhost", &page]),
        (403, "another origin", vec!["-b", &cookie, "-H", "Origin: https://evil.test", &page]),
        (403, "a frame", vec!["-b", &cookie, "-H", "Sec-Fetch-Site: cross-site", &page]),
        (403, "a form without a token", vec!["-b", &cookie, "-H", &own, "-d", "a=b", &post]),
        (
            403,
            "a form of another origin",
            vec!["-b", &cookie, "-H", "Origin: http://127.0.0.1:1", "-d", &form, &post],
        ),
        (403, "a form of nobody's", vec!["-H", &own, "-d", &form, &post]),
        (403, "a guessed link", vec!["--url", &format!("{origin}/open/{}", "0".repeat(64))]),
    ] {
        let (got, answer) = curl(&args);
        assert_eq!(got, status, "{what}: {answer}");
        assert!(!answer.contains("csrf"), "{what}: {answer}");
    }
    let list = scene.authsome(["list", "--json"]).success();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["connections"], serde_json::json!([]), "a refused form was taken");
    let (status, answer) = curl(&["-b", &cookie, "-H", &own, "-d", &form, &post]);
    assert_eq!(status, 303, "the same form from its own page: {answer}");
}

/// Serves one page to whoever asks; its address.
fn elsewhere(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    address
}

#[test]
fn no_page_shows_it_in_a_frame() {
    let scene = scene();
    let mut browser = Browser::start(&scene);
    browser.open(&link(&scene));
    let framing = |inside: &str| {
        format!(
            "<!doctype html><html lang=en><title>Elsewhere</title><main><h1>Elsewhere</h1>\
             <iframe title=inside src=\"{inside}\"></iframe></main>"
        )
    };
    // Another port of 127.0.0.1 is of the same site, so the session goes along.
    let own = elsewhere("<!doctype html><html lang=en><title>Inside</title><p>Inside".to_owned());
    let shown = browser.open(&elsewhere(framing(&own)));
    assert_eq!(shown.frames, [own]);

    let refused = browser.open(&elsewhere(framing(&format!("{}/connections", origin(&scene)))));

    assert_eq!(refused.title, "Elsewhere");
    assert_eq!(refused.frames, ["chrome-error://chromewebdata/"]);
}

#[test]
fn a_link_works_once() {
    let scene = scene();
    let link = link(&scene);
    assert_eq!(curl(&[&link]).0, 200);
    let (status, again) = curl(&[&link]);
    assert_eq!(status, 403, "{again}");
    assert!(!again.contains("set-cookie"), "{again}");
}
