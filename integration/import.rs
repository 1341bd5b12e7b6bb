//! `import`, from homes that releases of the earlier product have made to our vault.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{Scene, text};

/// A recorded home, where the scene's user can read it.
fn home(scene: &Scene, version: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(version);
    let to = scene.directory.path().join(version);
    copy(&from, &to);
    let mut open = std::process::Command::new("chmod");
    assert!(open.args(["-R", "a+rX"]).arg(&to).status().unwrap().success());
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Imports a home; the exit code and what was said, which never is a secret.
fn import(scene: &Scene, home: &Path, flags: &[&str]) -> (i32, Value) {
    let home = home.to_str().unwrap();
    let output = scene.authsome(["import", home, "--json"].iter().chain(flags)).run();
    for said in [text(&output.stdout), text(&output.stderr)] {
        assert!(!said.contains("sk-made-up") && !said.contains("made-up-acme"), "{said}");
    }
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (output.status.code().unwrap(), said)
}

fn status<'v>(said: &'v Value, connection: &str) -> &'v str {
    let connections = said["connections"].as_array().unwrap();
    let found = connections.iter().find(|one| {
        let name = format!(
            "{}/{}",
            one["provider"].as_str().unwrap(),
            one["connection"].as_str().unwrap()
        );
        name == connection
    });
    found.unwrap()["status"].as_str().unwrap()
}

fn key(scene: &Scene, provider: &str, connection: &str) -> String {
    let args = ["get", provider, "--connection", connection, "--show-secret", "--field", "api_key"];
    scene.authsome(args).success().trim().to_owned()
}

#[test]
fn keys_are_stored_once_and_are_the_same() {
    let scene = Scene::new();
    let old = home(&scene, "0.2");

    let (_, first) = import(&scene, &old, &["--yes"]);
    let (_, second) = import(&scene, &old, &["--yes"]);

    for name in ["acme/default", "openai/default", "openai/second", "openai/work-default"] {
        assert_eq!(status(&first, name), "imported", "{name}");
        assert_eq!(status(&second, name), "unchanged", "{name}");
    }
    assert_eq!(key(&scene, "openai", "default"), "sk-made-up-0-2-openai-default-key");
    assert_eq!(key(&scene, "openai", "work-default"), "sk-made-up-0-2-openai-work-key");
    assert_eq!(key(&scene, "acme", "default"), "made-up-acme-key-0-2");
}

#[test]
fn another_value_is_kept_unless_force_says_otherwise() {
    let scene = Scene::connected();
    let old = home(&scene, "0.2");

    let (code, kept) = import(&scene, &old, &["--yes"]);
    assert_eq!((code, status(&kept, "openai/default")), (1, "different"));
    assert_eq!(key(&scene, "openai", "default"), crate::support::KEY);

    let (_, replaced) = import(&scene, &old, &["--yes", "--force"]);
    assert_eq!(status(&replaced, "openai/default"), "replaced");
    assert_eq!(key(&scene, "openai", "default"), "sk-made-up-0-2-openai-default-key");
}

#[test]
fn the_default_of_the_old_home_is_the_default_here() {
    let scene = Scene::new();
    let old = home(&scene, "0.3");

    import(&scene, &old, &[]);

    let args = ["get", "openai", "--show-secret", "--field", "api_key"];
    let default = scene.authsome(args).success();
    assert_eq!(default.trim(), "sk-made-up-0-3-openai-work-key");
}

#[test]
fn a_default_that_was_chosen_here_stays() {
    let scene = Scene::new();
    scene.login("openai", crate::support::KEY);
    let old = home(&scene, "0.3");

    import(&scene, &old, &[]);

    let args = ["get", "openai", "--show-secret", "--field", "api_key"];
    assert_eq!(scene.authsome(args).success().trim(), crate::support::KEY);
}

#[test]
fn a_key_is_not_stored_where_its_own_definition_was_not_agreed_to() {
    let scene = Scene::new();
    let old = home(&scene, "0.2");
    // Ours of that name would send it to other hosts.
    let acme = fs::read_to_string(old.join("providers/acme.json")).unwrap();
    let gateway = acme.replace("\"acme\"", "\"openai\"");
    crate::support::write(&old.join("providers/openai.json"), gateway.as_bytes());

    let (code, said) = import(&scene, &old, &[]);

    assert_eq!(code, 1);
    for name in ["openai/default", "openai/second", "acme/default"] {
        assert_eq!(status(&said, name), "refused", "{name}");
    }
    let list = scene.authsome(["list", "--json"]).success();
    assert!(!list.contains("second"), "{list}");
}

#[test]
fn all_that_goes_in_is_success() {
    let scene = Scene::new();
    let old = home(&scene, "0.2");

    let (code, said) = import(&scene, &old, &["--yes", "--only", "work"]);

    assert_eq!((code, said["complete"].as_bool()), (0, Some(true)), "{said:#}");
    assert_eq!(key(&scene, "openai", "default"), "sk-made-up-0-2-openai-work-key");
}
