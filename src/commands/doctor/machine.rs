//! The machine: can a namespace be made on it, and if not, what says no and what else there is.

use clap::CommandFactory as _;

use crate::{
    cli::Cli,
    commands::Context,
    doctor::{Finding, State},
};

pub(super) fn checks(context: &Context) -> Vec<Finding> {
    let mut findings: Vec<Finding> = netns::check(context.actor.owner().is_some())
        .into_iter()
        .map(|check| match (check.outcome, check.required) {
            (Ok(detail), _) => Finding::ok(check.name, detail),
            (Err(detail), true) => Finding::fail(check.name, detail, check.mend),
            (Err(detail), false) => {
                Finding::warn(check.name, detail, check.mend.unwrap_or_default())
            }
        })
        .collect();
    if findings.iter().any(|finding| finding.state == State::Fail) {
        findings.extend(without_namespaces());
    }
    findings
}

/// What runs agents where no namespace can be made, as far as this program has it.
fn without_namespaces() -> Option<Finding> {
    let program = Cli::command();
    let has = |verb: &str, flag: Option<&str>| {
        program.find_subcommand(verb).is_some_and(|verb| {
            flag.is_none_or(|flag| verb.get_arguments().any(|own| own.get_long() == Some(flag)))
        })
    };
    let mut ways = Vec::new();
    if hands_calls_over() && has("run", Some("redirect")) {
        ways.push("authsome run --redirect seccomp -- CMD (the kernel hands system calls over)");
    }
    if netns::container().is_some() && has("sidecar", None) {
        ways.push("authsome sidecar (in a container beside this one, with its network)");
    }
    (!ways.is_empty()).then(|| Finding::ok("without namespaces", ways.join("; or ")))
}

/// Can a system call be left to another process to decide (seccomp_unotify(2))?
fn hands_calls_over() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.split_ascii_whitespace().any(|word| word == "user_notif"))
}
