//! What the agent may do by itself: no capability, no key of the session outside, no typing into the
//! user's terminal.

use std::io;

use nix::libc;

use super::BROKEN;
use crate::doctor::{Finding, Questions};

/// Lines of `/proc/self/status` that must be nothing but zeros (proc_pid_status(5)).
const CAPABILITIES: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];

pub(super) fn checks(questions: &Questions) -> Vec<Finding> {
    vec![
        rights(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()),
        keyring(questions.key.as_deref()),
        terminal(),
    ]
}

fn rights(status: &str) -> Finding {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mut wrong: Vec<String> = CAPABILITIES
        .into_iter()
        .filter(|name| {
            value(name).is_none_or(|set| set.is_empty() || set.bytes().any(|digit| digit != b'0'))
        })
        .map(|name| format!("{name} {}", value(name).unwrap_or("unknown")))
        .collect();
    if value("NoNewPrivs:") != Some("1") {
        wrong.push("setuid programs give rights".to_owned());
    }
    Finding::unless("rights", &wrong, "no capability, and no way to one", BROKEN)
}

fn keyring(description: Option<&str>) -> Finding {
    const NAME: &str = "session keyring";
    let Some(description) = description else {
        return Finding::ok(NAME, "the kernel has none to leak");
    };
    match netns::finds_key(description) {
        Ok(false) => Finding::ok(NAME, "a key of the host's is not found"),
        Ok(true) => Finding::fail(NAME, "a key of the host's is found", Some(BROKEN.to_owned())),
        Err(error) => Finding::ok(NAME, format!("cannot be asked: {error}")),
    }
}

/// The terminal at standard input is none here: the kernel says so unless it was told to say no before.
fn terminal() -> Finding {
    const NAME: &str = "typing into the terminal";
    match netns::type_blank() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Finding::ok(NAME, "refused"),
        Err(error) if switched_off() => {
            Finding::ok(NAME, format!("switched off in the kernel ({error})"))
        }
        outcome => {
            let said = outcome.map_err(|error: io::Error| error.to_string());
            let said = said.err().unwrap_or_else(|| "it was typed".to_owned());
            Finding::fail(
                NAME,
                format!("the kernel filters no system calls (TIOCSTI: {said})"),
                Some("sudo sysctl -w dev.tty.legacy_tiocsti=0".to_owned()),
            )
        }
    }
}

fn switched_off() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .is_ok_and(|value| value.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    const CLEAN: &str = "CapInh:\t0000\nCapPrm:\t0000\nCapEff:\t0000\nCapBnd:\t0000\nCapAmb:\t0000\n\
                         NoNewPrivs:\t1\n";

    #[test]
    fn no_right_passes_and_each_that_is_left_fails() {
        assert_eq!(rights(CLEAN).state, State::Ok);
        for set in CAPABILITIES {
            let left = CLEAN.replace(&format!("{set}\t0"), &format!("{set}\t2"));
            assert_eq!(rights(&left).state, State::Fail, "{set}");
        }
        assert_eq!(rights(&CLEAN.replace("Privs:\t1", "Privs:\t0")).state, State::Fail);
        assert_eq!(rights("").state, State::Fail);
    }
}
