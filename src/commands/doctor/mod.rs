//! `authsome doctor`: does it work here, does it protect, and if not, what mends it.
//!
//! It asks the real thing: the machine is asked for a namespace, the vault is read through the daemon, and
//! an agent of its own tries every way out of a real run ([`crate::doctor`]).

mod daemon;
mod fix;
mod home;
mod host;
mod lost;
mod machine;
mod run;
mod sidecar;
mod stage;
mod trust;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::{fix::Fixed, run::Inside, sidecar::Beside};
use super::{Context, Error};
use crate::{
    cli::DoctorArgs,
    daemon::client::Client,
    doctor::{Clients, Finding, State, Trust},
    output::Text,
    protocol::ErrorReply,
};

impl Finding {
    /// What an error that ended a check says.
    fn failed(name: &'static str, error: ErrorReply) -> Self {
        Self::fail(name, error.message, error.hint)
    }
}

/// Checks everything; exit code 1 if something does not work or does not protect.
///
/// # Errors
///
/// The result could not be written.
pub fn doctor(args: &DoctorArgs, context: &Context) -> Result<ExitCode, Error> {
    if args.stage {
        return stage::run(context);
    }
    let beside = Beside::find(context);
    let [good, bad] = match &beside {
        Some(_) => {
            ["The sidecar serves its agents.", "The sidecar does not serve its agents as it must."]
        }
        None => ["Agents can run here.", "Agents cannot run here yet."],
    };
    // What could be mended is the machine's, and not the container's.
    let fixed = if args.fix && beside.is_none() { fix::all(context) } else { Vec::new() };
    let clients = match (args.quick, args.slow) {
        (true, _) => Clients::None,
        (_, true) => Clients::All,
        _ => Clients::Quick,
    };
    let Inside { findings, clients } = match beside {
        Some(beside) => beside.examine(),
        None => examine(context, clients),
    };
    let healthy = findings.iter().all(|finding| finding.state != State::Fail);
    let members = json!({
        "ready": healthy,
        "checks": findings,
        "clients": clients,
        "fixed": fixed.iter().map(members_of).collect::<Vec<_>>(),
    });
    context.output.result(members, |text| {
        for Fixed { done, message } in &fixed {
            text.line(format!("{:5} {message}", if *done { "fixed" } else { "left" }));
        }
        for finding in &findings {
            tell(text, finding.state.label(), &finding.name, &finding.detail, &finding.mend);
        }
        show_clients(text, &clients, context.verbose);
        text.blank();
        text.line(if healthy { good } else { bad });
    })?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything, in the order in which one thing depends on the other.
fn examine(context: &Context, clients: Clients) -> Inside {
    let mut findings = machine::checks(context);
    findings.extend(home::checks(context));
    findings.extend(trust::checks());
    let mut seen = Vec::new();
    match daemon::unresponsive(context) {
        // Whatever is asked of it now would wait for ever.
        Some(finding) => {
            findings.push(finding);
            return Inside { findings, clients: Vec::new() };
        }
        None => match Client::connect_or_start_as(&context.home, context.actor.owner()) {
            Ok(client) => {
                let mut client = client.acting(context.acting().unwrap_or_default());
                findings.extend(daemon::checks(&mut client));
                findings.extend(lost::check(context, &mut client));
                let inside = run::inside(context, &mut client, clients);
                findings.extend(inside.findings);
                seen = inside.clients;
                findings.extend(daemon::problems(&mut client, &findings));
            }
            Err(error) => findings.push(daemon::not_started(context, error)),
        },
    }
    findings.push(home::audit_log(context));
    Inside { findings, clients: seen }
}

fn tell(text: &mut Text, label: &str, name: &str, detail: &str, mend: &Option<String>) {
    text.line(format!("{label:4}  {name}: {detail}"));
    if let Some(mend) = mend {
        text.line(format!("      mend: {mend}"));
    }
}

fn show_clients(text: &mut Text, clients: &[crate::doctor::Client], verbose: bool) {
    if clients.is_empty() {
        return;
    }
    text.blank();
    for client in clients.iter().filter(|client| verbose || client.trust != Trust::Missing) {
        let (label, what) = match client.trust {
            Trust::Trusts => ("ok", "trusts the run"),
            Trust::Distrusts => ("warn", "does not trust the run"),
            Trust::Proxied => ("warn", "asks a proxy of its own"),
            Trust::Failed => ("warn", "could not be tried"),
            Trust::Missing => ("-", "not found"),
        };
        let at = client.program.as_ref().map(|path| format!(" ({path})")).unwrap_or_default();
        let said = client.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        tell(text, label, &client.name, &format!("{what}{at}{said}"), &client.mend);
    }
}

fn members_of(fixed: &Fixed) -> Value {
    json!({ "message": fixed.message, "done": fixed.done })
}
