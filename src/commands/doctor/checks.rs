//! The checks themselves.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    commands::{Context, log, login_command},
    daemon::client::{Acting, Client},
    protocol::{ConnectionView, ErrorReply, Request, RunOptions, Status, VaultReport, chain},
    provider::Registry,
    runner::{self, Plan},
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Works, with less than there could be.
    Warn,
    /// Does not work.
    Fail,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One check's result.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) detail: String,
    pub(super) mend: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), mend: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, state: State::Warn, detail: detail.into(), mend: Some(mend.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, mend: Option<String>) -> Self {
        Self { name, state: State::Fail, detail: detail.into(), mend }
    }

    fn failed(name: &'static str, error: ErrorReply) -> Self {
        Self::fail(name, error.message, error.hint)
    }
}

/// Everything, in the order in which one thing depends on the other.
pub(super) fn all(context: &Context) -> Vec<Finding> {
    let mut findings = namespaces();
    findings.push(home(context));
    findings.push(configuration(context));
    findings.push(providers(context));
    match Client::connect_or_start_as(&context.home, context.actor.owner()) {
        Ok(client) => {
            let acting = context.acting().unwrap_or_default();
            let mut client = client.acting(acting.clone());
            findings.extend(daemon(&mut client));
            findings.push(logins(&mut client));
            findings.push(vault(&mut client));
            findings.push(redirection(context, acting));
        }
        Err(error) => findings.push(Finding::failed("daemon", error)),
    }
    findings.push(audit_log(context));
    findings
}

fn namespaces() -> Vec<Finding> {
    netns::check()
        .into_iter()
        .map(|check| match (check.outcome, check.required) {
            (Ok(detail), _) => Finding::ok(check.name, detail),
            (Err(detail), true) => Finding::fail(check.name, detail, check.mend),
            (Err(detail), false) => {
                Finding::warn(check.name, detail, check.mend.unwrap_or_default())
            }
        })
        .collect()
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

fn configuration(context: &Context) -> Finding {
    match context.config() {
        Ok(_) => Finding::ok("configuration", context.home.config().display().to_string()),
        Err(error) => Finding::fail("configuration", error.message, error.hint),
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

fn daemon(client: &mut Client) -> Vec<Finding> {
    match client.call::<Status>(Request::Status) {
        Ok(status) if status.version == env!("CARGO_PKG_VERSION") => {
            let detail = format!(
                "pid {}, version {}, {} run(s), master key in the {}",
                status.pid,
                status.version,
                status.runs.len(),
                status.master_key
            );
            vec![Finding::ok("daemon", detail), dashboard(status)]
        }
        Ok(status) => vec![Finding::fail(
            "daemon",
            format!("version {}, this is {}", status.version, env!("CARGO_PKG_VERSION")),
            Some("authsome daemon stop".to_owned()),
        )],
        Err(error) => vec![Finding::failed("daemon", error)],
    }
}

/// Logins by browser come back to it.
fn dashboard(status: Status) -> Finding {
    match status.dashboard {
        Some(url) => Finding::ok("dashboard", url),
        None => Finding::warn(
            "dashboard",
            "not served: its port is another program's",
            "set `dashboard_port` in config.toml, then authsome daemon stop",
        ),
    }
}

/// Connections that a run could not use.
fn logins(client: &mut Client) -> Finding {
    let request = Request::Connections { provider: None };
    let views: Vec<ConnectionView> = match client.call(request) {
        Ok(views) => views,
        Err(error) => return Finding::failed("connections", error),
    };
    if let Some(view) = views.iter().find(|view| view.status == "source_failed") {
        let reason = view.reason.as_deref().unwrap_or("its value does not come");
        return Finding::warn(
            "connections",
            format!("{}/{} cannot be used: {reason}", view.provider, view.connection),
            format!(
                "authsome get {} --connection {} --show-secret",
                view.provider, view.connection
            ),
        );
    }
    match views.iter().find(|view| view.status == "needs_login") {
        None => Finding::ok("connections", format!("{} usable", views.len())),
        Some(view) => Finding::warn(
            "connections",
            format!("{}/{} needs a new login", view.provider, view.connection),
            login_command(view),
        ),
    }
}

fn vault(client: &mut Client) -> Finding {
    match client.call::<VaultReport>(Request::VerifyVault) {
        Ok(report) if report.damaged.is_empty() => {
            Finding::ok("vault", format!("{} record(s), all readable", report.records))
        }
        Ok(report) => Finding::fail(
            "vault",
            report.damaged.join("; "),
            Some("log in again to the connections that are named".to_owned()),
        ),
        Err(error) => Finding::failed("vault", error),
    }
}

/// Builds a namespace and has it probed from inside; the agent is never started.
fn redirection(context: &Context, acting: Acting) -> Finding {
    const NAME: &str = "redirection";
    let plan = Plan {
        command: vec!["true".into()],
        agent: Some("doctor".to_owned()),
        acting,
        options: RunOptions::default(),
        host_ports: Vec::new(),
        hide: Vec::new(),
        expose: Vec::new(),
        env: std::env::vars_os().collect::<BTreeMap<_, _>>(),
        files: Vec::new(),
        cwd: "/".into(),
    };
    let began = Instant::now();
    match runner::prepare(context.actor.clone(), plan) {
        Ok(ready) => {
            let detail = format!(
                "IPv4, IPv6 and DNS arrive, nothing else leads out ({} ms)",
                began.elapsed().as_millis()
            );
            match ready.warnings.first() {
                None => Finding::ok(NAME, detail),
                Some(warning) => {
                    Finding::warn(NAME, format!("{detail}; {warning}"), "see the warning")
                }
            }
        }
        Err(error) => Finding::failed(NAME, error),
    }
}

fn audit_log(context: &Context) -> Finding {
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
