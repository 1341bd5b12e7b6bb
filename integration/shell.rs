//! `authsome shell`: each of the three shells in a run, at a terminal, and what their start-up scripts do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::{
    support::{Program, Scene, write},
    terminal::Terminal,
};

/// Shell, its start-up file below the user's home, and how that sets a prompt.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", ".bashrc", "PS1='mine> '"),
    ("zsh", ".zshrc", "PROMPT='mine> '"),
    ("fish", ".config/fish/config.fish", "function fish_prompt; printf 'mine> '; end"),
];

/// Says in which run it is, and what it was given.
const AGENT: &str = "#!/bin/sh\necho \"run=${AUTHSOME_RUN:+yes} count=$# args=$*\"\n";

/// A home with the start-up file, an agent called `claude` and authsome in the `PATH`.
fn home(scene: &Scene, file: &str, contents: &str) {
    let file = scene.user_home().join(file);
    let bin = scene.user_home().join("bin");
    for directory in [file.parent().unwrap(), &bin] {
        output(scene, Command::new("mkdir").arg("-p").arg(directory));
    }
    write(&file, contents.as_bytes());
    let program = scene.authsome::<[&str; 0]>([]).command.get_program().to_owned();
    std::os::unix::fs::symlink(program, bin.join("authsome")).unwrap();
    executable(&bin.join("claude"), AGENT);
}

fn executable(path: &Path, script: &str) {
    write(path, script.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn output(scene: &Scene, command: &mut Command) {
    scene.as_user(command);
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The start-up file that evaluates authsome's script after `before`.
fn evaluating(shell: &str, before: &str) -> String {
    match shell {
        "fish" => format!("{before}\nauthsome shell --init fish | source\n"),
        _ => format!("{before}\neval \"$(authsome shell --init {shell})\"\n"),
    }
}

/// What a new interactive shell of the user makes of `line`.
fn interactive(scene: &Scene, shell: &str, line: &str) -> String {
    let mut program: Program = scene.authsome::<[&str; 0]>([]);
    let mut command = Command::new(shell);
    command.args(["-i", "-c", line]).env_clear().current_dir(scene.user_home());
    command.envs(program.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let path = format!("{}/bin:/usr/bin:/bin", scene.user_home().display());
    command.env("PATH", path).env("TERM", "dumb");
    scene.as_user(&mut command);
    program.command = command;
    program.success()
}

#[test]
fn a_shell_in_a_run_marks_the_users_own_prompt() {
    for (shell, file, prompt) in SHELLS {
        let scene = Scene::new();
        home(&scene, file, prompt);
        let terminal = Terminal::open(&scene);
        terminal.line(&format!("export SHELL=/usr/bin/{shell}"));

        terminal.authsome("shell");

        terminal.expect("(authsome) mine>");
        terminal.line("~/bin/claude \"in a run\"");
        terminal.expect("run=yes count=1");
        terminal.line("exit 7");
        terminal.expect("outer>");
        terminal.line("echo ended $?");
        terminal.expect("ended 7");
    }
}

#[test]
fn a_shell_takes_arguments_and_the_flags_of_a_run() {
    let scene = Scene::new();
    let hidden = scene.user_home().join("hidden");
    write(&hidden, b"x");

    let shell = scene
        .authsome(["shell", "--hide", hidden.to_str().unwrap(), "--", "-c", "cat hidden; exit 3"])
        .env("SHELL", "/bin/sh")
        .run();

    assert_eq!((shell.status.code(), shell.stdout), (Some(3), Vec::new()));
}

#[test]
fn a_shell_that_is_not_there_is_no_failure_of_authsome() {
    let scene = Scene::new();

    let shell = scene.authsome(["shell"]).env("SHELL", "/nonexistent/bash").run();

    assert_eq!(shell.status.code(), Some(127));
}

#[test]
fn an_agent_starts_in_a_run_with_its_arguments_as_they_were() {
    for (shell, file, _) in SHELLS {
        let scene = Scene::new();
        home(&scene, file, &evaluating(shell, ""));

        let said = interactive(&scene, shell, "claude 'a  b' '$HOME' '*' \"c'd\"");

        assert!(said.contains("run=yes count=4 args=a  b $HOME * c'd\n"), "{shell}: {said}");
    }
}

#[test]
fn the_shells_own_word_for_it_starts_an_agent_without_a_run() {
    for (shell, file, _) in SHELLS {
        let scene = Scene::new();
        home(&scene, file, &evaluating(shell, ""));

        let said = interactive(&scene, shell, "command claude plain");

        assert!(said.contains("run= count=1 args=plain\n"), "{shell}: {said}");
    }
}

#[test]
fn an_alias_of_one_program_is_wrapped() {
    for (shell, file, _) in &SHELLS[..2] {
        let scene = Scene::new();
        home(&scene, file, &evaluating(shell, "alias codex=\"$HOME/bin/claude\""));

        let said = interactive(&scene, shell, "codex 'a b'");

        assert!(said.contains("run=yes count=1 args=a b\n"), "{shell}: {said}");
    }
}

#[test]
fn a_function_of_the_users_own_stays_as_it_is() {
    for (shell, file, _) in SHELLS {
        let scene = Scene::new();
        let function = match shell {
            "fish" => "function claude; echo my own; end",
            _ => "claude() { echo my own; }",
        };
        home(&scene, file, &evaluating(shell, function));

        assert_eq!(interactive(&scene, shell, "claude"), "my own\n", "{shell}");
    }
}
