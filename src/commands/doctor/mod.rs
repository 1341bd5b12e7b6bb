//! `authsome doctor`: does it work here, and if not, what mends it.
//!
//! It asks the real thing: the namespace is built and probed from inside exactly as for an agent, the
//! vault is read through the daemon.

mod checks;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::checks::{Finding, State};
use super::{Context, Error};
use crate::cli::DoctorArgs;

/// Checks everything; exit code 1 if something does not work.
///
/// # Errors
///
/// The result could not be written.
pub fn doctor(_args: &DoctorArgs, context: &Context) -> Result<ExitCode, Error> {
    let findings = checks::all(context);
    let healthy = findings.iter().all(|finding| finding.state != State::Fail);
    context.output.result(members(&findings, healthy), |text| {
        for finding in &findings {
            text.line(format!(
                "{:4}  {}: {}",
                finding.state.as_str(),
                finding.name,
                finding.detail
            ));
            if let Some(mend) = &finding.mend {
                text.line(format!("      mend: {mend}"));
            }
        }
        text.blank();
        text.line(if healthy { "Agents can run here." } else { "Agents cannot run here yet." });
    })?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn members(findings: &[Finding], healthy: bool) -> Value {
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "name": finding.name,
                "status": finding.state.as_str().to_ascii_lowercase(),
                "message": finding.detail,
                "hint": finding.mend,
            })
        })
        .collect();
    json!({ "ready": healthy, "checks": checks })
}
