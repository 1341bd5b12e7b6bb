//! The agent: makes every check from inside and prints what it saw.

mod names;
mod network;
mod privileges;
mod reach;

use std::{
    collections::BTreeMap,
    env,
    io::{self, Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::ExitCode,
};

use super::{Questions, Seen, clients, digest};

/// Hidden first argument that makes this program the doctor's agent.
pub const AGENT_ARGUMENT: &str = "__doctor_agent";

/// What is told when protection itself fails: nothing the user could type mends that.
const BROKEN: &str =
    "do not run agents here; report this with the output of authsome doctor --json";

/// Answers the questions on standard input on standard output.
pub fn main() -> ExitCode {
    let mut asked = Vec::new();
    let questions: Questions = match io::stdin().lock().read_to_end(&mut asked) {
        Ok(_) => match serde_json::from_slice(&asked) {
            Ok(questions) => questions,
            Err(_) => return ExitCode::FAILURE,
        },
        Err(_) => return ExitCode::FAILURE,
    };
    match answer(&questions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(questions: &Questions) -> io::Result<()> {
    let run = env::var("AUTHSOME_RUN").unwrap_or_default();
    let checks = network::checks(questions, &run)
        .into_iter()
        .chain([names::check(&questions.resolvers)])
        .chain(reach::checks(questions))
        .chain(privileges::checks(questions));
    for finding in checks {
        say(&Seen::Check(finding))?;
    }
    say(&Seen::Variables(variables(&questions.variables)))?;
    for client in clients::all(questions.clients, &run) {
        say(&Seen::Client(client))?;
    }
    say(&Seen::End)
}

fn say(seen: &Seen) -> io::Result<()> {
    let mut line = serde_json::to_vec(seen)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)
}

fn variables(names: &[String]) -> BTreeMap<String, String> {
    names
        .iter()
        .filter_map(|name| Some((name.clone(), digest(env::var_os(name)?.as_bytes()))))
        .collect()
}
