//! A person's terminal, by tmux: interactive agents must feel as they do without us.

use std::process::{Command, Stdio};

use crate::support::{Scene, eventually, text};

/// A tmux session with a shell in it, as the scene's user.
pub(crate) struct Terminal<'a> {
    scene: &'a Scene,
    program: String,
}

impl<'a> Terminal<'a> {
    pub(crate) fn open(scene: &'a Scene) -> Self {
        let program =
            scene.authsome::<[&str; 0]>([]).command.get_program().to_string_lossy().into();
        let terminal = Self { scene, program };
        let output = terminal
            .tmux(&["new-session", "-d", "-x", "80", "-y", "24", "bash --norc --noprofile"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        terminal.line("PS1='outer> '");
        terminal.expect("outer>");
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let socket = self.scene.directory.path().join("user/tmux.sock");
        let mut outer = self.scene.authsome::<[&str; 0]>([]).command;
        // The same user and environment, another program.
        let mut command = Command::new("tmux");
        command.arg("-f").arg("/dev/null").arg("-S").arg(socket).args(args);
        command.env_clear().env("TERM", "xterm").current_dir(self.scene.user_home());
        for (name, value) in outer.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.scene.as_user(&mut command);
        outer.stdin(Stdio::null());
        command
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        let args: Vec<_> = ["send-keys"].iter().chain(keys).copied().collect();
        assert!(self.tmux(&args).status().unwrap().success());
    }

    pub(crate) fn line(&self, line: &str) {
        self.keys(&["-l", line]);
        self.keys(&["Enter"]);
    }

    pub(crate) fn screen(&self) -> String {
        text(&self.tmux(&["capture-pane", "-p"]).output().unwrap().stdout)
    }

    pub(crate) fn expect(&self, wanted: &str) {
        eventually(wanted, || self.screen().contains(wanted));
    }

    /// Types `authsome ARGS…` on an empty screen.
    pub(crate) fn authsome(&self, args: &str) {
        self.line(&format!("clear; {} {args}", self.program));
    }

    fn run(&self, command: &str) {
        self.authsome(&format!("run -- {command}"));
    }

    /// Runs a script. It is in a file, so that what is typed cannot be taken for what it prints.
    fn script(&self, script: &str) {
        crate::support::write(&self.scene.user_home().join("script"), script.as_bytes());
        self.run("bash script");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}

#[test]
fn a_shell_inside_has_job_control() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.run("env PS1='inner> ' bash --norc --noprofile");
    terminal.expect("inner>");
    assert!(!terminal.screen().contains("no job control"), "{}", terminal.screen());
    // Ctrl-C ends the shell's child and not the shell. Keys that come before the child is there would
    // be the shell's own, so it says that it is.
    terminal.line("sh -c 'echo be''gun; exec sleep 1000'");
    terminal.expect("begun");
    terminal.keys(&["C-c"]);
    terminal.line("echo interrupted $?");
    terminal.expect("interrupted 130");
    // Ctrl-Z stops it, and fg continues it.
    let child = "trap \"echo resu\"\"med\" CONT; echo run\"\"ning; while :; do sleep 0.2; done";
    terminal.line(&format!("bash -c '{child}'"));
    terminal.expect("running");
    terminal.keys(&["C-z"]);
    terminal.expect("Stopped");
    terminal.line("jobs; fg");
    terminal.expect("resumed");
    terminal.keys(&["C-c"]);
    terminal.line("echo again $?");
    terminal.expect("again 130");
    terminal.line("exit 7");
    terminal.line("echo status $?");
    terminal.expect("status 7");
    // The terminal is the outer shell's again.
    terminal.line("sh -c 'echo wai''ting; exec cat'");
    terminal.expect("waiting");
    terminal.keys(&["C-c"]);
    terminal.line("echo outer $?");
    terminal.expect("outer 130");
}

#[test]
fn ctrl_c_reaches_the_agent_once() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.script(
        "trap 'n=$((n+1))' INT\necho ready\nwhile [ ${n:-0} -lt 1 ]; do sleep 0.1; done\nsleep 0.5\n\
         echo total $n\n",
    );
    terminal.expect("ready");
    terminal.keys(&["C-c"]);
    terminal.expect("total 1");
}

#[test]
fn ctrl_z_stops_the_run_and_fg_continues_it() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.script("echo started\nsleep 3\necho finished\n");
    terminal.expect("started");
    terminal.keys(&["C-z"]);
    terminal.expect("Stopped");
    terminal.line("echo shell is back");
    terminal.expect("shell is back");
    terminal.line("fg");
    terminal.expect("finished");
}

#[test]
fn an_agent_that_stops_itself_stops_the_run() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.script("kill -STOP $$\necho continued\n");
    terminal.expect("Stopped");
    terminal.line("fg");
    terminal.expect("continued");
}

#[test]
fn a_window_that_changes_its_size_is_noticed() {
    let scene = Scene::new();
    let terminal = Terminal::open(&scene);
    terminal.run("env PS1='inner> ' bash --norc --noprofile");
    terminal.expect("inner>");
    assert!(terminal.tmux(&["resize-window", "-x", "101", "-y", "31"]).status().unwrap().success());
    terminal.line("stty size");
    terminal.expect("31 101");
}

#[test]
fn full_screen_programs_work() {
    let scene = Scene::new();
    crate::support::write(&scene.user_home().join("page"), "one line\n".repeat(200).as_bytes());
    let terminal = Terminal::open(&scene);
    terminal.run("less page");
    terminal.expect("page");
    terminal.keys(&["q"]);
    terminal.line("echo after less");
    terminal.expect("after less");
    let editor = if crate::support::has("vim") { "vim" } else { "vi" };
    terminal.run(&format!("{editor} -u NONE page"));
    terminal.expect("one line");
    terminal.keys(&["C-z"]);
    terminal.expect("Stopped");
    terminal.line("fg");
    terminal.keys(&["-l", ":q!"]);
    terminal.keys(&["Enter"]);
    terminal.line("echo after vim");
    terminal.expect("after vim");
}
