//! What lies in the home: whose it is, room on its disk, and what the user wrote there.

use crate::{
    commands::{Context, log},
    doctor::Finding,
    policy::Policy,
    protocol::{ErrorReply, chain},
    provider::Registry,
};

/// With less nothing can be stored: the audit log alone refuses requests then.
const TOO_LITTLE: u64 = 1 << 20;
/// With less it is a matter of days.
const LITTLE: u64 = 64 << 20;

pub(super) fn checks(context: &Context) -> Vec<Finding> {
    let mut findings = vec![home(context)];
    findings.extend(disk(context));
    findings.extend([configuration(context), providers(context), policy(context)]);
    findings
}

fn home(context: &Context) -> Finding {
    let checked = match context.actor.owner() {
        Some(owner) if context.home.root().exists() => context.home.check(owner.uid),
        Some(_) => Ok(()),
        None => context.home.ensure_if_present(),
    };
    match checked {
        Ok(()) => Finding::ok("home", context.home.root().display().to_string()),
        Err(error) => Finding::fail("home", chain(&error), error.hint()),
    }
}

fn disk(context: &Context) -> Option<Finding> {
    const NAME: &str = "disk";
    let root = context.home.root();
    let found = root.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let mend = format!("make room: df -h {0}; df -i {0}", root.display());
    let on = root.display();
    // A file system that counts no files says that it has none.
    Some(if found.f_files > 0 && found.f_favail == 0 {
        Finding::fail(NAME, format!("no more files can be made at {on}"), Some(mend))
    } else if free < TOO_LITTLE {
        Finding::fail(NAME, format!("full: {} KiB are free at {on}", free >> 10), Some(mend))
    } else if free < LITTLE {
        Finding::warn(NAME, format!("{} MiB are free at {on}", free >> 20), mend)
    } else {
        Finding::ok(NAME, format!("{} MiB are free", free >> 20))
    })
}

fn configuration(context: &Context) -> Finding {
    match context.config() {
        Ok(_) => Finding::ok("configuration", context.home.config().display().to_string()),
        Err(error) => {
            let edit = || format!("correct {}", context.home.config().display());
            Finding::fail("configuration", error.message, error.hint.or_else(|| Some(edit())))
        }
    }
}

fn providers(context: &Context) -> Finding {
    let (registry, problems) = Registry::load(Some(&context.home.providers()));
    let count = registry.iter().count();
    match problems.first() {
        None => Finding::ok("providers", format!("{count} defined")),
        Some(problem) => Finding::warn(
            "providers",
            format!("{count} defined, {} left out: {}", problems.len(), chain(&problem.error)),
            problem.error.hint().unwrap_or("correct or remove the file"),
        ),
    }
}

/// One with an error denies everything.
fn policy(context: &Context) -> Finding {
    const NAME: &str = "policy";
    match Policy::load(&context.home.policy()) {
        Ok(policy) => {
            let (rules, limits) = (policy.statements().len(), policy.limits().len());
            let default = policy.default_verdict().as_str();
            Finding::ok(NAME, format!("{rules} rule(s), {limits} limit(s), else {default}"))
        }
        Err(error) => {
            let error = crate::commands::Error::from(error);
            let error = ErrorReply { kind: error.kind, message: error.message, hint: error.hint };
            let hint = error.hint.clone().or_else(|| Some("authsome policy check".to_owned()));
            Finding::fail(NAME, format!("every request is denied: {}", error.message), hint)
        }
    }
}

pub(super) fn audit_log(context: &Context) -> Finding {
    const NAME: &str = "audit log";
    let path = context.home.audit_log();
    if context.actor.owner().is_some() {
        return Finding::ok(NAME, "its owner's to verify: authsome log verify");
    }
    if !path.exists() {
        return Finding::ok(NAME, "empty");
    }
    let (report, view) = match log::checked(context) {
        Ok(checked) => checked,
        Err(error) => return Finding::fail(NAME, chain(&error), error.hint()),
    };
    if let Some(problem) = report.first_problem {
        return Finding::fail(NAME, problem.to_string(), Some(log::keep_aside(context)));
    }
    let view = view.unwrap_or_default();
    if let Some(error) = view.error {
        // Without a key it is the vault that has to be mended, which its own check says.
        let mend = (!view.public_key.is_empty()).then(|| "make room on the disk".to_owned());
        return Finding::fail(NAME, error, mend);
    }
    if view.lost > 0 {
        let detail = format!("{} event(s) could not be put on record", view.lost);
        return Finding::warn(NAME, detail, "make room on the disk");
    }
    let signed = if report.signed.is_some() { ", signed" } else { "" };
    Finding::ok(NAME, format!("{} record(s), chain unbroken{signed}", report.records))
}
