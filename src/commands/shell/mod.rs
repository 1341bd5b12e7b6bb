//! `authsome shell`: the user's shell in a run, and the script that puts agents into one.
//!
//! One script a shell serves both: in a run it marks the prompt, elsewhere it wraps agents. What a
//! shell in a run reads at its start lies where the namespace has covered the home, so that nothing is
//! left behind, and it reads the user's own start-up files as always. Other shells than the three have
//! no mark, and work.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Context, Error, run};
use crate::{
    cli::{ShellArgs, ShellKind},
    runner::Plan,
};

const BASH: &str = include_str!("init.bash");
const ZSH: &str = include_str!("init.zsh");
const FISH: &str = include_str!("init.fish");
/// Where the names of agents stand in a script.
const PROGRAMS: &str = "@PROGRAMS@";

/// Where the start-up files lie, in the directory that covers the home.
const DIRECTORY: &str = "shell";
/// The shell where no variable names one.
const DEFAULT_SHELL: &str = "/bin/sh";
/// Where zsh's own directory of start-up files is kept while ours is in its place.
const ZSH_DIRECTORY: &str = "AUTHSOME_ZDOTDIR";

/// Read by bash in the place of `~/.bashrc`.
const BASHRC: &str = "[[ -f ~/.bashrc ]] && . ~/.bashrc\n";
/// Read by zsh first of all; from then on it finds its start-up files where they always are.
const ZSHENV: &str = "\
if [[ -n ${AUTHSOME_ZDOTDIR-} ]]; then ZDOTDIR=$AUTHSOME_ZDOTDIR; else unset ZDOTDIR; fi
unset AUTHSOME_ZDOTDIR
[[ -f ${ZDOTDIR:-$HOME}/.zshenv ]] && . ${ZDOTDIR:-$HOME}/.zshenv
";

pub(super) fn shell(args: ShellArgs, context: &Context) -> Result<ExitCode, Error> {
    if let Some(kind) = args.init {
        context.output.raw(&script(kind, &args.wrap.join(" ")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut run_args = args.run;
    let shell = context.actor.shell().unwrap_or_else(|| DEFAULT_SHELL.into());
    let own = std::mem::replace(&mut run_args.command, vec![shell.clone().into()]);
    // A bad configuration is a usage error, as a bad flag is.
    let mut plan = run::plan(&run_args, context.config()?, context)?;
    if let Some(kind) = kind(&shell) {
        prepare(kind, context.home.root(), &mut plan);
    }
    plan.command.extend(own);
    run::start(plan, context)
}

/// What an interactive shell is to evaluate.
fn script(kind: ShellKind, programs: &str) -> String {
    let template = match kind {
        ShellKind::Bash => BASH,
        ShellKind::Zsh => ZSH,
        ShellKind::Fish => FISH,
    };
    template.replace(PROGRAMS, programs)
}

/// Which of the three `program` is, by its name.
fn kind(program: &Path) -> Option<ShellKind> {
    match program.file_name()?.to_str()? {
        "bash" => Some(ShellKind::Bash),
        "zsh" => Some(ShellKind::Zsh),
        "fish" => Some(ShellKind::Fish),
        _ => None,
    }
}

/// Has the shell read its script after the user's own start-up files, or, for zsh, between them.
fn prepare(kind: ShellKind, home: &Path, plan: &mut Plan) {
    let directory = Path::new(DIRECTORY);
    let script = script(kind, "");
    let mut file = |name: &str, text: String| -> PathBuf {
        let path = directory.join(name);
        plan.files.push((path.clone(), text.into_bytes()));
        home.join(path)
    };
    match kind {
        ShellKind::Bash => {
            let path = file("bashrc", format!("{BASHRC}{script}"));
            plan.command.extend([OsString::from("--rcfile"), path.into()]);
        }
        ShellKind::Zsh => {
            file(".zshenv", format!("{ZSHENV}{script}"));
            let ours = home.join(directory).into_os_string();
            if let Some(users) = plan.env.insert("ZDOTDIR".into(), ours) {
                plan.env.insert(ZSH_DIRECTORY.into(), users);
            }
        }
        ShellKind::Fish => {
            let mut source = OsString::from("source ");
            source.push(fish_quoted(file("config.fish", script).as_os_str()));
            plan.command.extend([OsString::from("--init-command"), source]);
        }
    }
}

/// `text` as one word of fish's language, which has two escapes between single quotes.
fn fish_quoted(text: &OsStr) -> OsString {
    // Bytes that are no UTF-8 are rare in a path, and then the shell says that there is no such file.
    let text = text.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_the_programs_and_nothing_is_left_to_fill_in() {
        for kind in [ShellKind::Bash, ShellKind::Zsh, ShellKind::Fish] {
            let script = script(kind, "claude my-agent");
            assert!(script.contains(" claude my-agent"), "{script}");
            assert!(!script.contains(PROGRAMS), "{script}");
        }
    }

    #[test]
    fn a_shell_is_known_by_its_name_wherever_it_lies() {
        assert_eq!(kind(Path::new("/opt/homebrew/bin/fish")), Some(ShellKind::Fish));
        assert_eq!(kind(Path::new("/bin/dash")), None);
        assert_eq!(kind(Path::new("/")), None);
    }

    #[test]
    fn a_path_with_quotes_is_one_word_of_fish() {
        assert_eq!(fish_quoted(OsStr::new(r"/a 'b'\c")), r"'/a \'b\'\\c'");
    }
}
