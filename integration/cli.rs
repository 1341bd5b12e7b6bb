//! The commands around a run, as their user sees them.

use crate::support::{KEY, Scene, find, text};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_demo_shows_and_checks_everything() {
    let scene = Scene::new();
    let output = scene.authsome(["demo"]).success();
    assert!(!output.contains("FAIL"), "{output}");
    assert!(output.matches("ok  ").count() >= 6, "{output}");
}

#[test]
fn the_demo_needs_no_curl() {
    let scene = Scene::new();
    let output = scene.authsome(["demo", "--json"]).env("PATH", "/nonexistent").success();
    assert_eq!(find(&json(&output), "passed"), Some(&true.into()));
    assert!(output.contains("own client"), "{output}");
}

#[test]
fn doctor_finds_a_working_machine() {
    let scene = Scene::new();
    let report = json(&scene.authsome(["doctor", "--json"]).success());
    assert_eq!(find(&report, "ready"), Some(&true.into()), "{report:#}");
    for name in ["namespaces", "redirection", "vault", "daemon"] {
        assert!(report.to_string().contains(name), "{name} in {report:#}");
    }
}

#[test]
fn a_login_is_listed_and_shown_without_its_secret() {
    let scene = Scene::connected();
    let list = scene.authsome(["list", "--json"]).success();
    assert!(list.contains("openai") && !list.contains(KEY), "{list}");
    let shown = scene.authsome(["get", "openai"]).success();
    assert!(!shown.contains(KEY), "{shown}");
    let revealed = scene.authsome(["get", "openai", "--show-secret"]).success();
    assert!(revealed.contains(KEY), "{revealed}");
}

#[test]
fn a_key_of_the_wrong_shape_is_refused_and_not_repeated() {
    let scene = Scene::new();
    let wrong = "pk-this-is-some-other-vendors-key";
    let output = scene.authsome(["login", "openai", "--secret-stdin"]).stdin_text(wrong).run();
    assert!(!output.status.success());
    let message = text(&output.stderr);
    assert!(message.contains("hint"), "{message}");
    assert!(!message.contains(wrong), "{message}");
    assert!(!scene.authsome(["list"]).success().contains("default"), "nothing was stored");
}

#[test]
fn secrets_come_from_stdin_a_variable_or_a_file() {
    let scene = Scene::new();
    let file = scene.user_home().join("key");
    crate::support::write(&file, format!("{KEY}\n").as_bytes());
    let login = |args: &[&str]| {
        scene.authsome(["login", "openai", "--force"].iter().chain(args)).env("A_KEY", KEY)
    };
    login(&["--connection", "a", "--secret-env", "A_KEY"]).success();
    login(&["--connection", "b", "--secret-file", file.to_str().unwrap()]).success();
    login(&["--connection", "c", "--secret-stdin"]).stdin_text(&format!("{KEY}\n")).success();
    for name in ["a", "b", "c"] {
        let shown = scene.authsome([
            "get",
            "openai",
            "--connection",
            name,
            "--show-secret",
            "--field",
            "api_key",
        ]);
        assert_eq!(shown.success().trim(), KEY);
    }
}

#[test]
fn exit_codes_say_what_kind_of_error_it_was() {
    let scene = Scene::connected();
    let code = |args: &[&str]| scene.authsome(args).run().status.code();
    assert_eq!(code(&["no-such-command"]), Some(2));
    assert_eq!(code(&["get", "no-such-provider"]), Some(3));
    assert_eq!(code(&["get", "openai", "--connection", "nope"]), Some(3));
    assert_eq!(code(&["set-default", "openai", "nope"]), Some(3));
    let again = scene.authsome(["login", "openai", "--secret-stdin"]);
    assert_eq!(again.stdin_text(&KEY.replace("Zk3v", "0the")).run().status.code(), Some(7));
    scene.authsome(["daemon", "stop"]).success();
    crate::support::write(&scene.home().join("master.key"), b"broken");
    let output = scene.authsome(["list"]).run();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("master.key"), "{}", text(&output.stderr));
}

#[test]
fn errors_are_json_on_stderr_when_asked_for() {
    let scene = Scene::new();
    let output = scene.authsome(["get", "opnai", "--json"]).run();
    assert!(output.stdout.is_empty());
    let error = json(&text(&output.stderr));
    assert_eq!(find(&error, "kind").and_then(|kind| kind.as_str()), Some("not_found"));
    assert!(find(&error, "hint").unwrap().to_string().contains("openai"));
}

#[test]
fn exported_values_survive_the_shell() {
    let scene = Scene::connected();
    let output = scene.authsome(["export", "openai", "--format", "shell"]).success();
    let shell = std::process::Command::new("sh")
        .args(["-c", &format!("{output}\nprintf %s \"$OPENAI_API_KEY\"")])
        .output()
        .unwrap();
    assert_eq!(text(&shell.stdout), KEY);
}

#[test]
fn scan_finds_keys_and_imports_them() {
    let scene = Scene::new();
    crate::support::write(
        &scene.user_home().join(".env"),
        format!("# comment\nexport OPENAI_API_KEY=\"{KEY}\"\nOTHER=1\n").as_bytes(),
    );
    let found = scene.authsome(["scan"]).success();
    assert!(found.contains("OPENAI_API_KEY") && !found.contains(KEY), "{found}");
    scene.authsome(["scan", "--import"]).success();
    assert!(scene.authsome(["get", "openai", "--show-secret"]).success().contains(KEY));
}

#[test]
fn a_provider_of_ones_own_is_registered_and_used() {
    let scene = Scene::new();
    let file = scene.user_home().join("acme.toml");
    crate::support::write(
        &file,
        b"name = \"acme\"\ndisplay_name = \"Acme\"\nauth_type = \"api_key\"\n\
          hosts = [\"api.acme.example\"]\n\n[[inject]]\nkind = \"header\"\nname = \"x-acme-key\"\n",
    );
    scene.authsome(["register", file.to_str().unwrap(), "--yes"]).success();
    scene.login("acme", "acme-key-0123456789");
    scene.run(["curl", "-sS", "https://api.acme.example/"]).success();
    assert_eq!(scene.upstream.seen()[0].header("x-acme-key"), Some("acme-key-0123456789"));
    let again = scene.authsome(["register", file.to_str().unwrap(), "--yes"]).run();
    assert_eq!(again.status.code(), Some(7), "{}", text(&again.stderr));
    scene.authsome(["remove", "acme"]).success();
    assert_eq!(scene.authsome(["inspect", "acme"]).run().status.code(), Some(3));
}

#[test]
fn a_bad_configuration_names_file_line_and_mend() {
    let scene = Scene::connected();
    crate::support::write(&scene.home().join("config.toml"), b"[run]\negres = \"providers\"\n");
    let output = scene.run(["true"]).run();
    let message = text(&output.stderr);
    assert!(message.contains("config.toml:2") && message.contains("egress"), "{message}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_configuration_is_what_the_flags_add_to() {
    let scene = Scene::connected();
    crate::support::write(&scene.home().join("config.toml"), b"[run]\negress = \"providers\"\n");
    assert!(!scene.run(["curl", "-sSk", "https://example.com/"]).run().status.success());
    scene
        .run_with(["--allow", "example.com:443"], ["curl", "-sSk", "https://example.com/"])
        .success();
}
