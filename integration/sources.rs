//! Connections whose secret lies elsewhere, from where it lies to the upstream.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::support::{As, KEY, Scene, eventually, is_root, text, write};

/// What `KEY` is rotated to: longer.
const NEXT: &str = "sk-proj-Q1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6J7k8L9";
/// How it ends.
const END: &str = "G5h6J7k8L9";
const URL: &str = "https://api.openai.com/v1/models";

/// A directory of the scene's user with the secret in a file.
fn secrets(scene: &Scene) -> PathBuf {
    let directory = scene.user_home().join(".keys");
    std::fs::create_dir(&directory).unwrap();
    write(&directory.join("openai"), format!("{KEY}\n").as_bytes());
    let owner = std::fs::metadata(scene.user_home()).unwrap();
    let (uid, gid) =
        (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
    for path in [&directory, &directory.join("openai")] {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
    directory
}

/// Replaces a file as what rotates secrets does: another one takes its name.
fn rotate(file: &Path, contents: &str) {
    let beside = file.with_extension("next");
    write(&beside, contents.as_bytes());
    std::fs::rename(beside, file).unwrap();
}

fn login(scene: &Scene, from: &str) {
    scene.authsome(["login", "openai", "--from", from]).success();
}

fn login_from_file(scene: &Scene) -> PathBuf {
    let file = secrets(scene).join("openai");
    login(scene, &format!("file:{}", file.display()));
    file
}

/// The keys that the upstream was sent.
fn sent(scene: &Scene) -> Vec<String> {
    let seen = scene.upstream.seen();
    let keys = seen.iter().filter_map(|seen| seen.header("authorization")?.strip_prefix("Bearer "));
    keys.map(str::to_owned).collect()
}

/// Nothing that is written down, or shown without being asked to, has the secret.
fn nothing_tells(scene: &Scene) {
    let shown = [
        scene.authsome(["list", "--json"]).success(),
        scene.authsome(["get", "openai"]).success(),
        scene.authsome(["inspect", "openai"]).success(),
        scene.authsome(["log", "--json"]).success(),
        std::fs::read_to_string(scene.home().join("daemon.log")).unwrap(),
    ];
    for text in shown {
        assert!(!text.contains(KEY) && !text.contains(NEXT), "{text}");
    }
}

#[test]
fn a_variable_is_injected_and_taken_from_the_agent() {
    let scene = Scene::new();
    let login = scene.authsome(["login", "openai", "--from", "env:OWN_KEY"]);
    login.env("OWN_KEY", KEY).success();
    let script = format!("echo \"[$OWN_KEY]\"; curl -sS {URL}");
    let output = scene.run(["sh", "-c", &script]).env("OWN_KEY", KEY).success();
    assert!(output.starts_with("[]\n"), "{output}");
    assert_eq!(sent(&scene), [KEY]);
    nothing_tells(&scene);
}

#[test]
fn a_daemon_that_is_started_anew_takes_the_variable_over() {
    let scene = Scene::new();
    let login = scene.authsome(["login", "openai", "--from", "env:OWN_KEY"]);
    login.env("OWN_KEY", KEY).success();
    scene.authsome(["daemon", "stop"]).success();
    scene.run(["curl", "-sS", URL]).env("OWN_KEY", KEY).success();
    assert_eq!(sent(&scene), [KEY]);
    scene.authsome(["daemon", "stop"]).success();
    let output = scene.run(["curl", "-sS", URL]).success();
    assert!(output.contains("source-failed") && output.contains("OWN_KEY"), "{output}");
    assert_eq!(sent(&scene), [KEY]);
}

#[test]
fn a_file_is_injected_and_hidden_from_the_agent() {
    for whom in [As::User, As::Own] {
        let scene = Scene::acting(whom);
        login_from_file(&scene);
        let script =
            format!("cat ~/.keys/*; mv ~/.keys ~/elsewhere; cat ~/*/openai; curl -sS {URL}");
        let output = scene.run(["sh", "-c", &script]).run();
        assert!(!text(&output.stdout).contains(KEY), "{}", text(&output.stdout));
        assert!(!text(&output.stderr).contains(KEY));
        assert_eq!(sent(&scene), [KEY]);
        nothing_tells(&scene);
    }
}

#[test]
fn a_file_that_is_replaced_is_used_and_stays_hidden() {
    let scene = Scene::new();
    let file = login_from_file(&scene);
    let go = scene.user_home().join("go");
    let script = format!(
        "touch ready; while ! [ -e {} ]; do sleep 0.1; done; cat ~/.keys/*; \
         while ! curl -sS https://api.openai.com/only/{END} | grep -q object; do sleep 0.1; done; \
         curl -sS https://api.openai.com/reflect",
        go.display()
    );
    let ready = scene.user_home().join("ready");
    let output = std::thread::scope(|scope| {
        let run = scope.spawn(|| scene.run(["sh", "-c", &script]).run());
        eventually("the agent", || ready.exists());
        rotate(&file, NEXT);
        write(&go, b"");
        run.join().unwrap()
    });
    let shown = text(&output.stdout);
    assert!(output.status.success() && shown.contains("plain Bearer sk-"), "{shown}");
    assert!(!shown.contains(NEXT) && !shown.contains(KEY), "{shown}");
    assert_eq!(sent(&scene).last().map(String::as_str), Some(NEXT));
    nothing_tells(&scene);
}

#[test]
fn a_run_that_could_not_hide_a_file_does_not_begin() {
    let scene = Scene::new();
    let file = login_from_file(&scene);
    let directory = file.parent().unwrap();
    let mut program = scene.run(["true"]);
    program.command.current_dir(directory);
    let output = program.run();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("start in another directory"),
        "{}",
        text(&output.stderr)
    );
    std::fs::remove_dir_all(directory).unwrap();
    let output = scene.run(["true"]).run();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("must be hidden"), "{}", text(&output.stderr));
}

#[test]
fn what_a_command_writes_is_injected() {
    let scene = Scene::new();
    let file = secrets(&scene).join("openai");
    login(&scene, &format!("command:cat {}", file.display()));
    scene.run(["curl", "-sS", URL]).success();
    assert_eq!(sent(&scene), [KEY]);
    let export = scene.authsome(["export", "openai"]).success();
    assert!(export.contains(KEY), "{export}");
    nothing_tells(&scene);
}

#[test]
fn a_value_that_is_refused_is_fetched_again_and_the_request_sent_again() {
    let scene = Scene::new();
    let file = secrets(&scene).join("openai");
    login(&scene, &format!("command:cat {}", file.display()));
    rotate(&file, NEXT);
    let url = format!("https://api.openai.com/only/{END}");
    let output = scene.run(["curl", "-sS", &url]).success();
    assert!(output.contains("object"), "{output}");
    assert_eq!(sent(&scene), [KEY, NEXT]);
    nothing_tells(&scene);
}

#[test]
fn without_a_value_nothing_is_sent() {
    let scene = Scene::new();
    for (from, code) in [
        ("command:sh -c 'echo sk-proj-of-no-use; echo locked >&2; exit 3'", "source-failed"),
        ("command:echo pk-of-another-provider", "source-invalid"),
        ("command:true", "source-failed"),
        ("keyring:authsome-test/nobody", "source-failed"),
    ] {
        scene.authsome(["login", "openai", "--force", "--no-check", "--from", from]).success();
        let output = scene.run(["curl", "-sS", "-i", URL]).success();
        assert!(output.contains(" 503") && output.contains(code), "{from}: {output}");
        assert!(!output.contains("sk-proj-of-no-use") && !output.contains("locked"), "{output}");
        let list = scene.authsome(["list"]).success();
        assert!(list.contains("source failed"), "{list}");
    }
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn the_program_that_gives_a_secret_cannot_be_replaced_by_an_agent() {
    let scene = Scene::new();
    let program = scene.user_home().join("give-key");
    write(&program, format!("#!/bin/sh\necho {KEY}\n").as_bytes());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        let owner = std::fs::metadata(scene.user_home()).unwrap();
        let uid = std::os::unix::fs::MetadataExt::uid(&owner);
        std::os::unix::fs::chown(&program, Some(uid), None).unwrap();
    }
    let mut login = scene.authsome(["login", "openai", "--from", "command:./give-key"]);
    login.command.current_dir(scene.user_home());
    login.success();
    let script = "echo evil > give-key; mv give-key old; rm -f give-key; echo evil > new; \
                  mv new give-key; cat give-key";
    let output = scene.run(["sh", "-c", script]).run();
    assert!(text(&output.stdout).ends_with(&format!("echo {KEY}\n")), "{}", text(&output.stdout));
    assert!(std::fs::read_to_string(&program).unwrap().contains(KEY));
}
