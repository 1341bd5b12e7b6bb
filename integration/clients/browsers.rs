//! Browsers, which have roots of their own and add those of the user's database.

use super::{account::OPENAI, row::Row, variants::URL};
use crate::support::Scene;

#[test]
fn chromium() {
    let flags = ["--headless=new", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"];
    Row::new("browsers", "chromium", OPENAI, ["chromium"].into_iter().chain(flags).chain([URL]))
        .speaks("h2")
        .needs(["HOME"])
        .lasting()
        .note("roots from the user's NSS database")
        .check();
}

#[test]
fn what_a_browser_finds_outside_is_the_empty_directory_that_it_makes_itself() {
    let scene = Scene::new();
    scene.run(["true"]).success();
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
